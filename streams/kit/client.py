"""The client of Kit's API v4: one HTTP request per call, with the API key, within KIT_REQUEST_SECONDS_MAX.

It carries out what streams/kit/calls.py declares, for the dispatcher and the directory. What is sent and what an answer
means stands in wire.py; here is the network: connections, time, bodies that are cut. Nothing is tried twice, because
each attempt costs budget. No email and no credential reaches a log line or an error from here.
"""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Self, TypeVar

import aiohttp
import msgspec
import structlog
from yarl import URL

from processors.ids import normalised_email
from processors.messages import UNREADABLE, Request, Result
from streams.errors import KitRefused, KitUnavailable
from streams.kit.calls import KIT_REQUEST_SECONDS_MAX, Page
from streams.kit.wire import (
    Answer,
    Call,
    KitSubscriber,
    Lost,
    SubscriberAnswer,
    call_for,
    is_refusal,
    kit_words,
    list_call,
    look_up_call,
    result_of,
    unusable,
    warnings_of,
)

CONNECTIONS_MAX = 16
"""At Kit's 120 (OAuth: 600) requests a minute and its 0.1 s an answer, one is busy at a time; slow hours need more."""
ANSWER_BYTES_MAX = 4_194_304
"""A page of 1000 subscribers with their fields is well below; whatever sends more is not Kit."""

A = TypeVar("A")
logger = structlog.get_logger(__name__)


class _Pagination(msgspec.Struct, frozen=True):
    """An empty page has null cursors."""

    has_next_page: bool
    end_cursor: str | None = None

    @property
    def after(self) -> str | None:
        return self.end_cursor if self.has_next_page else None


class _Named(msgspec.Struct, frozen=True):
    id: int
    name: str


class _Field(msgspec.Struct, frozen=True):
    key: str
    label: str


class _Tags(msgspec.Struct, frozen=True):
    tags: tuple[_Named, ...]
    pagination: _Pagination


class _Fields(msgspec.Struct, frozen=True):
    custom_fields: tuple[_Field, ...]
    pagination: _Pagination


class _Sequences(msgspec.Struct, frozen=True):
    sequences: tuple[_Named, ...]
    pagination: _Pagination


class _Subscribers(msgspec.Struct, frozen=True):
    subscribers: tuple[KitSubscriber, ...]


class _TagAnswer(msgspec.Struct, frozen=True):
    tag: _Named


class _FieldAnswer(msgspec.Struct, frozen=True):
    custom_field: _Field


