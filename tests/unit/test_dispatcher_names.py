"""Names of tags, fields and sequences on the way to Kit: loaded once, created where allowed, forgotten when stale."""

import asyncio

from processors.messages import AddTag, BudgetSpent, NotMade, Outcome
from tests.unit.dispatcher_world import World, of, virtual
from tests.unit.subscriber_table import EMAIL, KEY, align, enrol


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
    assert NotMade(cause="stale_id") in [result for each in world.log.messages(Outcome) for result in each.results]


@virtual
async def test_a_404_for_a_fresh_id_is_parked_after_the_subscriber_was_made_anew(world: World) -> None:
    worker = await world.worker()
    world.kit.faults.extend(["ok", "404", "404", "ok", "404"])
    await world.log.say(KEY, align("customer"))
    await worker.idle()
    assert worker.table[KEY].parked == {"tag:customer": "Kit answered 404: no"}


@virtual
async def test_l7_a_tag_renamed_in_kit_and_in_the_catalogue_stays_with_its_holders(world: World) -> None:
    worker = await world.worker()
    await world.log.say(KEY, align("customer"))
    await worker.idle()
    world.kit.account.tags["member"] = world.kit.account.tags.pop("customer")  # what was loaded is the former name
    world.kit.account.people[EMAIL].tags = {"member"}
    await world.log.say(KEY, align("member", version=2))
    await worker.idle()
    assert world.kit.account.people[EMAIL].tags == {"member"}
    assert set(worker.table[KEY].parked) == {"tag:customer"}
    await world.log.say(KEY, align(version=3))
    await worker.idle()
    assert world.kit.account.people[EMAIL].tags == set()
    assert worker.table[KEY].known.tags == {}


@virtual
async def test_a_field_renamed_in_kit_is_resolved_again_and_not_taken_for_set(world: World) -> None:
    worker = await world.worker()
    await world.log.say(*of(1, align(fields={"field 1": "x"})))
    await worker.idle()
    world.kit.account.fields["field 1"] = "made_anew"
    world.kit.account.ignored = {"field_1"}
    await world.log.say(KEY, align("customer", fields={"field 1": "Pro", "field 2": "y"}))
    await worker.idle()
    assert world.kit.account.people[EMAIL].fields == {"made_anew": "Pro", "field_2": "y"}
    assert worker.table[KEY].parked == {}


@virtual
async def test_a_field_that_kit_goes_on_to_ignore_is_parked(world: World) -> None:
    worker = await world.worker()
    world.kit.account.ignored = {"field_1"}
    await world.log.say(KEY, align("customer", fields={"field 1": "Pro", "field 2": "y"}))
    await worker.idle()
    assert world.kit.account.people[EMAIL].fields == {"field_2": "y"}
    assert set(worker.table[KEY].parked) == {"field:field 1"}
    assert world.kit.account.people[EMAIL].tags == {"customer"}
