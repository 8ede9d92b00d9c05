"""The log's end below what has been processed: the topic was created anew, or restored from an older copy."""

from faust.types import TP

from streams.errors import LogUnusable


def refuse_beyond_end(tp: TP, committed: int | None, end: int) -> None:
    """Raises LogUnusable. Going on would either skip what is written next, or process everything a second time."""
    if committed is not None and committed > end:
        raise LogUnusable(
            f"{tp.topic}, partition {tp.partition}, ends at offset {end}, but the workers have processed it up to "
            f"{committed}: the topic was created anew or restored from an older copy. Restore the newer copy; or, to "
            "begin anew, delete the tables' changelog topics and the group's committed offsets as well."
        )
