"""Kit: what is asked of it, within its budget, and what it answers.

In the order of the flow: dispatcher.py (what waits: waiting.py; whose turn: line.py, budget.py with share.py and
spending.py) → serving.py (plan, intent, outcome: flights.py, appending.py; names to ids: directory.py) → performing.py
(the requests of one intent) → client.py (calls.py is its protocol, wire.py the HTTP of each call). simulator/ is a Kit
to try and test with.
"""
