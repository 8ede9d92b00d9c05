"""The pure core of the `subscribers` agent: what a subscriber should hold in Kit, and the requests that get it there.

`advance` (step.py) folds a record of subscriber.events into a `Subscriber` (state.py); `plan` (plan.py) tells the
dispatcher the fewest requests that close the difference; wishes.py unites the wishes of several customers.
"""

from processors.subscriber.plan import Missing, Names, Plan, Priority, has_work, parked_key, plan, priority
from processors.subscriber.state import NEVER_ENROLLED, Subscriber, decode_subscriber, encode_subscriber
from processors.subscriber.step import advance

__all__ = [
    "NEVER_ENROLLED",
    "Missing",
    "Names",
    "Plan",
    "Priority",
    "Subscriber",
    "advance",
    "decode_subscriber",
    "encode_subscriber",
    "has_work",
    "parked_key",
    "plan",
    "priority",
]
