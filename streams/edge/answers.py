"""Every answer of the public edge; bodies that never change are built once.

`received` is what nearly every request gets, so it is written as ready bytes: aiohttp's own Response builds, orders
and serialises the same headers each time, which costs as much as signature and routing together.
"""

import time
from email.utils import formatdate
from functools import lru_cache
from typing import Final

import orjson
from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter

RETRY_AFTER_SECONDS: Final = 2
"""Long enough for a broker to elect a leader; Stripe keeps to its own schedule anyway."""

_RECEIVED: Final = b'{"received": true}'
_OK: Final = b'{"ok": true}'
_LOG_UNAVAILABLE: Final = b'{"error": "the log does not acknowledge; try again later"}'


def received(request: web.BaseRequest) -> web.StreamResponse:
    """200, for a request that the log holds."""
    if request.version == HttpVersion11 and request.keep_alive:
        return ReadyAnswer(_received_bytes(int(time.time())))
    return _json(200, _RECEIVED)


def ok() -> web.Response:
    return _json(200, _OK)


def error(status: int, reason: str, **headers: str) -> web.Response:
    return _json(status, orjson.dumps({"error": reason}), **headers)


def log_unavailable() -> web.Response:
    return _json(503, _LOG_UNAVAILABLE, **{"Retry-After": str(RETRY_AFTER_SECONDS)})


class ReadyAnswer(web.StreamResponse):
    """An answer as the bytes of its head and body, for HTTP/1.1 connections that are kept alive.

    It has only what aiohttp's connection asks of a response: `prepare`, `write_eof` and `keep_alive`.
    """

    def __init__(self, ready: bytes) -> None:
        # super().__init__ would build the headers that are in the bytes already.
        self._ready = ready

    @property
    def keep_alive(self) -> bool:
        return True

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter:
        self._request = request
        return request.writer

    async def write_eof(self, data: bytes = b"") -> None:
        assert not data, "the bytes are complete"
        transport = self._request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the sender has gone before the answer")
        transport.write(self._ready)
        await self._request.writer.drain()


@lru_cache(maxsize=1)
def _received_bytes(now_seconds: int) -> bytes:
    head = (
        "HTTP/1.1 200 OK\r\n"
        "Content-Type: application/json\r\n"
        f"Content-Length: {len(_RECEIVED)}\r\n"
        f"Date: {formatdate(now_seconds, usegmt=True)}\r\n"
        "\r\n"
    )
    return head.encode() + _RECEIVED


def _json(status: int, body: bytes, **headers: str) -> web.Response:
    return web.Response(status=status, body=body, headers={"Content-Type": "application/json", **headers})
