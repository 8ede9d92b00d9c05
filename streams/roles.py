"""The roles of docs/interfaces.md §2, each put together from its parts: what starts when, and how all of it drains.

`up` is edge, worker and ops in one process; on Kafka each is a process of its own. A role starts its log first and
stops it last; on a stop the edge ends its requests before the worker commits what it holds. A role returns the exit
code of its process.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any

from prometheus_client import CollectorRegistry

from processors.ids import CatalogueVersion
from streams.catalogue_apply import apply_document, start_with_catalogue
from streams.catalogue_watch import watch
from streams.clock import now_ms
from streams.edge.server import EdgeServer
from streams.errors import WrongSettings, WrongUsage
from streams.log import Log
from streams.open_log import open_log
from streams.ops.site import Ops, OpsServer, mount
from streams.ops.status import StatusReader
from streams.ops.tail import ActivityTail
from streams.settings import Settings, http_url, require
from streams.worker import Worker


@dataclass(frozen=True)
class Addresses:
    """Where a started role listens; None for what it does not have."""

    edge: str | None
    ops: str


Announce = Callable[[Addresses], None]
Role = Callable[[Settings, asyncio.Event, Announce], Awaitable[int]]


async def started(
    role: Role, settings: Settings, stop: asyncio.Event
) -> tuple["asyncio.Future[int]", Addresses | None]:
    """The role as a task, once it listens; the addresses are None where it ended before it did."""
    announced: asyncio.Future[Addresses] = asyncio.get_running_loop().create_future()
    running = asyncio.ensure_future(role(settings, stop, announced.set_result))
    waited: set[asyncio.Future[Any]] = {running, announced}
    await asyncio.wait(waited, return_when=asyncio.FIRST_COMPLETED)
    return running, announced.result() if announced.done() else None


async def up(settings: Settings, stop: asyncio.Event, announce: Announce) -> int:
    require(settings, "stripe_webhook_secrets", "kit_api_key")
    registry = CollectorRegistry()
    async with AsyncExitStack() as parts:
        log = await parts.enter_async_context(_started_log(settings))
        await parts.enter_async_context(_catalogue(settings, log))
        status = await parts.enter_async_context(_status_reader(settings, log))
        worker = Worker(settings, log, registry)
        edge = EdgeServer(settings, log, registry)
        served = _ops(settings, registry, lambda: edge.not_ready() or worker.not_ready(), status=status, log=log)
        mount(worker.web_application, served)
        running = await parts.enter_async_context(_working(worker))
        await _listening(edge.start(), "MILLRACE_EDGE_PORT", settings.edge_port)
        parts.push_async_callback(edge.stop)
        announce(
            Addresses(edge=http_url(settings.edge_host, edge.port), ops=http_url(settings.ops_host, worker.ops_port))
        )
        await _first(stop, running)
        await edge.stop()
        return await worker.stopped(running)


async def worker(settings: Settings, stop: asyncio.Event, announce: Announce) -> int:
    _needs_a_broker(settings, "worker")
    require(settings, "kit_api_key")
    registry = CollectorRegistry()
    async with AsyncExitStack() as parts:
        log = await parts.enter_async_context(_started_log(settings))
        await parts.enter_async_context(_catalogue(settings, log))
        alone = Worker(settings, log, registry)
        mount(alone.web_application, _ops(settings, registry, alone.not_ready))
        running = await parts.enter_async_context(_working(alone))
        announce(Addresses(edge=None, ops=http_url(settings.ops_host, alone.ops_port)))
        await _first(stop, running)
        return await alone.stopped(running)


async def edge(settings: Settings, stop: asyncio.Event, announce: Announce) -> int:
    _needs_a_broker(settings, "edge")
    require(settings, "stripe_webhook_secrets")
    registry = CollectorRegistry()
    async with AsyncExitStack() as parts:
        log = await parts.enter_async_context(_started_log(settings))
        await parts.enter_async_context(_catalogue(settings, log))
        server = EdgeServer(settings, log, registry)
        ops = await parts.enter_async_context(ops_server(_ops(settings, registry, server.not_ready)))
        await _listening(server.start(), "MILLRACE_EDGE_PORT", settings.edge_port)
        parts.push_async_callback(server.stop)
        announce(Addresses(edge=http_url(settings.edge_host, server.port), ops=http_url(settings.ops_host, ops.port)))
        await stop.wait()
    return 0


async def ops(settings: Settings, stop: asyncio.Event, announce: Announce) -> int:
    _needs_a_broker(settings, "ops")
    async with AsyncExitStack() as parts:
        log = await parts.enter_async_context(_started_log(settings))
        status = await parts.enter_async_context(_status_reader(settings, log))
        served = _ops(settings, CollectorRegistry(), lambda: None, status=status, log=log)
        server = await parts.enter_async_context(ops_server(served))
        announce(Addresses(edge=None, ops=http_url(settings.ops_host, server.port)))
        await stop.wait()
    return 0


async def _first(stop: asyncio.Event, running: "asyncio.Task[int]") -> None:
    """Until somebody asks for the end, or the worker has ended by itself."""
    asked = asyncio.create_task(stop.wait())
    try:
        await asyncio.wait({asked, running}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        asked.cancel()


def _ops(
    settings: Settings,
    registry: CollectorRegistry,
    not_ready: Callable[[], str | None],
    *,
    status: StatusReader | None = None,
    log: Log | None = None,
) -> Ops:
    async def apply(document: dict[str, Any]) -> tuple[CatalogueVersion, bool]:
        assert log is not None
        return await apply_document(log, document, settings, now_ms())

    return Ops(
        settings=settings,
        registry=registry,
        not_ready=not_ready,
        status=status.read if status else None,
        apply=apply if log else None,
    )


@asynccontextmanager
async def _started_log(settings: Settings) -> AsyncIterator[Log]:
    log = open_log(settings)
    await log.start()
    try:
        yield log
    finally:
        await log.stop()


@asynccontextmanager
async def _working(worker: Worker) -> AsyncIterator["asyncio.Task[int]"]:
    running = asyncio.create_task(worker.run(), name="worker")
    try:
        yield running
    finally:
        await worker.stopped(running)


@asynccontextmanager
async def _catalogue(settings: Settings, log: Log) -> AsyncIterator[None]:
    """Applied at the start where it must be; watched where it may be applied without being asked."""
    await start_with_catalogue(log, settings, now_ms())
    watching = asyncio.create_task(watch(log, settings)) if settings.catalogue_auto_apply else None
    try:
        yield
    finally:
        if watching is not None:
            watching.cancel()
            await asyncio.wait({watching})


@asynccontextmanager
async def _status_reader(settings: Settings, log: Log) -> AsyncIterator[StatusReader]:
    tail = ActivityTail(log)
    await tail.start()
    try:
        yield StatusReader(settings, log, tail)
    finally:
        await tail.stop()


@asynccontextmanager
async def ops_server(served: Ops) -> AsyncIterator[OpsServer]:
    server = OpsServer(served)
    await _listening(server.start(), "MILLRACE_OPS_PORT", served.settings.ops_port)
    try:
        yield server
    finally:
        await server.stop()


async def _listening(start: Awaitable[None], variable: str, port: int) -> None:
    try:
        await start
    except OSError as error:
        raise WrongSettings(f"{variable}={port}: cannot listen there ({error.strerror}); choose a free port") from error


def _needs_a_broker(settings: Settings, role: str) -> None:
    if settings.embedded:
        raise WrongUsage(
            f"`millrace {role}` needs a kafka:// broker: set MILLRACE_BROKER, or run `millrace up`, "
            "which has every role in one process on the embedded log"
        )
