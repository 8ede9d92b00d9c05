"""Workers that die, lose partitions, take them over, stop: one performs an intent, and the budget is kept by all."""

import asyncio

from processors.messages import (
    BudgetSpent,
    Intent,
    Outcome,
)
from processors.record import Source
from streams.kit.calls import KIT_REQUEST_SECONDS_MAX
from tests.unit.dispatcher_world import World, of, virtual
from tests.unit.subscriber_table import EMAIL, KEY, align
from tests.unit.test_budget import most_in_a_minute
from tests.unit.virtual_time import until, wall_clock


async def _in_flight(world: World) -> None:
    """A worker has begun a request for KEY that Kit is slow to answer."""
    world.kit.faults.append("hang")
    await world.log.say(KEY, align("customer"))
    await until(lambda: world.kit.under_way)


@virtual
async def test_an_intent_of_a_dead_worker_is_waited_out_and_planned_again(world: World) -> None:
    first = await world.worker()
    await _in_flight(world)
    planned = world.log.messages(Intent)[0].planned_ms / 1000
    first.kill()
    await asyncio.sleep(4)
    second = await world.worker()
    await second.idle()
    assert world.kit.account.people[EMAIL].tags == {"customer"}
    made_again = world.kit.times[-2:]
    assert KIT_REQUEST_SECONDS_MAX <= made_again[0] - planned < KIT_REQUEST_SECONDS_MAX + 1


@virtual
async def test_an_outcome_that_a_former_owner_still_tells_is_taken_and_nothing_is_waited_out(world: World) -> None:
    first = await world.worker()
    await world.log.say(KEY, align("customer"))
    await until(lambda: world.kit.account.requests)
    first.close()
    second = await world.worker()
    seconds = await second.idle()
    assert seconds < 1
    await asyncio.sleep(3 * KIT_REQUEST_SECONDS_MAX)
    assert len(world.log.messages(Outcome)) == 1
    assert len(world.kit.account.requests) == 2


@virtual
async def test_an_intent_that_is_accepted_after_its_lane_was_closed_is_not_performed(world: World) -> None:
    worker = await world.worker()
    await world.log.say(*of(1, align("customer")))
    await worker.idle()
    made = len(world.kit.times)
    await world.log.say(KEY, align("customer"))
    for flap in range(20):  # more often than subscribers are served at once: nothing may be left behind
        await until(lambda: len(world.log.messages(Intent)) == 2 + flap)  # noqa: B023 - awaited within the turn
        worker.close()
        await worker.open()
        await asyncio.sleep(KIT_REQUEST_SECONDS_MAX - 1)
        assert len(world.kit.times) == made
    await worker.idle()
    assert world.kit.account.people[EMAIL].tags == {"customer"}


@virtual
async def test_an_intent_that_became_too_old_before_it_was_accepted_is_not_performed(world: World) -> None:
    worker = await world.worker()
    await world.log.say(*of(1, align("customer")))
    await worker.idle()
    await world.log.say(KEY, align("customer"))
    await until(lambda: len(world.log.messages(Intent)) >= 2)
    late = asyncio.get_running_loop()
    late.now += KIT_REQUEST_SECONDS_MAX + 1  # as SIGSTOP would
    await worker.idle()
    assert len(world.log.messages(Intent)) == 3
    assert len(world.kit.times) == len(world.kit.name_calls) + 4


@virtual
async def test_two_workers_share_the_budget_and_a_takeover_keeps_to_it(world: World) -> None:
    per_minute = 40
    first = await world.worker(0, 1, per_minute=per_minute)
    second = await world.worker(2, 3, per_minute=per_minute)
    for number in range(150):
        await world.log.say(*of(number, align("customer")))
    await asyncio.sleep(100)
    first.kill()
    await second.open(0, 1)
    await asyncio.sleep(100)
    second.close(0)
    third = await world.worker(0, per_minute=per_minute)
    await until(lambda: len(world.kit.account.requests) >= 300, step_seconds=1)
    await third.idle()
    await second.idle()
    assert most_in_a_minute(world.kit.times) <= per_minute
    assert len(world.kit.account.people) == 150
    first.crashes.clear()


@virtual
async def test_a_restart_counts_what_was_spent_before_it(world: World) -> None:
    first = await world.worker(per_minute=20)
    for number in range(9):
        await world.log.say(*of(number, align("customer")))
    await asyncio.sleep(5)
    first.kill()
    second = await world.worker(per_minute=20)
    for number in range(10, 30):
        await world.log.say(*of(number, align("customer")))
    await second.idle()
    assert most_in_a_minute(world.kit.times) <= 20


@virtual
async def test_what_a_worker_with_a_clock_far_ahead_has_spent_expires_like_all_else(world: World) -> None:
    tomorrow_ms = int(wall_clock() + 24 * 3600) * 1000
    await world.log.say("budget:0", BudgetSpent(requests=10, planned_ms=tomorrow_ms), Source.KIT)
    worker = await world.worker(per_minute=10)
    await world.log.say(KEY, align("customer"))
    assert 60 < await worker.idle() < 120


@virtual
async def test_stopping_lets_requests_under_way_end_and_tells_their_outcome(world: World) -> None:
    worker = await world.worker()
    for number in range(40):
        await world.log.say(*of(number, align("customer")))
    await until(lambda: len(world.kit.account.requests) >= 10)
    began = wall_clock()
    await worker.dispatcher.stop()
    assert wall_clock() - began < 5
    asked = len(world.kit.times)
    told = {outcome.intent for outcome in world.log.messages(Outcome)}
    made = sum(len(intent.requests) for intent in world.log.messages(Intent) if intent.id in told)
    assert made == len(world.kit.account.requests)
    await asyncio.sleep(600)
    assert len(world.kit.times) == asked


@virtual
async def test_stopping_does_not_wait_for_a_kit_that_hangs(world: World) -> None:
    worker = await world.worker()
    await _in_flight(world)
    began = wall_clock()
    await worker.dispatcher.stop()
    assert wall_clock() - began <= 5.1
