"""How an answer reaches the client, or does not: whole, late, cut in the middle, never, or as a fault's own status."""

import asyncio
import contextlib
import socket
import struct
from typing import assert_never

from aiohttp import web

from streams.kit.simulator.answers import json_answer, retry_later, unauthorised
from streams.kit.simulator.faults import Fault, FaultKind

LINGER_NONE = struct.pack("ii", 1, 0)
"""Closing then sends RST, not FIN: the client sees `connection reset`."""
BROKEN = frozenset({FaultKind.HANG, FaultKind.RESET, FaultKind.CUT_BODY})
"""No whole answer reaches the client."""


def answer_under(fault: Fault | None, answer: web.Response | None) -> web.Response | None:
    """The answer there is: the route's, or that of a fault which has a status of its own."""
    if fault is None:
        return answer
    match fault.kind:
        case FaultKind.INTERNAL_ERROR:
            return json_answer(500, {"errors": ["Internal Server Error"]})
        case FaultKind.UNAVAILABLE:
            return web.Response(status=503, text="<html><body>503 Service Unavailable</body></html>")
        case FaultKind.RATE_LIMITED:
            return retry_later()
        case FaultKind.UNAUTHORISED:
            return unauthorised()
        case FaultKind.HANG | FaultKind.RESET | FaultKind.CUT_BODY | FaultKind.SLOW:
            return answer
        case _:
            assert_never(fault.kind)


class Deliver:
    """`stopping` set: whoever waits in here gives up at once, so that the simulator can stop."""

    def __init__(self, stopping: asyncio.Event) -> None:
        self._stopping = stopping

    async def __call__(
        self, request: web.Request, fault: Fault | None, answer: web.Response | None
    ) -> web.StreamResponse:
        kind = None if fault is None else fault.kind
        if fault is not None and kind in {FaultKind.SLOW, FaultKind.HANG}:
            await self._pause(fault.seconds)
        if kind in {FaultKind.RESET, FaultKind.HANG}:
            return _reset(request)
        assert answer is not None
        return await _cut(request, answer) if kind is FaultKind.CUT_BODY else answer

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._stopping.wait(), seconds)


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
