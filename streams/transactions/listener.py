"""Who is told about an agent's lanes: what is kept in memory for a partition (due times, pending work) hangs on it."""

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

S_contra = TypeVar("S_contra", contravariant=True)


class LaneListener(Protocol[S_contra]):
    """Called in the event loop, in the order of events of a partition. What it raises stops the worker."""

    def lane_opened(self, partition: int, lane: str, states: Iterable[tuple[str, S_contra]]) -> None:
        """This worker holds the partition and the table is recovered; no record has been processed yet.

        `lane` is unique for each hold. `states` is to be read within the call: every key of the partition.
        """

    def committed(self, partition: int, states: Sequence[tuple[str, S_contra]]) -> None:
        """After every commit: the last state of each key that the batch wrote (none where it wrote none)."""

    def lane_closed(self, partition: int) -> None:
        """The partition is given up: the last commit has been made. Called once for each `lane_opened`."""


class NobodyListens:
    """For an agent of which nothing is kept in memory."""

    def lane_opened(self, partition: int, lane: str, states: Iterable[tuple[str, object]]) -> None:
        pass

    def committed(self, partition: int, states: Sequence[tuple[str, object]]) -> None:
        pass

    def lane_closed(self, partition: int) -> None:
        pass
