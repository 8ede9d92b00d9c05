"""Kit's budget: never more than so many requests in any minute, and not a moment later than that allows."""

import asyncio
import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.kit.budget import WINDOW_SECONDS, Reservation, RollingBudget, share_of
from tests.unit.virtual_time import EPOCH, run_virtual, wall_clock

MINUTE = 60.0


class Clock:
    def __init__(self) -> None:
        self.now = EPOCH

    def __call__(self) -> float:
        return self.now


def spend(budget: RollingBudget, requests: int) -> None:
    async def taken() -> Reservation:
        return await budget.take(requests)

    reservation = asyncio.run(taken())
    for _ in range(requests):
        reservation.made()


def most_in_a_minute(times: list[float]) -> int:
    return max((sum(1 for other in times if at <= other <= at + MINUTE) for at in times), default=0)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 12),
    st.lists(st.tuples(st.floats(0, 90), st.integers(1, 4), st.floats(0, 8), st.booleans()), min_size=1, max_size=25),
)
def test_no_minute_ever_holds_more_requests_than_the_budget(per_minute: int, takers: list) -> None:
    """Each taker comes at a time, takes some, and makes them slowly; Kit counts each somewhere while it is made."""

    async def scenario() -> list[float]:
        budget = RollingBudget(per_minute, wall_clock)
        counted: list[float] = []

        async def taker(comes: float, wanted: int, seconds: float, counted_early: bool) -> None:
            await asyncio.sleep(comes)
            reservation = await budget.take(1)
            for _ in range(reservation.grown(wanted)):
                began = wall_clock()
                await asyncio.sleep(seconds)
                counted.append(began if counted_early else wall_clock())
                reservation.made()
            reservation.release()

        async with asyncio.TaskGroup() as group:
            for come in takers:
                group.create_task(taker(*come))
        return counted

    counted = run_virtual(scenario())
    assert len(counted) >= len(takers)
    assert most_in_a_minute(counted) <= per_minute


def test_all_of_it_goes_at_once_after_a_quiet_minute() -> None:
    budget = RollingBudget(120, Clock())
    assert budget.when(120) == 0
    spend(budget, 120)
    assert budget.when(1) == pytest.approx(WINDOW_SECONDS)


def test_each_request_makes_room_a_minute_after_it_ended() -> None:
    clock = Clock()
    budget = RollingBudget(2, clock)
    spend(budget, 1)
    clock.now += 10
    spend(budget, 1)
    assert budget.when(1) == pytest.approx(WINDOW_SECONDS - 10)
    assert budget.when(2) == pytest.approx(WINDOW_SECONDS)
    clock.now += WINDOW_SECONDS - 10
    assert budget.when(1) == 0


def test_what_is_reserved_and_not_made_is_given_back() -> None:
    async def scenario() -> None:
        budget = RollingBudget(3, wall_clock)
        reservation = await budget.take(3)
        assert budget.when(1) == math.inf
        waiter = asyncio.create_task(budget.take(2))
        await asyncio.sleep(5)
        reservation.made()
        reservation.release()
        await waiter
        assert wall_clock() == pytest.approx(EPOCH + 5)

    run_virtual(scenario())


def test_a_taker_that_is_cancelled_takes_nothing() -> None:
    async def scenario() -> None:
        budget = RollingBudget(1, wall_clock)
        first = await budget.take(1)
        waiter = asyncio.create_task(budget.take(1))
        await asyncio.sleep(1)
        waiter.cancel()
        first.release()
        await asyncio.sleep(0)
        assert budget.free() == 1

    run_virtual(scenario())


def test_a_reservation_grows_only_by_what_is_free() -> None:
    async def scenario() -> None:
        budget = RollingBudget(5, wall_clock)
        reservation = await budget.take(1)
        other = await budget.take(2)
        assert reservation.grown(4) == 3
        assert other.grown(1) == 1
        assert budget.free() == 0

    run_virtual(scenario())


@given(st.integers(1, 700), st.integers(1, 64), st.randoms(use_true_random=False))
def test_the_shares_of_all_workers_add_up_to_the_whole(per_minute: int, partitions: int, random) -> None:
    workers = [random.randrange(4) for _ in range(partitions)]
    shares = [share_of(per_minute, [p for p in range(partitions) if workers[p] == w], partitions) for w in range(4)]
    assert sum(shares) == per_minute


def test_what_former_owners_spent_counts_against_the_share_until_it_expires() -> None:
    clock = Clock()
    budget = RollingBudget(120, clock)
    budget.hold(60)
    budget.seed(inherited=[clock.now - 50] * 60, others=[])
    assert budget.when(1) == pytest.approx(WINDOW_SECONDS - 50)
    clock.now += WINDOW_SECONDS - 50
    assert budget.free() == 60


def test_what_others_spent_leaves_less_of_the_whole_until_it_expires() -> None:
    clock = Clock()
    budget = RollingBudget(120, clock)
    budget.hold(60)
    budget.seed(inherited=[], others=[clock.now - 10] * 100)
    assert budget.free() == 20
    clock.now += WINDOW_SECONDS - 10
    assert budget.free() == 60


def test_a_worker_without_partitions_waits_until_it_has_some() -> None:
    async def scenario() -> None:
        budget = RollingBudget(120, wall_clock)
        budget.hold(0)
        waiter = asyncio.create_task(budget.take(1))
        await asyncio.sleep(3600)
        assert not waiter.done()
        budget.hold(15)
        await waiter

    run_virtual(scenario())
