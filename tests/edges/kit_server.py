"""A simulated Kit with plain HTTP to it, for the tests of the simulator itself and the contract test."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable

import aiohttp

from streams.kit.simulator import KitSimulator

EMAIL = "ada+books@example.com"
SECOND = "grace@example.com"
KEY = {"X-Kit-Api-Key": "key"}
OAUTH = {"Authorization": "Bearer token"}
MANY_FIELDS = {f"field_{number}": "x" for number in range(11)}
NOT_FOUND = (404, {"errors": ["Not Found"]})
WAIT_SECONDS_MAX = 10


class Clock:
    """Seconds since the epoch, set by hand."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Kit:
    """A simulated Kit and plain HTTP to it."""

    def __init__(self, simulator: KitSimulator, http: aiohttp.ClientSession, base: str) -> None:
        self.simulator = simulator
        self.base = base
        self._http = http

    async def ask(
        self, method: str, path: str, body: object = None, headers: dict[str, str] | None = None, **query: str
    ) -> tuple[int, object]:
        """Status, and the JSON or the text of the answer (None: empty)."""
        sent = {} if body is None else {"json": body}
        async with self._http.request(
            method, self.base + path, params=query, headers=KEY if headers is None else headers, **sent
        ) as answer:
            if answer.content_type == "application/json":
                return answer.status, await answer.json()
            return answer.status, await answer.text() or None


@contextlib.asynccontextmanager
async def serving(simulator: KitSimulator) -> AsyncIterator[Kit]:
    base = await simulator.start()
    try:
        async with aiohttp.ClientSession() as http:
            yield Kit(simulator, http, base)
    finally:
        await simulator.stop()


async def upsert(kit: Kit, email: str = EMAIL, **more: object) -> tuple[int, dict[str, object]]:
    status, answer = await kit.ask("POST", "/v4/subscribers", {"email_address": email, **more})
    return status, answer["subscriber"]


async def emails(kit: Kit, **query: str) -> list[str]:
    status, answer = await kit.ask("GET", "/v4/subscribers", **query)
    assert status == 200
    return [row["email_address"] for row in answer["subscribers"]]


async def until(holds: Callable[[], bool]) -> None:
    """Waits until it holds, which another connection sees to; fails after WAIT_SECONDS_MAX."""
    async with asyncio.timeout(WAIT_SECONDS_MAX):
        while not holds():
            await asyncio.sleep(0.001)
