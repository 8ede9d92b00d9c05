"""The public edge: Stripe's webhooks in, records in the log out.

In the order of a request: server.py (paths, limits, drain) → webhook.py (one request) → signatures.py → routing.py
(envelope.py reads the bytes, nesting.py bounds their depth) → the log → answers.py. metrics.py counts each
outcome.
"""
