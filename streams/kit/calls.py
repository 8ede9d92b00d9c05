"""What the dispatcher and the directory ask of a Kit client, and how it answers; streams/kit/client.py implements it.

`perform` makes the requests that change a subscriber and answers with a value for everything that can happen. The
other calls find and create what requests name (tags, custom fields, sequences); a list is one call per page, so that
the caller can count each of them against the budget. Retries, budget and back-off are the caller's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from processors.messages import Request, Result

KIT_REQUEST_SECONDS_MAX = 10.0
"""The client's total timeout of one request: connect, send, answer, body. Longer makes a takeover wait longer."""

V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Page(Generic[V]):
    """One page of a list: the name as Kit spells it → id (of a field: label → key). `after` None: it was the last."""

    items: Mapping[str, V]
    after: str | None = None


class KitCalls(Protocol):
    """Each call makes exactly one HTTP request and ends within KIT_REQUEST_SECONDS_MAX.

    All but `perform` raise `KitRefused` (with Kit's status and words; 401 and 429 among them) or `KitUnavailable`
    (timeout, reset, 5xx, an answer that cannot be read).
    """

    async def perform(self, request: Request) -> Result:
        """Never raises for what Kit answers or fails to.

        2xx: Done · 401: NotMade(unauthorised) · 429: NotMade(rate_limited) · other 4xx: Rejected with Kit's words ·
        a connection that was refused before anything was sent, a timeout, a reset, 5xx, unreadable: Ambiguous.
        """

    async def tags_page(self, after: str | None = None) -> Page[int]: ...

    async def create_tag(self, name: str) -> int:
        """Its id, also where it exists."""

    async def fields_page(self, after: str | None = None) -> Page[str]: ...

    async def create_field(self, label: str) -> str:
        """Its key, also where it exists."""

    async def sequences_page(self, after: str | None = None) -> Page[int]: ...
