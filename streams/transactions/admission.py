"""Which delivered records a lane takes: each once, in order, none left out.

Faust delivers records late, twice or not at all around a rebalance (provenance.py). A lane asks here for every record
it is handed; nothing else decides. Pure: no clock, no consumer.
"""

from dataclasses import dataclass
from enum import Enum

from streams.transactions.provenance import Mark, Provenance


class Verdict(Enum):
    TAKE = "take"
    STALE = "stale"
    """Fetched before the last seek: it comes again."""
    REPEATED = "repeated"
    """Below the lane's position: it was taken before."""
    GAP = "gap"
    """A record fetched before this one never arrived: move the position to `resume_from` and take it from there."""


@dataclass(slots=True)
class Admission:
    """The position of one lane. `floor`: the epoch that was current when the lane became ready; only later ones count,
    because their seek read the committed offset after the former owner was fenced.
    """

    floor: int
    epoch: int = -1
    next_sequence: int = 0
    next_offset: int | None = None

    def judge(self, provenance: Provenance | None, mark: Mark | None, offset: int) -> Verdict:
        if provenance is None or mark is None or provenance.epoch != mark.epoch or provenance.epoch <= self.floor:
            return Verdict.STALE
        if provenance.epoch != self.epoch:
            self.epoch, self.next_sequence = provenance.epoch, 0
        if provenance.sequence != self.next_sequence:
            return Verdict.STALE if provenance.sequence < self.next_sequence else Verdict.GAP
        self.next_sequence += 1
        if self.next_offset is not None and offset < self.next_offset:
            return Verdict.REPEATED
        self.next_offset = offset + 1
        return Verdict.TAKE

    def is_owed(self, mark: Mark | None) -> bool:
        """Whether records were numbered in the current epoch that have not arrived here."""
        if mark is None or mark.epoch <= self.floor:
            return False
        arrived = self.next_sequence if mark.epoch == self.epoch else 0
        return mark.next_sequence > arrived

    def resume_from(self, mark: Mark) -> int:
        """Where to seek to so that nothing is left out and nothing taken before comes again."""
        return mark.sought if self.next_offset is None else max(self.next_offset, mark.sought)
