"""Where a delivered record was fetched: what tells a current one from one that Faust delivers late.

Faust hands out records fetched before a rebalance or a seek, stamped with the new generation. So the consumer numbers
every record, in the same step in which it moves its position: the epoch of the seek it was fetched under, and its
place since that seek. The engine takes only the current epoch, in sequence; anything else comes again.

Both transports' messages carry `message.provenance: Provenance | None` (None: not a source topic of ours), and both
consumers are a `NumberingConsumer`.
"""

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from faust.types import TP


class Provenance(NamedTuple):
    epoch: int
    sequence: int


@dataclass(slots=True)
class Mark:
    """The state of numbering one partition: the current epoch, the next number in it, the offset that was sought."""

    epoch: int
    next_sequence: int
    sought: int


class NumberingConsumer(Protocol):
    def mark_of(self, tp: TP) -> Mark | None:
        """None before the first seek. Epochs only grow."""

    async def reseek(self, tp: TP, offset: int) -> None:
        """Moves the position and begins a new epoch, in one step."""
