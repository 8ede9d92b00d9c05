"""The routes of the ops port, the same in every role; what a role does not have is not there (404).

Mounted on Faust's web server in `up` and `worker`, served by `OpsServer` in `edge` and `ops`. Everything but the
health checks needs a bearer token where tokens are set (they must be when the host is not loopback).
"""

import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import msgspec
from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from projections.status import Status, rows
from streams.errors import MillraceError, Unreachable
from streams.settings import LOOPBACK, Settings

OPEN_PATHS = frozenset({"/livez", "/readyz"})
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, kw_only=True)
class Ops:
    """What a role can show and do. `not_ready` answers None, or the reason why the role is not ready.

    `apply` takes a validated catalogue document and answers its version and whether it was new.
    """

    settings: Settings
    registry: CollectorRegistry
    not_ready: Callable[[], str | None]
    status: Callable[[], Awaitable[Status]] | None = None
    apply: Callable[[dict[str, Any]], Awaitable[tuple[str, bool]]] | None = None


def mount(application: web.Application, ops: Ops) -> None:
    """Adds the routes to a server that has not started yet."""
    application.middlewares.append(_guarded(ops.settings.ops_tokens))
    router = application.router
    router.add_get("/livez", _livez)
    router.add_get("/readyz", _readyz(ops))
    router.add_get("/metrics", _metrics(ops))
    if ops.status is not None:
        router.add_get("/ops/api/status", _status(ops.status))
        router.add_get("/ops/", _page(ops.status))
    if ops.apply is not None:
        router.add_post("/ops/api/apply", _apply(ops.apply))


class OpsServer:
    """The ops port of a role without Faust."""

    def __init__(self, ops: Ops) -> None:
        self._settings = ops.settings
        application = web.Application()
        mount(application, ops)
        self._runner = web.AppRunner(application, access_log=None)

    async def start(self) -> None:
        await self._runner.setup()
        await web.TCPSite(self._runner, self._settings.ops_host, self._settings.ops_port).start()

    @property
    def port(self) -> int:
        return int(self._runner.addresses[0][1])

    async def stop(self) -> None:
        await self._runner.cleanup()


def _guarded(tokens: tuple[str, ...]) -> Any:
    expected = [f"Bearer {token}".encode() for token in tokens]

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").encode(errors="surrogateescape")
        if not expected and request.url.host not in LOOPBACK:
            # No token, so loopback only: another name for it is a page in a browser that rebound its own.
            return web.json_response({"error": "ask for 127.0.0.1, or set MILLRACE_OPS_TOKENS"}, status=421)
        allowed = [hmac.compare_digest(given, value) for value in expected]
        if expected and request.path not in OPEN_PATHS and not any(allowed):
            return web.json_response(
                {"error": "send one of MILLRACE_OPS_TOKENS as a bearer token"},
                status=401,
                headers={"WWW-Authenticate": "Bearer"},
            )
        try:
            return await handler(request)
        except (Unreachable, TimeoutError) as error:
            return web.json_response({"error": f"the log does not answer: {error}"}, status=503)

    return check


async def _livez(_request: web.Request) -> web.Response:
    return web.json_response({"live": True})


def _readyz(ops: Ops) -> Handler:
    async def readyz(_request: web.Request) -> web.Response:
        reason = ops.not_ready()
        if reason is None:
            return web.json_response({"ready": True})
        return web.json_response({"ready": False, "reason": reason}, status=503)

    return readyz


def _metrics(ops: Ops) -> Handler:
    async def metrics(_request: web.Request) -> web.Response:
        return web.Response(body=generate_latest(ops.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    return metrics


def _status(read: Callable[[], Awaitable[Status]]) -> Handler:
    async def status(_request: web.Request) -> web.Response:
        return web.Response(body=msgspec.json.encode(await read()), content_type="application/json")

    return status


def _apply(apply: Callable[[dict[str, Any]], Awaitable[tuple[str, bool]]]) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        if request.content_type != "application/json":  # what a foreign page in a browser cannot send unasked
            return web.json_response({"error": "send application/json"}, status=415)
        try:
            version, new = await apply(await request.json())
        except ValueError as error:
            return web.json_response({"error": f"not JSON: {error}", "exit_code": 2}, status=400)
        except MillraceError as error:
            return web.json_response({"error": str(error), "exit_code": error.exit_code}, status=422)
        return web.json_response({"version": version, "applied": new})

    return handle


def _page(read: Callable[[], Awaitable[Status]]) -> Handler:
    async def page(_request: web.Request) -> web.Response:
        document: Mapping[str, Any] = msgspec.to_builtins(await read())
        lines = "".join(
            f"<tr><th scope='row'>{escape(name)}</th><td>{escape(shown)}</td></tr>" for name, shown in rows(document)
        )
        return web.Response(text=_PAGE.format(rows=lines), content_type="text/html")

    return page


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Millrace</title><meta http-equiv="refresh" content="5">
<style>body{{font:16px/1.5 system-ui,sans-serif;max-width:40rem;margin:2rem auto;padding:0 1rem}}
th{{text-align:left;font-weight:normal;padding-right:2rem}}td{{font-variant-numeric:tabular-nums}}</style></head>
<body><main><h1>Millrace</h1><table><caption>Status, read anew every five seconds</caption>{rows}</table>
<p><a href="/ops/api/status">as JSON</a> · <a href="/metrics">metrics</a></p></main></body></html>
"""
