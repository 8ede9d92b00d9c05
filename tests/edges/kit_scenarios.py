"""Everything the simulated Kit can be asked, asked once: the journal that the contract test holds to Kit's document."""

import asyncio

from processors.ids import CommandId
from processors.messages import AddTag, AddToSequence, RemoveTag, Upsert
from streams.kit.client import KitClient
from streams.kit.simulator import Fault, FaultKind, KitSimulator
from streams.kit.simulator.journal import Entry
from tests.edges.kit_server import EMAIL, MANY_FIELDS, SECOND, Kit, serving


async def _subscribers(kit: Kit) -> None:
    await kit.ask("GET", "/v4/subscribers")
    await kit.ask("POST", "/v4/subscribers", {"email_address": EMAIL, "state": "inactive", "fields": {"field_1": "a"}})
    await kit.ask("POST", "/v4/subscribers", {"email_address": EMAIL, "first_name": "Ada", "fields": {"nope": "a"}})
    await kit.ask("POST", "/v4/subscribers", {"email_address": SECOND, "fields": {"nope": "a"}})
    await kit.ask("POST", "/v4/subscribers", {"email_address": EMAIL, "fields": {**MANY_FIELDS, "nope": "a"}})
    await kit.ask("POST", "/v4/subscribers", {"email_address": "not an email"})
    await kit.ask("GET", "/v4/subscribers", status="all", email_address=f"{EMAIL},{SECOND}")
    await kit.ask("GET", "/v4/subscribers", status="all", per_page="1", include_total_count="true")
    await kit.ask("GET", "/v4/subscribers", email_address="not an email")
    await kit.ask("GET", "/v4/subscribers/101")
    await kit.ask("GET", "/v4/subscribers/999")
    await kit.ask("PUT", "/v4/subscribers/101", {"first_name": "Ada L."})
    await kit.ask("PUT", "/v4/subscribers/101", {"email_address": EMAIL, "fields": MANY_FIELDS})
    await kit.ask("PUT", "/v4/subscribers/101", {"email_address": SECOND})
    await kit.ask("PUT", "/v4/subscribers/999", {"email_address": EMAIL})
    await kit.ask("POST", "/v4/subscribers/102/unsubscribe", {})
    await kit.ask("POST", "/v4/subscribers/999/unsubscribe", {})


async def _tags(kit: Kit) -> None:
    await kit.ask("GET", "/v4/tags")
    for body in ({"name": "Pro"}, {"name": "PRO"}, {"name": " "}):
        await kit.ask("POST", "/v4/tags", body)
    await kit.ask("POST", "/v4/tags", {"name": "Reader"})
    await kit.ask("GET", "/v4/tags", per_page="1")
    await kit.ask("GET", "/v4/tags", after="=broken=")
    for path in ("/v4/tags/101/subscribers/101", "/v4/tags/101/subscribers/999"):
        for _ in range(2):
            await kit.ask("POST", path, {})
    for body in ({"email_address": SECOND}, {"email_address": SECOND}, {"email_address": "nobody@example.com"}, {}):
        await kit.ask("POST", "/v4/tags/101/subscribers", body)
    await kit.ask("GET", "/v4/subscribers/101/tags")
    await kit.ask("GET", "/v4/subscribers/999/tags")
    await kit.ask("DELETE", "/v4/tags/101/subscribers/101")
    await kit.ask("DELETE", "/v4/tags/999/subscribers/101")
    await kit.ask("DELETE", "/v4/tags/101/subscribers", email_address=SECOND)
    await kit.ask("DELETE", "/v4/tags/101/subscribers", {"email_address": SECOND})
    await kit.ask("DELETE", "/v4/tags/999/subscribers", email_address=SECOND)
    await kit.ask("DELETE", "/v4/tags/101/subscribers")


