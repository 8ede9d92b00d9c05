"""`millrace status`: from the running system, or from the embedded log where none runs."""

import asyncio
import time
from typing import Annotated, Any

import msgspec
import typer

from projections.status import rows
from streams.cli.context import Context, run
from streams.cli.ops_client import OpsAbsent, OpsClient
from streams.cli.output import print_json, print_table, say
from streams.errors import Unreachable
from streams.open_log import open_log
from streams.ops.status import StatusReader
from streams.ops.tail import ActivityTail
from streams.settings import Settings

ASK_AGAIN_SECONDS = 0.2
EXIT_NOT_IDLE = 1


def add_to(app: typer.Typer) -> None:
    app.command("status")(status)


def status(
    context: typer.Context,
    idle_seconds: Annotated[
        float | None, typer.Option("--wait-idle", help="Wait up to so many seconds until nothing is pending.", min=0)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Lag, pending work, budget, dead letters; exit 1 if --wait-idle ran out."""
    given: Context = context.obj
    document = run(lambda: _status(given.settings, idle_seconds))
    if as_json:
        print_json(document)
    else:
        print_table(("what", "now"), rows(document))
    if idle_seconds is not None and not document["idle"]:
        say(f"millrace: not idle after {idle_seconds:g} s")
        raise typer.Exit(EXIT_NOT_IDLE)


async def _status(settings: Settings, idle_seconds: float | None) -> dict[str, Any]:
    return await (read_status(settings) if idle_seconds is None else wait_idle(settings, idle_seconds))


async def wait_idle(settings: Settings, seconds_max: float) -> dict[str, Any]:
    """The first status that is idle, else the last one within the time."""
    deadline = time.monotonic() + seconds_max
    while True:
        document = await read_status(settings)
        if document["idle"] or time.monotonic() >= deadline:
            return document
        await asyncio.sleep(ASK_AGAIN_SECONDS)


async def read_status(settings: Settings) -> dict[str, Any]:
    """Raises Unreachable where neither the ops API answers nor an embedded log can be opened."""
    async with OpsClient(settings) as ops:
        try:
            return await ops.get("/ops/api/status")
        except OpsAbsent:
            if not settings.embedded:
                raise
    return await _from_embedded_log(settings)


async def _from_embedded_log(settings: Settings) -> dict[str, Any]:
    log = open_log(settings, read_only=True)
    await log.start()
    tail = ActivityTail(log)
    try:
        await tail.start()
        document: dict[str, Any] = msgspec.to_builtins(await StatusReader(settings, log, tail).read())
    except TimeoutError as error:
        raise Unreachable(f"the log at {settings.broker} is not read to its end yet; ask again") from error
    else:
        return document
    finally:
        await tail.stop()
        await log.stop()
