"""A whole Millrace in the test's own loop: `up` on either log, a simulated Kit beside it, a way in for events."""

import asyncio
import hashlib
import hmac
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Protocol

import aiohttp
import orjson

from streams import roles
from streams.catalogue_file import load_catalogue
from streams.cli.status_commands import read_status
from streams.roles import Addresses
from streams.settings import Settings

SECRET = "whsec_flow"
ROOT = Path(__file__).parent.parent.parent
EXAMPLE = ROOT / "catalogue.example.toml"
SETTLE_SECONDS_MAX = 60.0


def signature(body: bytes, at: float | None = None) -> str:
    seconds = int(time.time() if at is None else at)
    mac = hmac.new(SECRET.encode(), f"{seconds}.".encode() + body, hashlib.sha256).hexdigest()
    return f"t={seconds},v1={mac}"


class System:
    """A started `up`: `post` events, wait until they have `settled`."""

    def __init__(self, settings: Settings, addresses: Addresses, http: aiohttp.ClientSession) -> None:
        assert addresses.edge is not None
        self.settings = settings.model_copy(update={"ops_port": int(addresses.ops.rsplit(":", 1)[1])})
        self.edge = addresses.edge
        self.ops = addresses.ops
        self._http = http

    async def post(self, event: Mapping[str, Any] | bytes) -> int:
        body = event if isinstance(event, bytes) else orjson.dumps(event)
        headers = {"Stripe-Signature": signature(body), "Content-Type": "application/json"}
        async with self._http.post(f"{self.edge}/webhooks/stripe", data=body, headers=headers) as response:
            return response.status

    async def post_all(self, events: list[Mapping[str, Any]]) -> None:
        assert [await self.post(event) for event in events] == [200] * len(events)

    async def apply(self, catalogue: Path) -> bool:
        """As `millrace apply` does; whether it was new."""
        document = load_catalogue(catalogue).document
        async with self._http.post(f"{self.ops}/ops/api/apply", json=document) as response:
            assert response.status == 200, await response.text()
            return bool((await response.json())["applied"])

    async def settled(self, seconds_max: float = SETTLE_SECONDS_MAX) -> dict[str, Any]:
        deadline = time.monotonic() + seconds_max
        status = await read_status(self.settings)
        while not status["idle"]:
            assert time.monotonic() < deadline, status
            await asyncio.sleep(0.05)
            status = await read_status(self.settings)
        return status


class KitAddress(Protocol):
    @property
    def url(self) -> str: ...


@asynccontextmanager
async def running(log_settings: Mapping[str, Any], kit: KitAddress, **changes: Any) -> AsyncIterator[System]:
    """Until the block ends: then `up` must drain and end with 0 within ten seconds."""
    given: dict[str, Any] = {
        "catalogue": EXAMPLE,
        "stripe_webhook_secrets": (SECRET,),
        "stripe_livemode": False,
        "kit_api_key": "kit_flow",
        "kit_api_base": kit.url,
        "kit_requests_per_minute": 100_000,
        "partitions": 3,  # enough to be several, few enough to be quick on one broker
        "edge_port": 0,
        "ops_port": 0,
    }
    settings = Settings(**{**given, **log_settings, **changes})
    stop = asyncio.Event()
    up, addresses = await roles.started(roles.up, settings, stop)
    assert addresses is not None, f"up did not start: {await up}"
    async with aiohttp.ClientSession() as http:
        try:
            yield System(settings, addresses, http)
        finally:
            stop.set()
            assert await asyncio.wait_for(up, timeout=10) == 0
