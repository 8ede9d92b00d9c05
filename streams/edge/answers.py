"""Every answer of the public edge. Bodies that never change are built once."""

from typing import Final

import orjson
from aiohttp import web

RETRY_AFTER_SECONDS: Final = 2
"""Long enough for a broker to elect a leader; Stripe keeps to its own schedule anyway."""

_RECEIVED: Final = b'{"received": true}'
_OK: Final = b'{"ok": true}'
_LOG_UNAVAILABLE: Final = b'{"error": "the log does not acknowledge; try again later"}'


def received() -> web.Response:
    return _json(200, _RECEIVED)


def ok() -> web.Response:
    return _json(200, _OK)


def error(status: int, reason: str, **headers: str) -> web.Response:
    return _json(status, orjson.dumps({"error": reason}), **headers)


def log_unavailable() -> web.Response:
    return _json(503, _LOG_UNAVAILABLE, **{"Retry-After": str(RETRY_AFTER_SECONDS)})


def _json(status: int, body: bytes, **headers: str) -> web.Response:
    return web.Response(status=status, body=body, headers={"Content-Type": "application/json", **headers})
