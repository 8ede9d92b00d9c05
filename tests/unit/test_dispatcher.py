"""The Kit dispatcher between a log, workers and a Kit in memory, in virtual time: all gets done, once, in order."""

import asyncio

from processors.messages import (
    AddTag,
    AddToSequence,
    Intent,
    Outcome,
    RemoveTag,
    Upsert,
    Withheld,
)
from processors.record import Source
from streams.topics import partition_of
from tests.unit.dispatcher_world import PARTITIONS, World, of, virtual
from tests.unit.memory_kit import Person
from tests.unit.subscriber_table import EMAIL, KEY, align, enrol
from tests.unit.virtual_time import until


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
    await asyncio.sleep(3600)
    await world.log.say(KEY, enrol("enrol:in_2"))  # the state is asked for again: it may have changed
    await worker.idle()
    assert [type(request) for request in world.kit.account.requests] == [Upsert, AddTag, Upsert]
    withheld = [result for outcome in world.log.messages(Outcome) for result in outcome.results]
    assert withheld.count(Withheld(state="cancelled")) == 2


@virtual
async def test_who_has_unsubscribed_since_we_last_asked_is_not_enrolled(world: World) -> None:
    worker = await world.worker()
    await world.log.say(KEY, align("customer"))
    await worker.idle()
    world.kit.account.people[EMAIL].state = "cancelled"
    await asyncio.sleep(3600)
    await world.log.say(KEY, enrol())
    await worker.idle()
    assert world.kit.account.people[EMAIL].sequences == []
    assert worker.table[KEY].commands == ()


@virtual
async def test_a_share_of_one_request_a_minute_still_enrols(world: World) -> None:
    """Its state is asked for in one turn, the enrolment follows in another."""
    worker = await world.worker(per_minute=1)
    await world.log.say(KEY, align("customer"))
    await worker.idle()
    await asyncio.sleep(3600)
    await world.log.say(KEY, enrol())
    await worker.idle()
    assert world.kit.account.people[EMAIL].sequences == [7]


@virtual
async def test_different_subscribers_are_served_side_by_side_up_to_a_limit(world: World) -> None:
    worker = await world.worker()
    for number in range(60):
        await world.log.say(*of(number, align("customer")))
    seconds = await worker.idle()
    assert len(world.kit.account.people) == 60
    assert 8 <= world.kit.under_way_most <= 16
    assert seconds < 60 * 0.2


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
