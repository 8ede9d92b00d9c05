"""The whole of Millrace in a process of its own, for the benchmarks that look at it from outside.

`python -m bench.up SETTINGS` (JSON) says its addresses, and drains when its standard input is closed. `started` is the
benchmark's side: `up` on a log, a simulated Kit in the benchmark's own loop, and a way in for events.
"""

import asyncio
import contextlib
import logging
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import aiohttp
import uvloop

from bench.child import child, say, until_ended
from streams import roles
from streams.catalogue_file import load_catalogue
from streams.cli.ops_client import OpsAbsent
from streams.kit.simulator import KitSimulator
from streams.logging_setup import configure_logging
from streams.roles import Addresses
from streams.settings import Settings
from tests.flow.system import EXAMPLE, SECRET, System

PARTITIONS = 4
READY_SECONDS_MAX = 60.0
UNLIMITED = 1_000_000
"""Requests a minute: the budget's waits are no part of what is measured."""


class Running(NamedTuple):
    system: System
    kit: KitSimulator


@asynccontextmanager
async def started(broker: str, folder: Path) -> AsyncIterator[Running]:
    names = load_catalogue(EXAMPLE).catalogue.sequence_names()
    kit = KitSimulator(requests_per_minute=UNLIMITED, sequences=sorted(names))
    # Secrets are left out of what Settings shows, so the child gets what was given, not a dump of it.
    given = {
        "broker": broker,
        "topic_prefix": f"{folder.name}.",
        "partitions": PARTITIONS,
        "data_dir": str(folder),
        "catalogue": str(EXAMPLE),
        "stripe_webhook_secrets": [SECRET],
        "stripe_livemode": False,
        "kit_api_key": "kit_only_for_benchmarks",
        "kit_api_base": await kit.start(),
        "kit_requests_per_minute": UNLIMITED,
        "edge_port": 0,
        "ops_port": 0,
    }
    settings = Settings.model_validate(given)
    try:
        with child("bench.up", settings.model_dump_json()) as process:
            addresses = Addresses(**await asyncio.to_thread(process.heard))
            async with aiohttp.ClientSession() as http:
                system = System(settings, addresses, http)
                await _all_hands(system)
                yield Running(system, kit)
    finally:
        await kit.stop()


async def _all_hands(system: System) -> None:
    """`up` says its addresses as soon as the edge takes events: its ops server answers a little later."""
    deadline = time.monotonic() + READY_SECONDS_MAX
    while True:
        with contextlib.suppress(OpsAbsent):
            await system.settled()
            return
        if time.monotonic() > deadline:
            raise TimeoutError(f"{system.ops} does not answer within {READY_SECONDS_MAX} s")
        await asyncio.sleep(0.05)


async def main(given: str) -> int:
    configure_logging("text", logging.WARNING)
    stop = asyncio.Event()
    running, addresses = await roles.started(roles.up, Settings.model_validate_json(given), stop)
    if addresses is not None:
        say({"edge": addresses.edge, "ops": addresses.ops})
        await until_ended()
        stop.set()
    return await running


if __name__ == "__main__":
    sys.exit(uvloop.run(main(*sys.argv[1:])))
