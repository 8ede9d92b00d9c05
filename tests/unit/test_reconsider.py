"""Reconsideration after a new catalogue: everyone behind is asked once, a few at a time, and the end is said."""

import asyncio
from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from processors.customer import NEW, AppliedCatalogue, CustomersState
from processors.ids import CatalogueVersion, catalogue_key
from processors.messages import CustomersReconsidered, Reconsider, decode_customer_message
from streams.errors import LogUnavailable, LogUnusable
from streams.log import NewRecord, Position
from streams.reconsider import IN_FLIGHT_MAX, ROOM_SECONDS_MAX, Reconsiderer
from tests.unit.virtual_time import run_virtual

OLD, CURRENT = CatalogueVersion("old"), CatalogueVersion("current")


class AppendedTo:
    """The appending half of a log, which may refuse at first."""

    def __init__(self, refusals: int = 0) -> None:
        self.records: list[NewRecord] = []
        self._refusals = refusals

    async def append(self, record: NewRecord) -> Position:
        if self._refusals:
            self._refusals -= 1
            raise LogUnavailable("away")
        self.records.append(record)
        return Position(record.partition or 0, len(self.records) - 1)

    def messages(self) -> list[tuple[str, Any]]:
        return [(record.key.decode(), decode_customer_message(record.value)) for record in self.records]


def applied(*, settled: bool = False) -> tuple[str, CustomersState]:
    return catalogue_key(2), AppliedCatalogue(last_offset=0, version=CURRENT, document={}, settled=settled)


def decided(name: str, by: CatalogueVersion | None) -> tuple[str, CustomersState]:
    return name, replace(NEW, catalogue=by)


def crashed(error: BaseException) -> None:
    raise AssertionError("a round has crashed") from error


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not holds():
            await asyncio.sleep(0)


async def test_those_behind_are_asked_and_then_the_end_is_said():
    log = AppendedTo()
    states = [decided("cus_1", OLD), applied(), decided("cus_2", CURRENT), decided("cus_3", None)]
    reconsiderer = Reconsiderer(log, lambda _partition: states, on_crash=crashed, clock=lambda: 1.5)  # type: ignore[arg-type]
    reconsiderer.lane_opened(2, "lane", states)
    await until(lambda: len(log.records) == 3)
    assert log.messages() == [
        ("cus_1", Reconsider(version=CURRENT)),
        ("cus_3", Reconsider(version=CURRENT)),
        (catalogue_key(2), CustomersReconsidered(version=CURRENT)),
    ]
    assert {(record.partition, record.received_ms) for record in log.records} == {(2, 1500)}
    await reconsiderer.stop()


async def test_a_settled_catalogue_asks_nobody():
    log = AppendedTo()
    reconsiderer = Reconsiderer(log, lambda _partition: [], on_crash=crashed, clock=lambda: 0)  # type: ignore[arg-type]
    reconsiderer.lane_opened(2, "lane", [applied(settled=True), decided("cus_1", CURRENT)])
    reconsiderer.committed(2, [applied(settled=True)])
    await asyncio.sleep(0)
    await reconsiderer.stop()
    assert log.records == []


async def test_live_events_wait_behind_a_handful_only():
    log = AppendedTo()
    many = [decided(f"cus_{number}", OLD) for number in range(3 * IN_FLIGHT_MAX)]
    reconsiderer = Reconsiderer(log, lambda _partition: [applied(), *many], on_crash=crashed, clock=lambda: 0)  # type: ignore[arg-type]
    reconsiderer.committed(2, [applied()])
    await until(lambda: len(log.records) == IN_FLIGHT_MAX)
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(log.records) == IN_FLIGHT_MAX
    reconsiderer.committed(2, [decided("cus_0", CURRENT)])
    await until(lambda: len(log.records) == IN_FLIGHT_MAX + 1)
    reconsiderer.lane_closed(2)
    await reconsiderer.stop()


async def test_a_log_that_is_away_is_asked_again(monkeypatch: Any):
    monkeypatch.setattr("streams.reconsider.RETRY_SECONDS", 0)
    log = AppendedTo(refusals=2)
    states = [applied(), decided("cus_1", OLD)]
    reconsiderer = Reconsiderer(log, lambda _partition: states, on_crash=crashed, clock=lambda: 0)  # type: ignore[arg-type]
    reconsiderer.lane_opened(2, "lane", states)
    await until(lambda: len(log.records) == 2)
    await reconsiderer.stop()


async def test_a_lane_that_closes_ends_its_round():
    log = AppendedTo()
    states = [applied(), decided("cus_1", OLD), decided("cus_2", OLD)]
    reconsiderer = Reconsiderer(log, lambda _partition: states, on_crash=crashed, clock=lambda: 0)  # type: ignore[arg-type]
    reconsiderer.lane_opened(2, "lane", states)
    reconsiderer.lane_closed(2)
    reconsiderer.committed(2, [decided("cus_1", CURRENT)])
    await asyncio.sleep(0)
    await reconsiderer.stop()
    assert log.records == []


def test_reconsiderations_that_become_dead_letters_hold_the_others_up_for_a_while_only():
    """What a step raises for leaves no state that could be seen."""

    async def scenario() -> None:
        log = AppendedTo()
        many = [decided(f"cus_{number}", OLD) for number in range(2 * IN_FLIGHT_MAX + 1)]
        reconsiderer = Reconsiderer(log, lambda _partition: [applied(), *many], on_crash=crashed)  # type: ignore[arg-type]
        reconsiderer.committed(2, [applied()])
        await asyncio.sleep(2 * ROOM_SECONDS_MAX + 1)
        assert log.messages()[-1] == (catalogue_key(2), CustomersReconsidered(version=CURRENT))
        assert len(log.records) == len(many) + 1
        await reconsiderer.stop()

    run_virtual(scenario())


async def test_a_log_that_cannot_be_used_stops_the_worker():
    class Broken(AppendedTo):
        async def append(self, record: NewRecord) -> Position:
            raise LogUnusable("damaged")

    crashes: list[BaseException] = []
    states = [applied(), decided("cus_1", OLD)]
    reconsiderer = Reconsiderer(Broken(), lambda _partition: states, on_crash=crashes.append)  # type: ignore[arg-type]
    reconsiderer.lane_opened(2, "lane", states)
    await until(lambda: bool(crashes))
    assert isinstance(crashes[0], LogUnusable)
    await reconsiderer.stop()
