"""Reading Kafka as a committed reader, outside of any group: ranges that end, and tails that do not.

Offsets of transaction markers and of aborted records are passed over, so the position, not the last record, says how
far a reader is. streams/kafka/log.py makes records of what comes from here.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Iterable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.errors import KafkaError

from streams.errors import LogUnavailable, LogUnusable
from streams.kafka.connection import client_arguments, unreachable
from streams.kafka.records import Consumed
from streams.log import Reached
from streams.settings import Settings

POLL_SECONDS = 0.1
"""Records wake a reader at once; this bounds how late it notices that only a marker or an aborted record was left."""
STALLED_SECONDS_MAX = 20.0
"""A range that does not move for so long will not: the broker is gone, and aiokafka would wait for it for ever."""
LOOKUP_SECONDS_MAX = 10.0
VISIBLE_SECONDS_MAX = 1.0
VISIBLE_POLL_SECONDS = 0.005
FETCH_WAIT_MS = 500
PARTITION_FETCH_BYTES = 4 * 1024 * 1024
"""What one fetch brings of a partition: a status that starts reads whole topics, so more than aiokafka's 1 MiB; it
bounds memory.
"""


@contextlib.asynccontextmanager
async def consumer(settings: Settings, *, committed: bool = True) -> AsyncIterator[AIOKafkaConsumer]:
    """A consumer of no group. Raises Unreachable when it cannot connect."""
    reader = new_consumer(settings, committed=committed)
    try:
        await start_consumer(settings, reader)
        yield reader
    finally:
        await reader.stop()


def new_consumer(settings: Settings, *, committed: bool = True) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        isolation_level="read_committed" if committed else "read_uncommitted",
        enable_auto_commit=False,
        auto_offset_reset="earliest",
        fetch_max_wait_ms=FETCH_WAIT_MS,
        max_partition_fetch_bytes=PARTITION_FETCH_BYTES,
        request_timeout_ms=int(LOOKUP_SECONDS_MAX * 1000),
        **client_arguments(settings),
    )


async def start_consumer(settings: Settings, reader: AIOKafkaConsumer) -> None:
    """Raises Unreachable."""
    try:
        await reader.start()
    except (KafkaError, OSError) as error:
        raise unreachable(settings, error) from error


async def read_ranges(
    settings: Settings, ranges: Mapping[TopicPartition, tuple[int, int]]
) -> AsyncGenerator[Consumed, None]:
    """Every committed record from start (or the first kept) to before end, partition by partition in order.

    Raises LogUnavailable when the broker stops answering.
    """
    open_ranges = {tp: span for tp, span in ranges.items() if span[0] < span[1]}
    if not open_ranges:
        return
    async with consumer(settings) as reader:
        reader.assign(list(open_ranges))
        for tp, (start, _) in open_ranges.items():
            reader.seek(tp, start)
        left = {tp: end for tp, (_, end) in open_ranges.items()}
        stalled = Stalled(await _positions(reader, left))
        while left:
            for tp, records in (await _fetched(reader)).items():
                for record in records:
                    if record.offset < left.get(tp, 0):
                        yield record
            positions = await _positions(reader, left)
            stalled.check(positions)
            for tp in [tp for tp, end in left.items() if positions[tp] >= end]:
                del left[tp]
                reader.pause(tp)


async def follow(
    settings: Settings, topic: str, start: Mapping[int, int], partitions: int
) -> AsyncGenerator[Consumed | Reached, None]:
    """Every committed record from `start`, for ever; a Reached when all that is there has been read, and again after
    each move of the end. While the broker is away it waits.

    Raises LogUnusable when the topic ends before `start`, Unreachable when the first connection fails.
    """
    async with consumer(settings) as reader:
        tps = [TopicPartition(topic, number) for number in range(partitions)]
        reader.assign(tps)
        ends = await end_offsets(reader, tps)
        _check_not_recreated(topic, start, ends)
        first = await beginning_offsets(reader, tps)
        for tp in tps:
            reader.seek(tp, max(start.get(tp.partition, 0), first[tp]))
        reached: dict[TopicPartition, int] | None = None
        while True:
            for records in (await _fetched(reader)).values():
                for record in records:
                    yield record
            positions = await _positions(reader, tps)
            ends = {tp: max(ends[tp], reader.last_stable_offset(tp) or 0) for tp in tps}
            if positions != reached and all(positions[tp] >= ends[tp] for tp in tps):
                reached = positions
                yield Reached({tp.partition: offset for tp, offset in positions.items()})


async def wait_until_visible(reader: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int]) -> None:
    """Until a committed reader can see the records at these offsets, which are committed already: the broker
    acknowledges a commit before it writes the markers. Gives up quietly: a worker's open transaction may be before
    them, and they are safe.
    """
    with contextlib.suppress(TimeoutError, KafkaError):
        async with asyncio.timeout(VISIBLE_SECONDS_MAX):
            ends = await reader.end_offsets(list(offsets))
            while any(ends[tp] <= offset for tp, offset in offsets.items()):
                await asyncio.sleep(VISIBLE_POLL_SECONDS)
                ends = await reader.end_offsets(list(offsets))


class Stalled:
    """Notices that nothing has moved for STALLED_SECONDS_MAX."""

    def __init__(self, positions: Mapping[TopicPartition, int]) -> None:
        self._positions = dict(positions)
        self._moved = asyncio.get_running_loop().time()

    def check(self, positions: Mapping[TopicPartition, int]) -> None:
        """Raises LogUnavailable."""
        now = asyncio.get_running_loop().time()
        if any(self._positions.get(tp) != offset for tp, offset in positions.items()):
            self._positions.update(positions)
            self._moved = now
        elif now - self._moved > STALLED_SECONDS_MAX:
            raise LogUnavailable(
                f"Kafka has sent nothing for {STALLED_SECONDS_MAX:.0f} s though there is more to read: check the broker"
                " and try again."
            )


async def end_offsets(reader: AIOKafkaConsumer, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
    """What a reader of its isolation level has before it: the last stable offset, or the high watermark.

    Raises LogUnavailable.
    """
    ends: dict[TopicPartition, int] = await _answered(reader.end_offsets(list(tps)))
    return ends


async def beginning_offsets(reader: AIOKafkaConsumer, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
    """Raises LogUnavailable."""
    beginnings: dict[TopicPartition, int] = await _answered(reader.beginning_offsets(list(tps)))
    return beginnings


async def offsets_at(reader: AIOKafkaConsumer, times: Mapping[TopicPartition, int]) -> dict[TopicPartition, int]:
    """The first offset at or after a time (ms since the epoch); partitions without one are left out.

    Raises LogUnavailable.
    """
    found = await _answered(reader.offsets_for_times(dict(times)))
    return {tp: at.offset for tp, at in found.items() if at is not None}


async def _answered(lookup: Awaitable[Any]) -> Any:
    try:
        async with asyncio.timeout(LOOKUP_SECONDS_MAX):
            return await lookup
    except (KafkaError, OSError, TimeoutError) as error:
        raise LogUnavailable(
            f"Kafka did not answer ({type(error).__name__}: {error}): check the broker and try again."
        ) from error


async def _fetched(reader: AIOKafkaConsumer) -> dict[TopicPartition, list[Consumed]]:
    try:
        fetched: dict[TopicPartition, list[Consumed]] = await reader.getmany(timeout_ms=int(POLL_SECONDS * 1000))
    except KafkaError as error:  # not allowed to read, or a record that cannot be fetched; never a lost connection
        raise LogUnusable(
            f"Kafka refuses to be read ({type(error).__name__}: {error}): allow MILLRACE_BROKER_USERNAME to read all"
            " topics of Millrace."
        ) from error
    return fetched


async def _positions(reader: AIOKafkaConsumer, tps: Iterable[TopicPartition]) -> dict[TopicPartition, int]:
    return {tp: await reader.position(tp) for tp in tps}


def _check_not_recreated(topic: str, start: Mapping[int, int], ends: Mapping[TopicPartition, int]) -> None:
    for tp, end in ends.items():
        if start.get(tp.partition, 0) > end:
            raise LogUnusable(
                f"{topic!r}, partition {tp.partition}, ends at {end}, but was read up to {start[tp.partition]} before:"
                " the topic was created anew or restored. Restore it, or remove what was built from it."
            )