async def _fields_and_sequences(kit: Kit) -> None:
    await kit.ask("GET", "/v4/custom_fields")
    for body in ({"label": "Plan"}, {"label": "Plan"}, {"label": " "}):
        await kit.ask("POST", "/v4/custom_fields", body)
    await kit.ask("GET", "/v4/sequences")
    await kit.ask("POST", "/v4/sequences/101/subscribers/101", {})
    await kit.ask("POST", "/v4/sequences/101/subscribers/101", {})
    await kit.ask("POST", "/v4/sequences/999/subscribers/101", {})
    await kit.ask("POST", "/v4/sequences/102/subscribers/101", {})
    for body in ({"email_address": SECOND}, {"email_address": SECOND}, {"email_address": "nobody@example.com"}):
        await kit.ask("POST", "/v4/sequences/101/subscribers", body)
    await kit.ask("POST", "/v4/sequences/102/subscribers", {"email_address": SECOND})
    await kit.ask("GET", "/v4/sequences/101/subscribers", status="all")
    await kit.ask("GET", "/v4/sequences/999/subscribers")


REFUSABLE = (
    ("GET", "/v4/subscribers"),
    ("POST", "/v4/subscribers"),
    ("GET", "/v4/subscribers/101"),
    ("PUT", "/v4/subscribers/101"),
    ("POST", "/v4/subscribers/101/unsubscribe"),
    ("GET", "/v4/subscribers/101/tags"),
    ("GET", "/v4/tags"),
    ("POST", "/v4/tags"),
    ("POST", "/v4/tags/101/subscribers"),
    ("POST", "/v4/tags/101/subscribers/101"),
    ("DELETE", "/v4/tags/101/subscribers"),
    ("DELETE", "/v4/tags/101/subscribers/101"),
    ("GET", "/v4/custom_fields"),
    ("POST", "/v4/custom_fields"),
    ("GET", "/v4/sequences"),
    ("GET", "/v4/sequences/101/subscribers"),
    ("POST", "/v4/sequences/101/subscribers"),
    ("POST", "/v4/sequences/101/subscribers/101"),
)


async def _refused(kit: Kit) -> None:
    """Every call without a credential; two with an API key that want OAuth; each fault that has a status."""
    for method, path in REFUSABLE:
        await kit.ask(method, path, headers={})
    await kit.ask("GET", "/v4/purchases")
    await kit.ask("POST", "/v4/bulk/tags", {"tags": []})
    for kind in (FaultKind.INTERNAL_ERROR, FaultKind.UNAVAILABLE, FaultKind.RATE_LIMITED, FaultKind.UNAUTHORISED):
        kit.simulator.faults.add(Fault(kind=kind, next=1))
        await kit.ask("GET", "/v4/tags")


def journal_of_everything() -> list[Entry]:
    return asyncio.run(_everything())


async def _everything() -> list[Entry]:
    simulator = KitSimulator(requests_per_minute=100_000, sequences=("Welcome", "Asleep"), custom_fields=MANY_FIELDS)
    simulator.state.deactivate_sequence(102)
    async with serving(simulator) as kit:
        for scenario in (_subscribers, _tags, _fields_and_sequences, _refused):
            await scenario(kit)
    return list(simulator.journal.entries)


def journal_of_the_client() -> tuple[list[Entry], set[str]]:
    """Every method of KitClient against an empty account; the journal, and the names of the methods called."""
    return asyncio.run(_client())


async def _client() -> tuple[list[Entry], set[str]]:
    simulator = KitSimulator(sequences=("Welcome",), custom_fields=("Plan",))
    base = await simulator.start()
    try:
        async with KitClient(base, "key") as client:
            tag = await client.create_tag("Pro")
            key = await client.create_field("Renews on")
            upsert = Upsert(email=EMAIL, create_as="active", fields={key: "2026-12-01"}, labels={"Renews on": "x"})
            for request in (
                upsert,
                Upsert(email=SECOND, create_as="inactive"),
                AddTag(email=EMAIL, name="Pro", tag_id=tag),
                AddToSequence(email=EMAIL, sequence_id=101, command=CommandId("c")),
                RemoveTag(subscriber_id=101, name="Pro", tag_id=tag),
            ):
                await client.perform(request)
            for page in (client.tags_page, client.fields_page, client.sequences_page):
                await page()
                await page("WzEwMV0=")
            await client.subscriber_by_email(EMAIL)
            await client.subscriber(101)
    finally:
        await simulator.stop()
    called = "perform tags_page create_tag fields_page create_field sequences_page"
    return list(simulator.journal.entries), {
        *called.split(),
        "subscriber_by_email",
        "subscriber",
    }
