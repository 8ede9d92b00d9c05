"""Millrace's roles as processes of their own: started with one environment, awaited, killed, paused and ended by pid.

`installation` is one log with everything that runs on it. A process says what it does in a file of its own; when a
test fails, the end of each is shown. `supervised` does what an operator's supervisor does: what ended is started again.
"""

import asyncio
import contextlib
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from streams.settings import Settings
from tests.acceptance.fleet import until
from tests.flow.system import EXAMPLE, SECRET
from tests.kafka_process import PORTS

MILLRACE = str(Path(sys.executable).parent / "millrace")
PARTITIONS = 3
SESSION_SECONDS = 3
SESSION_SECONDS_OF_ANY_BROKER = 6
"""The least that a broker allows by default; those that tests start allow less."""
READY_SECONDS_MAX = 60
IDLE_SECONDS_MAX = 90
DRAIN_SECONDS_MAX = 15
"""A role drains within ten; the machine may be loaded."""
SHOWN_CHARS = 6000
"""Of what each process said, when a test fails."""
ROLES_ON_KAFKA = ("edge", "worker", "ops")
ROLES_EMBEDDED = ("up",)
ROLES_THAT_ASK_KIT = frozenset({"up", "worker"})
EXIT_FENCED = 70


@dataclass
class Process:
    """One role. `ops`: the address of its ops port; `killed_at`: when it was killed, or was found to have ended."""

    role: str
    popen: "subprocess.Popen[bytes]"
    said: Path
    ops: str
    killed_at: float | None = None

    @property
    def running(self) -> bool:
        return self.popen.poll() is None

    def kill(self) -> None:
        """Kill -9. Returns when it is dead."""
        if self.running:
            self.killed_at = time.time()
            self.popen.kill()
        self.popen.wait(10)

    def signal(self, number: signal.Signals) -> None:
        self.popen.send_signal(number)

    async def ended(self, seconds: float) -> int:
        await until(lambda: not self.running, f"{self.role} ends", seconds)
        return self.popen.returncode

    async def drained(self) -> None:
        """Asked to stop, it ends with 0 in time."""
        self.signal(signal.SIGTERM)
        assert await self.ended(DRAIN_SECONDS_MAX) == 0, f"{self.role} did not drain"


class Installation:
    """Processes on one log. The edge keeps its port over restarts; each process has an ops port of its own."""

    def __init__(self, log: Mapping[str, Any], kit_url: str, scratch: Path, http: aiohttp.ClientSession) -> None:
        edge_port = free_port()
        self.settings = Settings(**log, partitions=PARTITIONS, edge_port=edge_port)
        self.edge = f"http://127.0.0.1:{edge_port}"
        self.processes: list[Process] = []
        self.environment = _environment(self.settings, kit_url)
        self._scratch = scratch
        self._http = http

    @property
    def roles(self) -> tuple[str, ...]:
        """What runs everything on this log."""
        return ROLES_EMBEDDED if self.settings.embedded else ROLES_ON_KAFKA

    @property
    def deaths(self) -> list[float]:
        """When a process that makes requests to Kit was killed, or ended by itself."""
        ended = [(process.role, process.killed_at) for process in self.processes]
        return [at for role, at in ended if role in ROLES_THAT_ASK_KIT and at is not None]

    def start(self, role: str, **environment: str) -> Process:
        port = free_port()
        said = self._scratch / f"{len(self.processes):03}-{role}.log"
        given = self.environment | {"MILLRACE_OPS_PORT": str(port)} | environment
        with said.open("wb") as file:
            popen = subprocess.Popen(
                [MILLRACE, role], env=given, cwd=self._scratch, stdin=subprocess.DEVNULL, stdout=file, stderr=file
            )
        process = Process(role, popen, said, f"http://127.0.0.1:{port}")
        self.processes.append(process)
        return process

    async def ready(self, process: Process, seconds: float = READY_SECONDS_MAX) -> None:
        """It answers /readyz with 200; where it has an edge, that is there too."""
        urls = [f"{process.ops}/readyz", *([f"{self.edge}/readyz"] if process.role in {"up", "edge"} else [])]
        deadline = time.monotonic() + seconds
        while not all([await self._answers_200(url) for url in urls]):
            assert process.running, f"{process.role} ended with {process.popen.returncode} before it was ready"
            assert time.monotonic() < deadline, f"{process.role} is not ready within {seconds} s"
            await asyncio.sleep(0.1)

    async def get(self, url: str) -> tuple[int, dict[str, Any]]:
        """Status and document; 0 where nothing answers."""
        try:
            async with self._http.get(url) as answer:
                return answer.status, await answer.json()
        except (aiohttp.ClientError, TimeoutError):
            return 0, {}

    async def lanes(self, worker: Process) -> int:
        """How many source partitions it holds, of both agents; 0 where it does not answer."""
        try:
            async with self._http.get(f"{worker.ops}/metrics") as answer:
                text = await answer.text()
        except (aiohttp.ClientError, TimeoutError):
            return 0
        return sum(int(float(held)) for held in re.findall(r"^millrace_agent_partitions{.*} (.+)$", text, re.MULTILINE))

    async def idle(self, seconds: float = IDLE_SECONDS_MAX) -> dict[str, Any]:
        """The first status that says so, from whatever process tells a status at that time."""
        deadline = time.monotonic() + seconds
        while True:
            teller = next(p for p in reversed(self.processes) if p.role in {"up", "ops"})
            _, status = await self.get(f"{teller.ops}/ops/api/status")
            if status.get("idle"):
                return status
            assert time.monotonic() < deadline, f"not idle within {seconds} s: {status}"
            await asyncio.sleep(0.1)

    async def drained(self) -> None:
        """Every process that still runs ends as one that is asked to."""
        for process in self.processes:
            if process.running:
                await process.drained()

    def close(self) -> None:
        for process in self.processes:
            if process.running:
                process.popen.kill()
            process.popen.wait(10)

    def told(self) -> str:
        """The end of what each process said."""
        return "\n".join(
            f"--- {p.said.name}, pid {p.popen.pid}, exit code {p.popen.poll()}\n{_end_of(p.said)}"
            for p in self.processes
        )

    async def _answers_200(self, url: str) -> bool:
        status, _ = await self.get(url)
        return status == 200


