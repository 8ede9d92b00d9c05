"""What is kept in the `customers` table: a customer by its key, and in each partition the catalogue that is applied.

Written by step.py; read there, by the reconsideration after a new catalogue, and by the status.
"""

from typing import Any

import msgspec

from processors.customer.decided import Decided
from processors.customer.facts import Facts, Profile
from processors.id_set import RecentIds
from processors.ids import CatalogueVersion


class Customer(msgspec.Struct, frozen=True, kw_only=True, tag="customer", tag_field="state"):
    """`now_ms` is the customer's log time; `recent` the event ids seen, for duplicates; `facts` never depend on a
    catalogue, `decided` does: on the one of version `catalogue` (None: nothing has been decided yet).
    """

    now_ms: int
    last_offset: int
    recent: RecentIds
    facts: Facts
    decided: Decided
    catalogue: CatalogueVersion | None = None


class AppliedCatalogue(msgspec.Struct, frozen=True, kw_only=True, tag="catalogue", tag_field="state"):
    """The catalogue that decides every later record of this partition; the value of key `catalogue:PARTITION`.

    `settled`: no customer of the partition is left that decided by another one.
    """

    last_offset: int
    version: CatalogueVersion
    document: dict[str, Any]
    settled: bool = False


CustomersState = Customer | AppliedCatalogue
"""The values of the table `customers`."""

encode_customers_state = msgspec.json.Encoder(order="deterministic").encode
decode_customers_state = msgspec.json.Decoder(CustomersState).decode

NEW = Customer(now_ms=0, last_offset=-1, recent=RecentIds(), facts=Facts(Profile()), decided=Decided())
