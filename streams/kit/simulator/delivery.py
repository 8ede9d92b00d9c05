"""How an answer reaches the client, or does not: whole, late, cut in the middle, never, or as a fault's own status."""

import asyncio
import contextlib
import socket
import struct
from typing import Literal, assert_never

from aiohttp import web

from streams.kit.simulator.answers import json_answer, retry_later, unauthorised
from streams.kit.simulator.faults import Fault, FaultKind

LINGER_NONE = struct.pack("ii", 1, 0)
"""Closing then sends RST, not FIN: the client sees `connection reset`."""
STATUSES = {
    FaultKind.INTERNAL_ERROR: 500,
    FaultKind.UNAVAILABLE: 503,
    FaultKind.RATE_LIMITED: 429,
    FaultKind.UNAUTHORISED: 401,
}


def answered_status(fault: Fault | None, answer: web.Response | None) -> int | None:
    """What the client will see; None where no whole answer is given."""
    if fault is None or fault.kind is FaultKind.SLOW:
        return None if answer is None else answer.status
    return STATUSES.get(fault.kind)


class Deliver:
    """`stopping` set: whoever waits in here gives up at once, so that the simulator can stop."""

    def __init__(self, stopping: asyncio.Event) -> None:
        self._stopping = stopping

    async def __call__(
        self, request: web.Request, fault: Fault | None, answer: web.Response | None
    ) -> web.StreamResponse:
        if fault is None:
            assert answer is not None
            return answer
        match fault.kind:
            case FaultKind.RESET:
                return _reset(request)
            case FaultKind.HANG:
                await self._pause(fault.seconds)
                return _reset(request)
            case FaultKind.CUT_BODY:
                assert answer is not None
                return await _cut(request, answer)
            case FaultKind.SLOW:
                assert answer is not None
                await self._pause(fault.seconds)
                return answer
            case _:
                return _instead(fault.kind)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


def _instead(
    kind: Literal[FaultKind.INTERNAL_ERROR, FaultKind.UNAVAILABLE, FaultKind.RATE_LIMITED, FaultKind.UNAUTHORISED],
) -> web.Response:
    match kind:
        case FaultKind.INTERNAL_ERROR:
            return json_answer(500, {"errors": ["Internal Server Error"]})
        case FaultKind.UNAVAILABLE:
            return web.Response(status=503, text="<html><body>503 Service Unavailable</body></html>")
        case FaultKind.RATE_LIMITED:
            return retry_later()
        case FaultKind.UNAUTHORISED:
            return unauthorised()
        case _:
            assert_never(kind)


async def _cut(request: web.Request, answer: web.Response) -> web.StreamResponse:
    """Half of the body, then the end of the connection; an answer without a body is lost as a whole."""
    body = answer.body
    if not isinstance(body, bytes) or not body or request.transport is None:
        return _reset(request)
    cut = web.StreamResponse(status=answer.status, headers={"Content-Type": answer.headers["Content-Type"]})
    cut.content_length = len(body)
    await cut.prepare(request)
    await cut.write(body[: len(body) // 2])
    request.transport.close()
    return cut


def _reset(request: web.Request) -> web.Response:
    """The answer that is returned goes nowhere: the connection is gone."""
    if request.transport is not None:
        connection = request.transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_NONE)
        request.transport.abort()
    return web.Response(status=500)