@dataclass
class Supervisor:
    """Keeps one process of each role. `exits`: role and code of those that ended without being killed."""

    installation: Installation
    current: dict[str, Process] = field(default_factory=dict)
    exits: list[tuple[str, int]] = field(default_factory=list)

    @property
    def asks_kit(self) -> str:
        """The role that makes the requests to Kit."""
        return next(role for role in self.current if role in ROLES_THAT_ASK_KIT)

    def kill(self, role: str) -> None:
        self.current[role].kill()

    async def ready(self, seconds: float = READY_SECONDS_MAX) -> None:
        """All are, also where one of them had to be started again meanwhile."""
        async with asyncio.timeout(seconds):
            while True:
                try:
                    for role in self.current:
                        await self.installation.ready(self.current[role], seconds)
                except AssertionError:
                    await asyncio.sleep(0.1)  # it ended; the supervisor starts another
                else:
                    return

    async def watch(self) -> None:
        while True:
            for role, process in self.current.items():
                if not process.running:
                    if process.killed_at is None:
                        process.killed_at = time.time()
                        self.exits.append((role, process.popen.returncode))
                    self.current[role] = self.installation.start(role)
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def installation(log: Mapping[str, Any], kit_url: str, scratch: Path) -> AsyncIterator[Installation]:
    """`log`: the fixture log_settings. At the end nothing of it runs any more."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=40)) as http:
        installed = Installation(log, kit_url, scratch, http)
        try:
            yield installed
        except BaseException:
            print(installed.told())  # noqa: T201 - shown by pytest, which is what it is for
            raise
        finally:
            installed.close()


@contextlib.asynccontextmanager
async def supervised(installed: Installation, roles: Iterable[str] = ()) -> AsyncIterator[Supervisor]:
    """Starts these roles (all that the log needs), and starts again what ended, until the block ends."""
    keeper = Supervisor(installed, {role: installed.start(role) for role in roles or installed.roles})
    watching = asyncio.create_task(keeper.watch())
    try:
        yield keeper
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


def free_port() -> int:
    """Below the ephemeral range: no outgoing connection takes the port of a process that is down for a moment."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def _environment(settings: Settings, kit_url: str) -> dict[str, str]:
    others = {name: value for name, value in os.environ.items() if not name.startswith("MILLRACE_")}
    is_foreign = "MILLRACE_TEST_KAFKA_BOOTSTRAP" in os.environ
    return others | {
        "MILLRACE_BROKER": settings.broker,
        "MILLRACE_TOPIC_PREFIX": settings.topic_prefix,
        "MILLRACE_PARTITIONS": str(settings.partitions),
        "MILLRACE_DATA_DIR": str(settings.data_dir),
        "MILLRACE_CATALOGUE": str(EXAMPLE),
        "MILLRACE_STRIPE_WEBHOOK_SECRETS": SECRET,
        "MILLRACE_STRIPE_LIVEMODE": "false",
        "MILLRACE_KIT_API_KEY": "kit_acceptance",
        "MILLRACE_KIT_API_BASE": kit_url,
        "MILLRACE_KIT_REQUESTS_PER_MINUTE": "100000",
        "MILLRACE_EDGE_PORT": str(settings.edge_port),
        "MILLRACE_TEST_SESSION_SECONDS": str(SESSION_SECONDS_OF_ANY_BROKER if is_foreign else SESSION_SECONDS),
    }


def _end_of(file: Path) -> str:
    return file.read_text(errors="replace")[-SHOWN_CHARS:]
