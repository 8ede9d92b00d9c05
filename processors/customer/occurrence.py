"""One occurrence of a moment: what it happened to, when, and what was sold. Made by purchase.py, read by moments.py."""

import msgspec
from msgspec.structs import replace

from processors.catalogue.rules import Moment
from processors.customer.conditions import Circumstances
from processors.customer.sale import Sale


class Occurrence(msgspec.Struct, frozen=True):
    """`subject`: the business object it happens to once (`sub_…`, `cs_…`); `at`: seconds; `sales`: the best first."""

    moment: Moment
    subject: str
    at: int
    sales: tuple[Sale, ...]
    circumstances: Circumstances

    @property
    def name(self) -> str:
        return f"{self.moment} {self.subject}"

    def circumstances_for(self, sale: Sale) -> Circumstances:
        """A purchase arrives at the tier of what was bought."""
        if self.circumstances.to_tier is not None or sale.offer is None:
            return self.circumstances
        return replace(self.circumstances, to_tier=sale.offer.tier)
