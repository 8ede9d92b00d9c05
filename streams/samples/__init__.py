"""A sample Stripe history for trying out and for tests: seeded, self-consistent, with the truth it should lead to.

`history` writes the events, `expected` says what Kit should hold in the end, `send_sample` plays Stripe and posts them.
"""

from streams.samples.history import CustomerTruth, expected, history
from streams.samples.sending import SendReport, send, send_sample
from streams.samples.teller import SampleEvent

__all__ = ["CustomerTruth", "SampleEvent", "SendReport", "expected", "history", "send", "send_sample"]
