"""Plays Stripe where the edge comes and goes: an event is posted again and again until it is answered 200.

Every answer is kept, so that a test can say what was promised and how each refusal looked. And `chapters`: sample
histories cut into portions, shuffled, part of them twice.
"""

import asyncio
import contextlib
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass, field

import aiohttp
import orjson

from streams.edge.signatures import signed_header
from streams.samples import history
from tests.flow.system import SECRET

CONCURRENCY = 32
"""So many that a kill finds webhooks at every step of their way."""
RETRY_SECONDS = 0.3
"""Stripe waits for hours; a test need not."""
POST_SECONDS_MAX = 20.0
CUSTOMERS = 15
"""In a chapter: each of the sample stories happens to somebody."""
TWICE = 0.4


@dataclass(frozen=True)
class Answer:
    """`status` None: none came, the edge was away or went away."""

    status: int | None
    retry_after: str | None
    seconds: float
    at: float


@dataclass
class Stripe:
    """`accepted`: the ids of the events that were answered 200, with how often."""

    url: str
    http: aiohttp.ClientSession
    answers: list[Answer] = field(default_factory=list)
    accepted: Counter[str] = field(default_factory=Counter)
    _waiting: asyncio.Queue[bytes] = field(default_factory=asyncio.Queue)
    _taken: asyncio.Event = field(default_factory=asyncio.Event)

    def deliver(self, events: Iterable[bytes]) -> None:
        for body in events:
            self._waiting.put_nowait(body)

    async def all_taken(self, seconds: float = 60) -> None:
        """Every event given to `deliver` has been answered 200."""
        try:
            async with asyncio.timeout(seconds):
                await self._waiting.join()
        except TimeoutError:
            raise AssertionError(f"not all taken within {seconds} s: {self.statuses()}") from None
        assert set(self.statuses()) <= {200, 503, None}, self.statuses()

    async def taken(self, events: int, seconds: float = 60) -> None:
        """Returns at the moment at which so many new ones have been answered 200."""
        due = len(self.accepted) + events
        async with asyncio.timeout(seconds):
            while len(self.accepted) < due:
                self._taken.clear()
                await self._taken.wait()

    def statuses(self) -> Counter[int | None]:
        return Counter(answer.status for answer in self.answers)

    async def post_until_taken(self) -> None:
        while True:
            body = await self._waiting.get()
            while not await self.post(body):
                await asyncio.sleep(RETRY_SECONDS)
            self._waiting.task_done()

    async def post(self, body: bytes) -> bool:
        started = time.time()
        headers = {
            "Content-Type": "application/json",
            "Stripe-Signature": signed_header(SECRET, body, int(started)),
        }
        status, retry_after = None, None
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with self.http.post(self.url, data=body, headers=headers) as answer:
                await answer.read()
                status, retry_after = answer.status, answer.headers.get("Retry-After")
        self.answers.append(Answer(status, retry_after, time.time() - started, started))
        if status == 200:
            self.accepted[orjson.loads(body)["id"]] += 1
            self._taken.set()
        return status == 200


@contextlib.asynccontextmanager
async def stripe(edge: str) -> AsyncIterator[Stripe]:
    """Posts to this edge until the block ends."""
    timeout = aiohttp.ClientTimeout(total=POST_SECONDS_MAX)
    async with aiohttp.ClientSession(timeout=timeout) as http:
        player = Stripe(f"{edge}/webhooks/stripe", http)
        posting = [asyncio.create_task(player.post_until_taken()) for _ in range(CONCURRENCY)]
        try:
            yield player
        finally:
            for task in posting:
                task.cancel()
            await asyncio.gather(*posting, return_exceptions=True)


def chapters(seed: int, number: int, customers: int = CUSTOMERS) -> list[list[bytes]]:
    """So many histories (`seeds_of` names them), each shuffled; a part of each comes again, there or one later."""
    rng = random.Random(seed)
    told: list[list[bytes]] = [[] for _ in range(number)]
    for place, one in enumerate(seeds_of(seed, number)):
        events = [orjson.dumps(told_event.event) for told_event in history(one, customers)]
        told[place] += events
        for event in events:
            if rng.random() < TWICE:
                told[min(place + rng.randrange(2), number - 1)].append(event)
    for chapter in told:
        rng.shuffle(chapter)
    return told


def seeds_of(seed: int, number: int) -> range:
    """Of the histories in `chapters`; for `expected`."""
    return range(seed, seed + number)