class KitClient:
    """`base` without `/v4`. To be used with `async with`, or closed with `close`, in the loop that uses it."""

    def __init__(self, base: str, api_key: str, *, request_seconds_max: float = KIT_REQUEST_SECONDS_MAX) -> None:
        self._base = base.rstrip("/")
        self._api_key = api_key
        self._request_seconds_max = request_seconds_max
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def perform(self, request: Request) -> Result:
        """As KitCalls.perform; removing a tag that is answered 404 counts as done."""
        call = call_for(request)
        answer = await self._make(call)
        if isinstance(answer, Answer) and 200 <= answer.status < 300 and (warnings := warnings_of(answer)):
            # Kit did only part of it: a field was renamed or deleted there. Somebody has to look.
            logger.warning(
                "kit did only part of it",
                action="kit_warned",
                request=type(request).__name__,
                status=answer.status,
                warnings=list(warnings),
            )
        return result_of(request, answer)

    async def tags_page(self, after: str | None = None) -> Page[int]:
        page = await self._ask(list_call("/v4/tags", after), _Tags)
        return Page(_ids(page.tags), page.pagination.after)

    async def create_tag(self, name: str) -> int:
        return (await self._ask(Call("POST", "/v4/tags", body={"name": name}), _TagAnswer)).tag.id

    async def fields_page(self, after: str | None = None) -> Page[str]:
        page = await self._ask(list_call("/v4/custom_fields", after), _Fields)
        return Page({field.label: field.key for field in page.custom_fields}, page.pagination.after)

    async def create_field(self, label: str) -> str:
        call = Call("POST", "/v4/custom_fields", body={"label": label})
        return (await self._ask(call, _FieldAnswer)).custom_field.key

    async def sequences_page(self, after: str | None = None) -> Page[int]:
        page = await self._ask(list_call("/v4/sequences", after), _Sequences)
        return Page(_ids(page.sequences), page.pagination.after)

    async def subscriber_by_email(self, email: str) -> KitSubscriber | None:
        """In any state; None for nobody. A list, so it lags behind writes (docs/facts/kit.md §1)."""
        page = await self._ask(look_up_call(email), _Subscribers)
        # The filter takes several emails, separated by commas, so it is not trusted to have found this one.
        wanted = normalised_email(email)
        return next((row for row in page.subscribers if normalised_email(row.email_address) == wanted), None)

    async def subscriber(self, subscriber_id: int) -> KitSubscriber | None:
        """None where Kit has none of this id. Never behind what was written."""
        try:
            answer = await self._ask(Call("GET", f"/v4/subscribers/{subscriber_id}"), SubscriberAnswer)
        except KitRefused as refused:
            if refused.status == 404:
                return None
            raise
        return answer.subscriber

    async def _ask(self, call: Call, shape: type[A]) -> A:
        """The answer to a call that reads or creates, or KitRefused or KitUnavailable."""
        answer = await self._make(call)
        where = f"{call.method} {call.path}"
        if isinstance(answer, Lost):
            raise KitUnavailable(f"{where}: {answer.reason}; it can be tried again")
        if is_refusal(answer.status):
            raise KitRefused(answer.status, kit_words(answer))
        if not 200 <= answer.status < 300:
            raise KitUnavailable(f"{where}: {unusable(answer.status)}; it can be tried again")
        try:
            return msgspec.json.decode(answer.body, type=shape)
        except UNREADABLE as error:
            raise KitUnavailable(f"{where}: Kit's answer cannot be read ({error}); it can be tried again") from error

    async def _make(self, call: Call) -> Answer | Lost:
        """The only place that talks to the network."""
        url = URL(self._base + call.path).with_query(call.query)
        try:
            # Not aiohttp's own total: that is rounded up to whole seconds, and a takeover waits for exactly this.
            async with (
                asyncio.timeout(self._request_seconds_max),
                self._opened().request(call.method, url, json=call.body, allow_redirects=False) as response,
            ):
                return Answer(response.status, await _whole_body(response))
        except TimeoutError:
            return Lost(f"no answer within {self._request_seconds_max:g} s")
        except aiohttp.ClientConnectorError as error:
            return Lost(f"no connection to {url.host}:{url.port} ({type(error.os_error).__name__})")
        except _ConnectionLost as lost:
            return Lost(f"the connection was lost ({lost})")
        except (aiohttp.ClientError, OSError) as error:
            return Lost(f"the answer was cut or is no HTTP ({type(error).__name__})")

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(limit=CONNECTIONS_MAX),
                cookie_jar=aiohttp.DummyCookieJar(),
                headers={"X-Kit-Api-Key": self._api_key, "Accept": "application/json", "User-Agent": "millrace"},
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
                middlewares=(_once,),
            )
        return self._session


class _ConnectionLost(Exception):  # noqa: N818 - never leaves this file
    pass


async def _once(request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType) -> aiohttp.ClientResponse:
    """Keeps aiohttp from sending a GET or DELETE again when a kept connection breaks: nobody would have counted it."""
    try:
        return await handler(request)
    except aiohttp.ClientConnectorError:
        raise
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _ConnectionLost(type(error).__name__) from error


async def _whole_body(response: aiohttp.ClientResponse) -> bytes:
    body = bytearray()
    async for chunk in response.content.iter_any():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise aiohttp.ClientPayloadError(f"more than {ANSWER_BYTES_MAX} bytes")
    return bytes(body)


def _ids(rows: tuple[_Named, ...]) -> Mapping[str, int]:
    return {row.name: row.id for row in rows}
