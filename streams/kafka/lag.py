"""How many records the workers still have before them: committed offsets against what there is.

Offsets alone do not tell: a topic that is written in transactions ends in a marker, which no worker commits past until
the next record. So a short distance is read, and only records are counted.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams.errors import LogUnavailable
from streams.kafka.reading import LOOKUP_SECONDS_MAX, beginning_offsets, end_offsets, read_ranges
from streams.settings import Settings
from streams.topics import group_name

COUNTED_OFFSETS_MAX = 500
"""A longer distance is reported as it is, markers included: it is far from idle, and reading it costs."""
RETRY_SECONDS = 0.1

Span = tuple[int, int]


class Lag:
    def __init__(
        self, settings: Settings, admin: AIOKafkaAdminClient, committed: AIOKafkaConsumer, all_records: AIOKafkaConsumer
    ) -> None:
        """`committed`, `all_records`: started consumers of the two isolation levels."""
        self._settings = settings
        self._admin = admin
        self._committed = committed
        self._all_records = all_records
        self._counted: dict[TopicPartition, tuple[Span, int]] = {}

    async def of(self, tps: list[TopicPartition]) -> dict[int, int]:
        """By partition of one topic. An open transaction counts as one record. Raises LogUnavailable."""
        # The committed offsets first: if a worker commits in between, the lag is too high, never too low.
        consumed = await self._consumed(tps)
        first = await beginning_offsets(self._committed, tps)
        stable = await end_offsets(self._committed, tps)
        last = await end_offsets(self._all_records, tps)
        spans = {tp: (max(consumed.get(tp, 0), first[tp]), stable[tp]) for tp in tps}
        counts = await self._counts(spans)
        return {tp.partition: counts[tp] + (1 if last[tp] > stable[tp] else 0) for tp in tps}

    async def _counts(self, spans: Mapping[TopicPartition, Span]) -> dict[TopicPartition, int]:
        to_read = {tp: span for tp, span in spans.items() if self._must_be_read(tp, span)}
        found = dict.fromkeys(to_read, 0)
        async for record in read_ranges(self._settings, to_read):
            found[TopicPartition(record.topic, record.partition)] += 1
        # Status asks again and again: while nothing has moved, the answer is known.
        self._counted |= {tp: (to_read[tp], count) for tp, count in found.items()}
        return {tp: found[tp] if tp in found else self._known(tp, span) for tp, span in spans.items()}

    def _must_be_read(self, tp: TopicPartition, span: Span) -> bool:
        start, end = span
        known = tp in self._counted and self._counted[tp][0] == span
        return 0 < end - start <= COUNTED_OFFSETS_MAX and not known

    def _known(self, tp: TopicPartition, span: Span) -> int:
        start, end = span
        if not 0 < end - start <= COUNTED_OFFSETS_MAX:
            return max(0, end - start)
        return self._counted[tp][1]

    async def _consumed(self, tps: list[TopicPartition]) -> dict[TopicPartition, int]:
        """The workers' committed offsets; partitions without one are left out."""
        group = group_name(self._settings)
        offsets = await asked(lambda: self._admin.list_consumer_group_offsets(group, partitions=tps))
        return {tp: at.offset for tp, at in offsets.items() if at.offset >= 0}


async def asked(question: Callable[[], Awaitable[Any]]) -> Any:
    """The answer to a question to the admin client, asked again while a coordinator or a connection is missing.

    Raises LogUnavailable.
    """
    failure: Exception | None = None
    try:
        async with asyncio.timeout(LOOKUP_SECONDS_MAX):
            while True:
                try:
                    return await question()
                except (KafkaError, OSError) as error:  # the first question to a new cluster makes its coordinator
                    failure = error
                await asyncio.sleep(RETRY_SECONDS)
    except TimeoutError:
        raise LogUnavailable(
            f"Kafka did not answer within {LOOKUP_SECONDS_MAX:.0f} s ({failure!r}): check the broker and try again."
        ) from failure
