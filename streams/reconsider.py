"""After a new catalogue: every customer of the partitions held here is asked to decide anew (docs/design.md §4).

Listens to the lanes of the customers agent. A customer is behind when it last decided by another catalogue than the
one in its partition; those behind are sent `Reconsider`, a few at a time, and the next ones only when the agent has
taken these: live events wait behind a handful of records, never behind all customers. `CustomersReconsidered` ends it:
it stands behind all of them in the partition. What a crash leaves undone is found again when the lane opens.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence

import structlog

from processors.customer import AppliedCatalogue, Customer, CustomersState
from processors.ids import CatalogueVersion, catalogue_key
from processors.messages import CustomersReconsidered, Reconsider, encode
from processors.record import Source, Topic
from streams.errors import LogUnavailable
from streams.log import Log, NewRecord

IN_FLIGHT_MAX = 50
"""Reconsiderations under way in one partition: a live event waits for no more than these."""

ROOM_SECONDS_MAX = 10.0
"""One that became a dead letter leaves no state by which it could be seen: the next ones wait no longer for it."""

RETRY_SECONDS = 1.0
"""When the log does not take a record; it says so itself only after some seconds."""

logger = structlog.get_logger(__name__)

KeysOf = Callable[[int], Iterable[tuple[str, CustomersState]]]
"""All states of one partition, as committed."""


class Reconsiderer:
    """A `LaneListener` of the customers agent. `states_of` is asked once for each new catalogue and partition.
    `on_crash`: what ends a round but its lane; the worker must stop, or the catalogue would never be settled.
    """

    def __init__(
        self,
        log: Log,
        states_of: KeysOf,
        *,
        on_crash: Callable[[BaseException], object],
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._log = log
        self._states_of = states_of
        self._on_crash = on_crash
        self._clock = clock
        self._rounds: dict[int, _Round] = {}

    def lane_opened(self, partition: int, lane: str, states: Iterable[tuple[str, CustomersState]]) -> None:  # noqa: ARG002 - the listener's signature
        self._begin(partition, states)

    def committed(self, partition: int, states: Sequence[tuple[str, CustomersState]]) -> None:
        if any(isinstance(state, AppliedCatalogue) and not state.settled for _, state in states):
            self._begin(partition, self._states_of(partition))
        elif partition in self._rounds:
            self._rounds[partition].saw(states)

    def lane_closed(self, partition: int) -> None:
        if (under_way := self._rounds.pop(partition, None)) is not None:
            under_way.cancel()

    async def stop(self) -> None:
        rounds, self._rounds = self._rounds, {}
        for under_way in rounds.values():
            under_way.cancel()
            await under_way.ended()

    def _begin(self, partition: int, states: Iterable[tuple[str, CustomersState]]) -> None:
        if (earlier := self._rounds.pop(partition, None)) is not None:
            earlier.cancel()
        applied, behind = _behind(states)
        if applied is not None and not applied.settled:
            if behind:
                logger.info("customers decide anew", action="reconsider", partition=partition, customers=len(behind))
            self._rounds[partition] = _Round(
                self._log, partition, applied.version, behind, on_crash=self._on_crash, clock=self._clock
            )


def _behind(states: Iterable[tuple[str, CustomersState]]) -> tuple[AppliedCatalogue | None, deque[str]]:
    applied: AppliedCatalogue | None = None
    decided: list[tuple[str, CatalogueVersion | None]] = []
    for key, state in states:
        match state:
            case AppliedCatalogue():
                applied = state
            case Customer():
                decided.append((key, state.catalogue))
    return applied, deque(key for key, by in decided if applied is None or by != applied.version)


class _Round:
    """One catalogue, one partition, until every customer that was behind has decided anew."""

    def __init__(
        self,
        log: Log,
        partition: int,
        version: CatalogueVersion,
        behind: deque[str],
        *,
        on_crash: Callable[[BaseException], object],
        clock: Callable[[], float],
    ) -> None:
        self._log = log
        self._partition = partition
        self._version = version
        self._behind = behind
        self._clock = clock
        self._in_flight: set[str] = set()
        self._room = asyncio.Event()
        self._on_crash = on_crash
        self._task = asyncio.create_task(self._run(), name=f"reconsider {partition}")
        self._task.add_done_callback(self._has_ended)

    def saw(self, states: Sequence[tuple[str, CustomersState]]) -> None:
        self._in_flight.difference_update(key for key, _ in states)
        self._room.set()

    def cancel(self) -> None:
        self._task.cancel()

    async def ended(self) -> None:
        await asyncio.wait({self._task})

    def _has_ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_crash(error)

    async def _run(self) -> None:
        while self._behind:
            if len(self._in_flight) >= IN_FLIGHT_MAX:
                await self._room_made()
            key = self._behind.popleft()
            self._in_flight.add(key)
            await self._send(key, Reconsider(version=self._version))
        await self._send(catalogue_key(self._partition), CustomersReconsidered(version=self._version))

    async def _room_made(self) -> None:
        self._room.clear()
        try:
            async with asyncio.timeout(ROOM_SECONDS_MAX):
                while len(self._in_flight) >= IN_FLIGHT_MAX:
                    await self._room.wait()
                    self._room.clear()
        except TimeoutError:
            self._in_flight.clear()

    async def _send(self, key: str, message: Reconsider | CustomersReconsidered) -> None:
        record = NewRecord(
            topic=Topic.CUSTOMER_EVENTS,
            key=key.encode(),
            value=encode(message),
            source=Source.REPLAY,
            received_ms=int(self._clock() * 1000),
            partition=self._partition,
        )
        while True:
            try:
                await self._log.append(record)
            except LogUnavailable as error:
                logger.warning("the log does not take a reconsideration yet", action="reconsider", reason=str(error))
                await asyncio.sleep(RETRY_SECONDS)
            else:
                return
