"""The Kit dispatcher between a log, workers and a Kit in memory, in virtual time: all gets done, within the budget."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from msgspec.structs import replace

from processors.messages import (
    AddTag,
    AddToSequence,
    Align,
    BudgetSpent,
    Enrol,
    Intent,
    Outcome,
    RemoveTag,
    Upsert,
    Withheld,
)
from processors.record import Source
from streams.kit.calls import KIT_REQUEST_SECONDS_MAX
from streams.topics import partition_of
from tests.unit.dispatcher_world import PARTITIONS, World
from tests.unit.memory_kit import Person
from tests.unit.subscriber_table import EMAIL, align, enrol
from tests.unit.test_budget import most_in_a_minute
from tests.unit.virtual_time import run_virtual, until, wall_clock

KEY = "8f1"


def virtual(scenario: Callable[[World], Awaitable[None]]) -> Callable[[], None]:
    """Runs the test in virtual time, with a world that is taken down after it."""

    async def lived() -> None:
        async with World() as world:
            await scenario(world)

    def test() -> None:
        run_virtual(lived())

    test.__name__ = scenario.__name__
    test.__doc__ = scenario.__doc__
    return test


def of(number: int, message: Align | Enrol) -> tuple[str, Align | Enrol]:
    """The same wish of another subscriber."""
    return f"key{number}", replace(message, email=f"s{number}@example.com")


# --- the way of a purchase ------------------------------------------------------------------------------------


@virtual
async def test_a_purchase_reaches_kit_in_one_intent(world: World) -> None:
    worker = await world.worker()
    await world.log.say(KEY, align("customer", "vip", fields={"field 1": "Pro"}))
    await world.log.say(KEY, enrol())
    await worker.idle()
    assert [type(request) for request in world.kit.account.requests] == [Upsert, AddTag, AddTag, AddToSequence]
    assert len(world.log.messages(Intent)) == 1
    person = world.kit.account.people[EMAIL]
    assert (person.tags, person.sequences) == ({"customer", "vip"}, [7])


@virtual
async def test_a_redelivery_costs_no_request(world: World) -> None:
    worker = await world.worker()
    for version in (1, 1, 2):
        await world.log.say(KEY, align("customer", version=version))
        await world.log.say(KEY, enrol())
        await worker.idle()
    assert len(world.kit.account.requests) == 3


@virtual
async def test_no_request_is_made_before_its_intent_is_committed(world: World) -> None:
    worker = await world.worker()
    await world.log.say(*of(1, align("customer")))
    await worker.idle()
    made = len(world.kit.times)
    await world.log.say(KEY, align("customer"))
    await until(lambda: KEY in worker.table)
    worker.folds.clear()
    await asyncio.sleep(5)
    assert len(world.log.messages(Intent)) == 2
    assert len(world.kit.times) == made
    worker.folds.set()
    await worker.idle()
    assert len(world.kit.times) == made + 2


@virtual
async def test_an_idle_dispatcher_does_nothing(world: World) -> None:
    worker = await world.worker()
    await world.log.say(KEY, align("customer"))
    await worker.idle()
    before = world.kit.times[:]
    loop = asyncio.get_running_loop()
    assert [timer for timer in loop._scheduled if not timer.cancelled()] == []
    await asyncio.sleep(24 * 3600)
    assert world.kit.times == before


@virtual
async def test_wishes_that_come_while_it_waits_cost_one_set_of_requests(world: World) -> None:
    worker = await world.worker(per_minute=8)
    for number in range(2):
        await world.log.say(*of(number, align("customer")))
    await worker.idle()
    while worker.dispatcher._budget.free():
        (await worker.dispatcher._budget.take(1)).made()
    for version in range(2, 30):
        await world.log.say(KEY, align("customer", fields={"field 1": str(version)}, version=version))
    await worker.idle()
    of_subscriber = [request for request in world.kit.account.requests if getattr(request, "email", "") == EMAIL]
    assert [type(request) for request in of_subscriber] == [Upsert, AddTag]


@virtual
async def test_an_intent_that_a_newer_wish_overtakes_is_refused_and_planned_again(world: World) -> None:
    worker = await world.worker()
    await world.log.say(*of(1, align("customer")))
    await worker.idle()
    world.log.intent_seconds = 0.5
    await world.log.say(KEY, align("customer"))
    await until(lambda: KEY in worker.table)
    await world.log.say(KEY, align("vip", version=2))  # before the intent that is being appended
    await worker.idle()
    refused, performed = [intent for intent in world.log.messages(Intent) if intent.requests[0].email == EMAIL]
    assert [outcome.intent for outcome in world.log.messages(Outcome)][-1] == performed.id
    assert refused.revision == 1
    assert [type(request) for request in world.kit.account.requests[2:]] == [Upsert, AddTag]
    assert world.kit.account.people[EMAIL].tags == {"vip"}


@virtual
async def test_a_wish_that_comes_while_requests_are_made_is_served_after_them(world: World) -> None:
    worker = await world.worker()
    await world.log.say(KEY, align("customer"))
    await until(lambda: world.kit.under_way)
    await world.log.say(KEY, align("vip", version=2))
    await worker.idle()
    assert [type(request) for request in world.kit.account.requests] == [Upsert, AddTag, AddTag, RemoveTag]
    assert world.kit.account.people[EMAIL].tags == {"vip"}


@virtual
async def test_a_cancelled_subscriber_gets_tags_and_is_never_enrolled(world: World) -> None:
    world.kit.account.people[EMAIL] = Person(5, "cancelled")
    worker = await world.worker()
    await world.log.say(KEY, align("customer"))
    await world.log.say(KEY, enrol())
    await worker.idle()
    await world.log.say(KEY, enrol("enrol:in_2"))  # now the state is known
    await worker.idle()
    assert [type(request) for request in world.kit.account.requests] == [Upsert, AddTag]
    withheld = [result for outcome in world.log.messages(Outcome) for result in outcome.results]
    assert withheld.count(Withheld(state="cancelled")) == 2


@virtual
async def test_different_subscribers_are_served_side_by_side_up_to_a_limit(world: World) -> None:
    worker = await world.worker()
    for number in range(60):
        await world.log.say(*of(number, align("customer")))
    seconds = await worker.idle()
    assert len(world.kit.account.people) == 60
    assert 8 <= world.kit.under_way_most <= 16
    assert seconds < 60 * 0.2


# --- names ----------------------------------------------------------------------------------------------------


@virtual
async def test_names_are_loaded_once_page_by_page_and_each_page_is_written_down_first(world: World) -> None:
    worker = await world.worker()
    for number in range(5):
        await world.log.say(*of(number, align("customer", fields={"field 24": "x"})))
    await worker.idle()
    assert sorted(world.kit.name_calls) == ["fields", "fields", "tags"]
    assert sum(spent.requests for spent in world.log.messages(BudgetSpent)) == 3
    assert worker.dispatcher.status().requests == len(world.kit.times)


@virtual
async def test_missing_tags_and_fields_are_created_once(world: World) -> None:
    worker = await world.worker()
    for number in range(5):
        await world.log.say(*of(number, align("Brand New", fields={"new field": "x"})))
    await worker.idle()
    assert sorted(world.kit.name_calls)[:2] == ["create field new field", "create tag Brand New"]
    assert len(world.kit.name_calls) == 5
    assert all(person.tags == {"brand new"} for person in world.kit.account.people.values())


@virtual
async def test_what_may_not_be_created_is_parked_and_the_rest_goes_on(world: World) -> None:
    worker = await world.worker()
    await world.log.say(KEY, align("customer", "Brand New", create_missing=False))
    await world.log.say(KEY, enrol(sequence="Unheard of"))
    await worker.idle()
    assert world.kit.account.people[EMAIL].tags == {"customer"}
    parked = worker.table[KEY].parked
    assert set(parked) == {"tag:brand new", "sequence:unheard of"}
    assert "create_missing = true" in parked["tag:brand new"]


@virtual
async def test_a_sequence_made_in_kit_meanwhile_is_found_with_the_next_wish(world: World) -> None:
    worker = await world.worker()
    await world.log.say(KEY, enrol(sequence="Later"))
    await worker.idle()
    world.kit.account.sequences["later"] = 33
    await asyncio.sleep(120)
    await world.log.say(KEY, align("customer"))
    await worker.idle()
    assert world.kit.account.people[EMAIL].sequences == [33]


@virtual
async def test_the_id_of_a_tag_that_was_made_anew_is_resolved_again_once(world: World) -> None:
    worker = await world.worker()
    await world.log.say(*of(1, align("customer")))
    await worker.idle()
    world.kit.account.tags["customer"] = 77
    world.kit.faults.extend(["ok", "404"])
    await world.log.say(KEY, align("customer"))
    await worker.idle()
    assert [request.tag_id for request in world.kit.account.requests if isinstance(request, AddTag)] == [1, 77]


@virtual
async def test_a_404_for_a_fresh_id_is_parked_after_the_subscriber_was_made_anew(world: World) -> None:
    worker = await world.worker()
    world.kit.faults.extend(["ok", "404", "404", "ok", "404"])
    await world.log.say(KEY, align("customer"))
    await worker.idle()
    assert worker.table[KEY].parked == {"tag:customer": "Kit answered 404: no"}


# --- faults ---------------------------------------------------------------------------------------------------


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


# --- owners come and go ---------------------------------------------------------------------------------------


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


# --- order of service -----------------------------------------------------------------------------------------


@virtual
async def test_onboarding_goes_first_and_backfill_last_but_is_not_starved(world: World) -> None:
    worker = await world.worker(per_minute=30)
    await world.log.say("names", align("customer"))
    await world.log.say("names", enrol())
    await worker.idle()
    while worker.dispatcher._budget.free():
        (await worker.dispatcher._budget.take(1)).made()
    for number in range(30):
        await world.log.say(*of(number, align("customer")), source=Source.BACKFILL)
    for number in range(100, 130):
        await world.log.say(*of(number, enrol()))
    await worker.idle()
    created = [request.email for request in world.kit.account.requests if isinstance(request, Upsert)][1:]
    places_of_backfill = [place for place, email in enumerate(created) if len(email) < len("s100@example.com")]
    assert 2 <= sum(place < 30 for place in places_of_backfill) <= 4
    assert min(places_of_backfill) >= 5


def test_removed_tags_name_the_subscriber_by_kits_id() -> None:
    @virtual
    async def scenario(world: World) -> None:
        worker = await world.worker()
        await world.log.say(KEY, align("customer"))
        await worker.idle()
        await world.log.say(KEY, align(version=2))
        await worker.idle()
        assert world.kit.account.requests[-1] == RemoveTag(subscriber_id=100, name="customer", tag_id=1)
        assert world.kit.account.people[EMAIL].tags == set()

    scenario()


def test_every_partition_of_the_tests_is_used() -> None:
    """What the tests above say of all partitions would be hollow otherwise."""
    assert {partition_of(f"key{number}".encode(), PARTITIONS) for number in range(30)} == set(range(PARTITIONS))
