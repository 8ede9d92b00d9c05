"""The pure core of the `customers` agent: what Stripe says of a customer, and what that means for Kit.

`advance` (step.py) reads a record (reading.py, objects.py), folds it into facts (evolve.py and the state machines it
calls) and decides by the applied catalogue (decide.py): wishes for states, commands for moments.
"""

from processors.customer.state import (
    NEW,
    AppliedCatalogue,
    Customer,
    CustomersState,
    decode_customers_state,
    encode_customers_state,
)
from processors.customer.step import advance

__all__ = [
    "NEW",
    "AppliedCatalogue",
    "Customer",
    "CustomersState",
    "advance",
    "decode_customers_state",
    "encode_customers_state",
]
