"""The public HTTP edge: requests of the world in, records in the log out.

Started and stopped by streams/roles.py (`up`, `edge`). It runs on aiohttp's low-level server: three fixed paths need
no router, middleware or application, and the webhook is what the whole installation's throughput hangs on.
"""

from asyncio import AbstractEventLoop, Task, get_running_loop
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler
from prometheus_client import CollectorRegistry

from streams.edge import answers
from streams.edge.metrics import EdgeMetrics
from streams.edge.routing import Accepts
from streams.edge.signatures import SignatureVerifier
from streams.edge.webhook import StripeWebhook
from streams.log import APPEND_SECONDS_MAX, Log
from streams.settings import Settings, require

DRAIN_SECONDS_MAX: Final = APPEND_SECONDS_MAX + 1
"""A request in flight ends within the append's limit, so nothing is cut off, and the process within its ten seconds."""

LINGER_SECONDS_MAX: Final = 2.0
"""How long the rest of a refused body is read and dropped, so that the sender sees the answer and not a reset."""

KEEPALIVE_SECONDS: Final = 75.0
"""Longer than common proxies keep an idle connection, so that they close first and never meet a closed one."""

Route = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class EdgeServer:
    """Raises WrongSettings without a secret."""

    def __init__(
        self,
        settings: Settings,
        log: Log,
        registry: CollectorRegistry,
    ) -> None:
        require(settings, "stripe_webhook_secrets")
        self._webhook = StripeWebhook(
            verifier=SignatureVerifier(settings.stripe_webhook_secrets),
            accepts=Accepts(settings.stripe_livemode, frozenset(settings.stripe_accounts)),
            log=log,
            metrics=EdgeMetrics(registry),
        )
        self._routes: dict[tuple[str, str], Route] = {
            ("POST", "/webhooks/stripe"): self._webhook,
            ("GET", "/livez"): self._livez,
            ("GET", "/readyz"): self._readyz,
        }
        self._methods = {path: method for method, path in self._routes}
        self._settings = settings
        self._runner: web.ServerRunner | None = None

    @property
    def port(self) -> int:
        """The port it listens on, also where MILLRACE_EDGE_PORT is 0; only while it runs."""
        assert self._runner is not None, "not started"
        return int(self._runner.addresses[0][1])

    def not_ready(self) -> str | None:
        """None, or why the edge should get no traffic now."""
        return self._webhook.not_ready()

    async def start(self) -> None:
        """Raises OSError when the address is taken."""
        server = web.Server(
            self._answer,
            request_factory=_request_factory(get_running_loop(), self._settings.edge_body_bytes_max),
            access_log=None,
            # The signature is over the bytes as sent, and a few kB could unpack to gigabytes.
            auto_decompress=False,
            keepalive_timeout=KEEPALIVE_SECONDS,
            lingering_time=LINGER_SECONDS_MAX,
        )
        self._runner = web.ServerRunner(server, shutdown_timeout=DRAIN_SECONDS_MAX)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, self._settings.edge_host, self._settings.edge_port).start()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Accepts nothing new, answers what is in flight, then closes. Does nothing when it does not run."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.BaseRequest) -> web.StreamResponse:
        route = self._routes.get((request.method, request.path))
        if route is not None:
            return await route(request)
        allowed = self._methods.get(request.path)
        if allowed is None:
            return answers.error(404, "there is nothing here")
        return answers.error(405, f"only {allowed} is answered here", Allow=allowed)

    async def _livez(self, _request: web.BaseRequest) -> web.StreamResponse:
        return answers.ok()

    async def _readyz(self, _request: web.BaseRequest) -> web.StreamResponse:
        reason = self.not_ready()
        return answers.ok() if reason is None else answers.error(503, reason)


def _request_factory(loop: AbstractEventLoop, body_bytes_max: int) -> Callable[..., web.BaseRequest]:
    """As aiohttp's own, with our limit for bodies: the low-level server has no setting for it."""

    def make(
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: RequestHandler,
        writer: AbstractStreamWriter,
        task: "Task[None]",
    ) -> web.BaseRequest:
        return web.BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=body_bytes_max)

    return make
