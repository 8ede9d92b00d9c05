"""Committed offsets that cannot be right: going on would process everything a second time, or skip what comes next.

Asked wherever a consumer is about to seek to them; what is raised stops the worker.
"""

from faust.types import TP

from streams.errors import LogUnusable


def refuse_beyond_end(tp: TP, committed: int | None, end: int) -> None:
    """The topic was created anew, or restored from an older copy. Raises LogUnusable."""
    if committed is not None and committed > end:
        raise LogUnusable(
            f"{tp.topic}, partition {tp.partition}, ends at offset {end}, but the workers have processed it up to "
            f"{committed}: the topic was created anew or restored from an older copy. Restore the newer copy; or, to "
            "begin anew, delete the tables' changelog topics and the group's committed offsets as well."
        )


def refuse_forgotten(tp: TP, committed: int | None, *, has_states: bool) -> None:
    """Transactions commit states and offset together, so states without an offset mean that it was lost: Kafka drops
    the offsets of a deleted topic, and those of a group that was away for a week. Raises LogUnusable.
    """
    if committed is None and has_states:
        raise LogUnusable(
            f"the table holds what was processed of {tp.topic}, partition {tp.partition}, but how far that was is no "
            "longer known: the topic was deleted, or the workers were stopped for longer than the broker keeps their "
            "offsets (offsets.retention.minutes). Set the group's offset to where it was; or, to process the topic "
            "from its beginning, delete the tables' changelog topics."
        )
