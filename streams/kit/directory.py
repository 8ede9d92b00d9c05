"""Names of the account's tags, custom fields and sequences → Kit's ids: what a plan needs to become requests.

Each list is loaded when a name of its kind is first asked for; tags and fields that are missing are created where the
catalogue allows it. Every call is paid for first (`pay`: the dispatcher's budget, and a record of it in the log). Used
by the dispatcher, as the `Names` of its plans.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Generic, TypeVar

from processors.messages import AddTag, AddToSequence, Request, Upsert
from processors.subscriber import Missing, parked_key
from streams.errors import KitRefused, KitUnavailable
from streams.kit.budget import Reservation
from streams.kit.calls import KitCalls, Page

PAGES_MAX = 200
"""At Kit's 500 names a page far beyond any account; a cursor that never ends must not spend the budget for ever."""
FRESH_SECONDS = 60.0
"""A name that may not be created is looked for anew in a list older than this: a person may have made it meanwhile."""
CREDENTIAL_STATUSES = frozenset({401, 429})
"""These say nothing about the name that was asked for."""

V = TypeVar("V", int, str)
G = TypeVar("G")
A = TypeVar("A")


class Listing(Generic[V]):
    """One list of the account. Found by name without regard to case, or by the id (of a field: the key) as text."""

    def __init__(self, page: Callable[[str | None], Awaitable[Page[V]]]) -> None:
        self.page: Callable[[str | None], Awaitable[Page[V]]] = page
        self.loaded_at: float | None = None
        self._by_name: dict[str, V] = {}
        self._by_id: dict[str, V] = {}
        self._refuted: dict[str, V] = {}

    def find(self, name: str) -> V | None:
        folded = name.casefold()
        found = self._by_name.get(folded)
        return self._by_id.get(folded) if found is None else found

    def replace(self, items: Iterable[tuple[str, V]], loaded_at: float) -> None:
        self._by_name.clear()
        self._by_id.clear()
        for name, value in items:
            self.add(name, value)
        self.loaded_at = loaded_at

    def add(self, name: str, value: V) -> None:
        """The first of a name stands, should an account have two."""
        self._by_name.setdefault(name.casefold(), value)
        self._by_id[str(value).casefold()] = value

    def refute(self, name: str, value: V) -> bool:
        """Kit says 404 for this id. True: forgotten, resolve it again; False: that has been tried, it is the id."""
        folded = name.casefold()
        if self._refuted.get(folded) == value:
            return False
        self._refuted[folded] = value
        self._by_name.pop(folded, None)
        self._by_id.pop(str(value).casefold(), None)
        self.loaded_at = None
        return True


class Directory:
    """`pay` waits until a request may be made and has been written down."""

    def __init__(
        self, client: KitCalls, pay: Callable[[], Awaitable[Reservation]], clock: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._pay = pay
        self._clock = clock
        self._one_at_a_time = asyncio.Lock()
        self._tags = Listing(client.tags_page)
        self._fields = Listing(client.fields_page)
        self._sequences = Listing(client.sequences_page)

    def tag_id(self, name: str) -> int | None:
        return self._tags.find(name)

    def field_key(self, label: str) -> str | None:
        return self._fields.find(label)

    def sequence_id(self, name_or_id: str) -> int | None:
        return self._sequences.find(name_or_id)

    async def resolve(self, missing: Iterable[Missing]) -> dict[str, str]:
        """Finds or creates them. Returns those that cannot be had, by parked key, with the reason for people.

        Raises KitRefused (401, 429) and KitUnavailable: then nothing is known about those not yet resolved.
        """
        async with self._one_at_a_time:
            reasons: dict[str, str] = {}
            for item in missing:
                try:
                    reason = await self._resolved(item)
                except KitRefused as error:
                    if error.status in CREDENTIAL_STATUSES:
                        raise
                    reason = str(error)
                if reason is not None:
                    reasons[parked_key(item.kind, item.name)] = reason
            return reasons

    def refute(self, request: Request, sequence: str | None = None) -> bool:
        """Kit answered 404 to this request: whether an id in it was stale and is to be resolved again."""
        match request:
            case AddTag():
                return self._tags.refute(request.name, request.tag_id)
            case AddToSequence() if sequence is not None:
                return self._sequences.refute(sequence, request.sequence_id)
            case _:
                return False

    def refute_fields(self, request: Upsert, ignored: Collection[str]) -> tuple[str, ...]:
        """Kit has no field of these keys: they are to be resolved again. Returns their labels."""
        taken = request.fields.keys() - set(ignored)
        stale = {label: key for label in request.labels if (key := self._fields.find(label)) not in taken}
        for label, key in stale.items():
            if key is not None and key in ignored:  # else another request has had it resolved again by now
                self._fields.refute(label, key)
        return tuple(stale)

    async def _resolved(self, item: Missing) -> str | None:
        match item.kind:
            case "tag":
                return await self._found(item, self._tags, self._client.create_tag)
            case "field":
                return await self._found(item, self._fields, self._client.create_field)
            case "sequence":
                return await self._found(item, self._sequences, None)

    async def _found(
        self, item: Missing, listing: Listing[V], create: Callable[[str], Awaitable[V]] | None
    ) -> str | None:
        may_create = create is not None and item.create
        if listing.loaded_at is None or (not may_create and self._clock() - listing.loaded_at > FRESH_SECONDS):
            await self._load(listing)
        if listing.find(item.name) is not None:
            return None
        if create is not None and item.create:
            listing.add(item.name, await self._paid(create, item.name))
            return None
        return f"Kit has no {item.kind} {item.name!r}, and {_remedy(item)}"

    async def _load(self, listing: Listing[V]) -> None:
        items: list[tuple[str, V]] = []
        after: str | None = None
        for _ in range(PAGES_MAX):
            page = await self._paid(listing.page, after)
            items += page.items.items()
            after = page.after
            if after is None:
                listing.replace(items, self._clock())
                return
        raise KitUnavailable(f"a list of Kit's has more than {PAGES_MAX} pages: look at the account's tags and fields")

    async def _paid(self, call: Callable[[G], Awaitable[A]], given: G) -> A:
        reservation = await self._pay()
        try:
            return await call(given)
        finally:
            reservation.made()


def _remedy(item: Missing) -> str:
    if item.kind == "sequence":
        return "sequences are made in Kit: create it there, or correct its name in the catalogue"
    if item.create:
        return "it could not be created"
    return "the catalogue does not create it: create it in Kit, or set [subscribers] create_missing = true"
