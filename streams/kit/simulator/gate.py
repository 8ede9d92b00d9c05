"""What every request to the simulated Kit passes, in Kit's order: rate limit, credential, (faults,) route, journal.

A middleware around the routes under /v4; /simulator is let through. In: any HTTP request. Out: the route's answer, or
what the limit, the credential or an injected fault makes of it.
"""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from streams.kit.simulator.answers import refused, retry_later, unauthorised
from streams.kit.simulator.delivery import BROKEN, Deliver, answer_under
from streams.kit.simulator.faults import Faults
from streams.kit.simulator.journal import Entry, Journal
from streams.kit.simulator.rate_limit import RollingMinute
from streams.kit.simulator.refusal import Refusal, not_found
from streams.kit.simulator.state import KitState
from streams.kit.simulator.state_file import StateFile

REQUESTS_PER_MINUTE_KEY = 120
REQUESTS_PER_MINUTE_OAUTH = 600
OAUTH_ONLY = ("/v4/bulk/", "/v4/purchases")
"""Refuse an API key (docs/facts/kit.md §1)."""
KIT_ROOT = "/v4/"


@dataclass(frozen=True, slots=True)
class Credential:
    """`secret` empty: none was sent."""

    secret: str
    oauth: bool


@dataclass(frozen=True, slots=True)
class Gate:
    """`requests_per_minute` None: as Kit, by kind of credential. `api_keys` None: any that is not empty."""

    state: KitState
    state_file: StateFile | None
    faults: Faults
    journal: Journal
    limit: RollingMinute
    deliver: Deliver
    clock: Callable[[], float]
    requests_per_minute: int | None
    api_keys: Collection[str] | None

    def middleware(self) -> Middleware:
        @web.middleware
        async def through(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path.startswith(KIT_ROOT):
                return await self._answer(request, handler)
            return await _routed(request, handler)

        return through

    async def _answer(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        received = self.clock()
        # Read whole, so that a fault comes after the request and not in the middle of it.
        body = await request.read()
        answer = self._refused_at_the_door(request)
        fault = self.faults.pick(request.method, request.path) if answer is None else None
        applied = answer is None and (fault is None or bool(fault.applied))
        if applied:
            self.state.settle()
            answer = await _routed(request, handler)
            if self.state_file is not None:
                await self.state_file.save()
        answer = answer_under(fault, answer)
        whole = None if fault is not None and fault.kind in BROKEN else answer
        self.journal.add(
            Entry(
                method=request.method,
                path=request.path,
                query=dict(request.query),
                body=_readable(body),
                status=None if whole is None else whole.status,
                received=received,
                fault=None if fault is None else fault.kind.value,
                applied=applied,
                answer=None if whole is None else _readable(whole.body),
            )
        )
        return await self.deliver(request, fault, answer)

    def _refused_at_the_door(self, request: web.Request) -> web.Response | None:
        credential = _credential(request)
        as_kit = REQUESTS_PER_MINUTE_OAUTH if credential.oauth else REQUESTS_PER_MINUTE_KEY
        if not self.limit.admit(credential.secret, self.requests_per_minute or as_kit):
            return retry_later()
        return None if self._allowed(request.path, credential) else unauthorised()

    def _allowed(self, path: str, credential: Credential) -> bool:
        if not credential.secret:
            return False
        if credential.oauth:
            return True
        return (self.api_keys is None or credential.secret in self.api_keys) and not path.startswith(OAUTH_ONLY)


def _credential(request: web.Request) -> Credential:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token.strip():
        return Credential(token.strip(), oauth=True)
    return Credential(request.headers.get("X-Kit-Api-Key", ""), oauth=False)


async def _routed(request: web.Request, handler: Handler) -> web.Response:
    """The route's answer; whatever it refuses, and a route that does not exist, as Kit says it."""
    try:
        answer = await handler(request)
    except Refusal as refusal:
        return refused(refusal)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
        return refused(not_found())
    assert isinstance(answer, web.Response)
    return answer


def _readable(body: Any) -> Any:
    """JSON as values, other text as text, nothing as None."""
    if not isinstance(body, bytes) or not body:
        return None
    try:
        return msgspec.json.decode(body)
    except msgspec.MsgspecError:
        return body.decode(errors="replace")
