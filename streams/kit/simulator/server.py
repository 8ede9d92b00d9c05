"""The simulated Kit as a server: in process for tests and `millrace try`, alone for `millrace kit-simulator`."""

import asyncio
import time
from collections.abc import Callable, Collection, Iterable
from pathlib import Path

import structlog
from aiohttp import web

from streams.errors import WrongUsage
from streams.kit.simulator.control import Control
from streams.kit.simulator.delivery import Deliver
from streams.kit.simulator.faults import Faults
from streams.kit.simulator.gate import Gate
from streams.kit.simulator.journal import Journal
from streams.kit.simulator.rate_limit import RollingMinute
from streams.kit.simulator.routes import ROUTES
from streams.kit.simulator.routes.reading import STATE
from streams.kit.simulator.snapshot import Snapshot, snapshot_of
from streams.kit.simulator.state import KitState
from streams.kit.simulator.state_file import StateFile, load_account

SHUTDOWN_SECONDS_MAX = 2.0
"""For answers on their way at the stop; nothing that was acknowledged depends on it."""

logger = structlog.get_logger(__name__)


class KitSimulator:
    """One simulated Kit account.

    `requests_per_minute` None: Kit's own limits. `sequences`, `tags`, `custom_fields`: names there from the start.
    `list_lag_seconds`: how far lists run behind. `late_fields_seconds`: when an answer of 202 comes true. `api_keys`
    None: any is accepted. `state_file`: loaded now (raises WrongUsage), replaced at each change. `clock`: seconds
    since the epoch.
    """

    def __init__(
        self,
        *,
        requests_per_minute: int | None = None,
        sequences: Iterable[str] = (),
        tags: Iterable[str] = (),
        custom_fields: Iterable[str] = (),
        list_lag_seconds: float = 0.0,
        late_fields_seconds: float = 1.0,
        api_keys: Collection[str] | None = None,
        state_file: Path | None = None,
        seed: int = 0,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.state = KitState(
            load_account(state_file),
            clock=clock,
            list_lag_seconds=list_lag_seconds,
            late_fields_seconds=late_fields_seconds,
        )
        self.faults = Faults(seed=seed)
        self.journal = Journal()
        self._state_file = StateFile(state_file, self.state) if state_file is not None else None
        self._stopping = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self._gate = Gate(
            state=self.state,
            state_file=self._state_file,
            faults=self.faults,
            journal=self.journal,
            limit=RollingMinute(clock=clock),
            deliver=Deliver(self._stopping),
            clock=clock,
            requests_per_minute=requests_per_minute,
            api_keys=api_keys,
        )
        for name in sequences:
            self.state.create_sequence(name)
        for name in tags:
            self.state.create_tag(name)
        for label in custom_fields:
            self.state.create_field(label)

    def snapshot(self) -> Snapshot:
        return snapshot_of(self.state.account, self.journal)

    async def start(self, host: str = "127.0.0.1", port: int = 0) -> str:
        """The base address, without `/v4`. Raises WrongUsage where the port is taken."""
        application = web.Application(middlewares=[self._gate.middleware()])
        application[STATE] = self.state
        application.add_routes(ROUTES)
        application.add_routes(Control(self.state, self._state_file, self.faults, self.journal, self.snapshot).routes())
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=SHUTDOWN_SECONDS_MAX)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            await self.stop()
            raise WrongUsage(
                f"the Kit simulator cannot listen on {host}:{port} ({error}); name another port"
            ) from error
        return f"http://{host}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """Ends every connection; what hangs is let go."""
        self._stopping.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._state_file is not None:
            await self._state_file.save()


async def serve_simulator(
    host: str,
    port: int,
    *,
    state_file: Path | None,
    requests_per_minute: int | None,
    sequences: Iterable[str],
    stop: asyncio.Event,
) -> None:
    """Serves until `stop` is set; for the command line."""
    simulator = KitSimulator(requests_per_minute=requests_per_minute, sequences=sequences, state_file=state_file)
    base = await simulator.start(host, port)
    logger.info("kit simulator listens", action="kit_simulator_listening", base=base, state=f"{base}/simulator/state")
    try:
        await stop.wait()
    finally:
        await simulator.stop()
