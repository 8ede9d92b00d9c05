"""Runs the Faust app until somebody asks for its end or it crashes, and gives the exit code of the process.

Called by streams/worker.py. Faust's own worker is not used: it would take over signals, logging and the loop.
"""

import asyncio
import errno

import structlog

from streams.app import MillraceApp
from streams.errors import MillraceError, WrongSettings

logger = structlog.get_logger(__name__)

STOP_SECONDS_MAX = 9.0
"""A stop drains within 10 s; the lanes end their transactions within the first 8."""

CRASH_STOP_SECONDS_MAX = 4.0
"""A fenced worker has nothing to save: it only says good-bye to the group, so that the others need not wait."""

EXIT_CRASHED = 70

CANNOT_LISTEN = frozenset({errno.EADDRINUSE, errno.EADDRNOTAVAIL})
"""Faust's web server is all that listens in here."""


async def run_until_stopped(app: MillraceApp, stop: asyncio.Event) -> int:
    """Runs the app until `stop` is set (0: drained) or it crashes (the error's exit code, else 70)."""
    starting = asyncio.create_task(app.start(), name="app start")
    stopping = asyncio.create_task(stop.wait(), name="stop")
    crashing = asyncio.create_task(app.crash_noticed.wait(), name="crash")
    await asyncio.wait({starting, stopping, crashing}, return_when=asyncio.FIRST_COMPLETED)
    if starting.done() and starting.exception() is None:
        await asyncio.wait({stopping, crashing}, return_when=asyncio.FIRST_COMPLETED)
    failure = _failure(app, starting)
    is_drained = await _stop_within(app, STOP_SECONDS_MAX if failure is None else CRASH_STOP_SECONDS_MAX)
    for task in (starting, stopping, crashing):
        task.cancel()
    await asyncio.gather(starting, stopping, crashing, return_exceptions=True)
    if failure is not None:
        logger.error("the worker stops", action="worker_crashed", reason=str(failure) or type(failure).__name__)
        return failure.exit_code if isinstance(failure, MillraceError) else EXIT_CRASHED
    return 0 if is_drained else EXIT_CRASHED


def _failure(app: MillraceApp, starting: "asyncio.Task[None]") -> BaseException | None:
    failure = starting.exception() if starting.done() else None
    if app.crashed:
        failure = app.crash_reason
    if isinstance(failure, OSError) and failure.errno in CANNOT_LISTEN:
        said = f"{failure.strerror}: choose a free port of this machine (MILLRACE_OPS_HOST)"
        return WrongSettings(f"MILLRACE_OPS_PORT={app.conf.web_port}: {said}")
    return failure


async def _stop_within(app: MillraceApp, seconds: float) -> bool:
    stopping = asyncio.create_task(app.stop(), name="app stop")
    _, unfinished = await asyncio.wait({stopping}, timeout=seconds)
    if unfinished:
        logger.error("something of Faust hangs; nothing is lost by that", action="stop_given_up", seconds=seconds)
        stopping.cancel()
        return False
    if (error := stopping.exception()) is not None:
        logger.error("the app did not stop as it should", action="stop_failed", exc_info=error)
        return False
    return True
