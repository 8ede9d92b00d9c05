"""What the dispatcher does when Kit or the log fails: nothing is lost, nothing is hammered, nothing is done twice."""

import asyncio

import pytest

from processors.messages import (
    Intent,
)
from streams.kit.calls import KIT_REQUEST_SECONDS_MAX
from tests.unit.dispatcher_world import World, of, virtual
from tests.unit.subscriber_table import EMAIL, KEY, align, enrol
from tests.unit.virtual_time import until, wall_clock


@virtual
async def test_what_kit_answers_500_to_is_asked_again_until_it_holds(world: World) -> None:
    worker = await world.worker()
    world.kit.faults.extend(["500", "500 done", "ok", "500", "500", "ok", "500 done"])
    await world.log.say(KEY, align("customer", "vip"))
    await world.log.say(KEY, enrol())
    seconds = await worker.idle()
    assert world.kit.account.people[EMAIL].tags == {"customer", "vip"}
    assert worker.table[KEY].attempts == 0
    assert seconds < 60


@virtual
async def test_a_request_that_hangs_is_cut_off_and_asked_again(world: World) -> None:
    worker = await world.worker()
    world.kit.faults.append("hang")
    await world.log.say(KEY, align("customer"))
    seconds = await worker.idle()
    assert world.kit.account.people[EMAIL].tags == {"customer"}
    assert KIT_REQUEST_SECONDS_MAX <= seconds < KIT_REQUEST_SECONDS_MAX + 5


@virtual
async def test_one_subscriber_that_fails_does_not_hold_up_the_others(world: World) -> None:
    worker = await world.worker()
    world.kit.faults.append("hang")
    await world.log.say(KEY, align("customer"))
    await asyncio.sleep(1)
    began = wall_clock()
    await world.log.say(*of(1, align("customer")))
    await until(lambda: "s1@example.com" in world.kit.account.people)
    assert wall_clock() - began < 1
    await worker.idle()


@virtual
async def test_a_429_pauses_the_whole_line_and_then_all_lands(world: World) -> None:
    worker = await world.worker()
    world.kit.always = "429"
    for number in range(40):
        await world.log.say(*of(number, align("customer")))
    await asyncio.sleep(300)
    refused = len(world.kit.times)
    assert refused < 40, "the line tries in vain, ever more rarely"
    assert worker.dispatcher.status().refused_429 > 0
    world.kit.always = None
    seconds = await worker.idle()
    assert len(world.kit.account.people) == 40
    assert seconds < 70


@virtual
async def test_requests_refused_together_pause_the_line_once(world: World) -> None:
    worker = await world.worker()
    await world.log.say("names", align("customer"))
    await worker.idle()
    world.kit.faults.extend(["429"] * 16)
    for number in range(40):
        await world.log.say(*of(number, align("customer")))
    seconds = await worker.idle()
    assert worker.dispatcher.status().refused_429 > 8
    assert seconds < 15


@virtual
async def test_a_401_stops_the_line_loudly_and_it_goes_on_when_the_key_is_good_again(world: World) -> None:
    worker = await world.worker()
    world.kit.always = "401"
    for number in range(40):
        await world.log.say(*of(number, align("customer")))
    await asyncio.sleep(3600)
    assert worker.dispatcher.status().stopped
    assert len(world.kit.times) < 3600 / 30 + 40
    assert worker.dispatcher.status().waiting == 40
    world.kit.always = None
    seconds = await worker.idle()
    assert not worker.dispatcher.status().stopped
    assert len(world.kit.account.people) == 40
    assert seconds < 60


@pytest.mark.parametrize("fault", ["429", "401", "500"])
def test_names_that_cannot_be_loaded_now_are_loaded_later(fault: str) -> None:
    @virtual
    async def scenario(world: World) -> None:
        world.kit.name_faults.extend([fault] * 4)
        worker = await world.worker()
        for number in range(20):
            await world.log.say(*of(number, align("customer")))
        await worker.idle()
        assert len(world.kit.account.people) == 20
        assert len(world.kit.name_calls) == 5

    scenario()


@virtual
async def test_a_log_that_does_not_acknowledge_is_asked_again_and_nothing_is_done_twice(world: World) -> None:
    worker = await world.worker()
    for after_writing in (True, False):
        world.log.failures, world.log.fails_after_writing = 5, after_writing
        while world.log.failures:
            try:
                await world.log.say(KEY, enrol())
            except Exception:  # noqa: BLE001 - what the customers agent would do is not tested here
                await asyncio.sleep(0.2)
    await worker.idle()
    assert world.kit.account.people[EMAIL].sequences == [7]


@virtual
async def test_an_intent_written_twice_by_an_unacknowledged_append_is_performed_once(world: World) -> None:
    worker = await world.worker()
    await world.log.say(*of(1, align("customer")))
    await worker.idle()
    await world.log.say(KEY, align("customer"))
    world.log.failures, world.log.fails_after_writing = 1, True
    await worker.idle()
    intents = [intent for intent in world.log.messages(Intent) if intent.requests[0].email == EMAIL]
    assert len(intents) == 2
    assert len({intent.id for intent in intents}) == 1
    assert len(world.kit.account.requests) == 4
