"""The ops port: health for everybody, the rest for whoever has a token, nothing that a foreign page can call."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter

from projections.activity import Activity
from projections.status import Status, status
from streams.errors import LogUnavailable, WrongCatalogue, WrongSettings
from streams.ops.site import Ops, OpsServer
from streams.roles import ops_server
from streams.settings import Settings


async def idle() -> Status:
    return status(Activity(), version="1", lag={"customer.events": 0}, is_still=True, budget_per_minute=120, now_ms=0)


@asynccontextmanager
async def served(**given: Any) -> AsyncIterator[tuple[str, aiohttp.ClientSession]]:
    settings = Settings(ops_port=0, ops_tokens=given.pop("tokens", ()))
    ops = Ops(**{"settings": settings, "registry": CollectorRegistry(), "not_ready": lambda: None, **given})
    server = OpsServer(ops)
    await server.start()
    async with aiohttp.ClientSession() as http:
        yield f"http://127.0.0.1:{server.port}", http
    await server.stop()


async def test_health_needs_no_token_and_the_rest_does():
    async with served(tokens=("right",), status=idle) as (url, http):
        for path in ("/livez", "/readyz"):
            assert (await http.get(url + path)).status == 200
        for path in ("/metrics", "/ops/api/status", "/ops/"):
            assert (await http.get(url + path)).status == 401
            assert (await http.get(url + path, headers={"Authorization": "Bearer wrong"})).status == 401
            assert (await http.get(url + path, headers={"Authorization": "Bearer right"})).status == 200


async def test_a_header_that_is_no_text_is_refused_not_failed_over():
    async with served(tokens=("right",)) as (url, http):
        assert (await http.get(f"{url}/metrics", headers={"Authorization": "Bearer ü"})).status == 401


async def test_without_a_token_only_loopback_s_own_names_are_answered():
    async with served() as (url, http):
        assert (await http.get(f"{url}/metrics")).status == 200
        assert (await http.get(f"{url}/metrics", headers={"Host": "attacker.example"})).status == 421
        assert (await http.get(f"{url}/livez", headers={"Host": "attacker.example"})).status == 421


async def test_a_role_that_is_not_ready_says_why():
    async with served(not_ready=lambda: "tables are recovered") as (url, http):
        answer = await http.get(f"{url}/readyz")
        assert answer.status == 503
        assert (await answer.json())["reason"] == "tables are recovered"


async def test_the_status_has_the_shape_that_scripts_rely_on():
    async with served(status=idle) as (url, http):
        document = await (await http.get(f"{url}/ops/api/status")).json()
    assert document.keys() >= {
        "idle", "version", "lag", "oldest_pending_seconds", "pending", "kit", "events", "dead_letters", "reviews",
        "approvals",
    }  # fmt: skip
    assert document["pending"].keys() >= {
        "held_events", "kit_subscribers", "stripe_lookups", "due_ticks", "unkeyed_events", "code_waits",
    }  # fmt: skip
    assert document["kit"].keys() >= {"requests", "budget_per_minute", "refused_429"}
    assert document["events"].keys() >= {"received", "duplicates", "processed", "ignored"}
    assert document["idle"] is True


async def test_a_log_that_does_not_answer_is_a_503():
    async def unavailable() -> Status:
        raise LogUnavailable("the broker is away")

    async with served(status=unavailable) as (url, http):
        for path in ("/ops/api/status", "/ops/"):
            answer = await http.get(url + path)
            assert answer.status == 503
            assert "the broker is away" in await answer.text()


async def test_metrics_are_those_of_the_role():
    registry = CollectorRegistry()
    Counter("seen", "What was seen.", registry=registry).inc()
    async with served(registry=registry) as (url, http):
        assert "seen_total 1.0" in await (await http.get(f"{url}/metrics")).text()


async def test_apply_takes_json_only_and_passes_on_what_is_wrong():
    async def refuses(_document: dict[str, Any]) -> tuple[str, bool]:
        raise WrongCatalogue("offer[1].name: missing")

    async with served(apply=refuses) as (url, http):
        path = f"{url}/ops/api/apply"
        assert (await http.post(path, data=b"{}", headers={"Content-Type": "text/plain"})).status == 415
        assert (await http.post(path, data=b"{", headers={"Content-Type": "application/json"})).status == 400
        answer = await http.post(path, json={})
        assert answer.status == 422
        assert await answer.json() == {"error": "offer[1].name: missing", "exit_code": 2}


async def test_what_a_role_does_not_have_is_not_there():
    async with served() as (url, http):
        assert (await http.get(f"{url}/ops/api/status")).status == 404
        assert (await http.post(f"{url}/ops/api/apply", json={})).status == 404


async def test_a_port_that_is_taken_is_named():
    async with served() as (url, _http):
        taken = Settings(ops_port=int(url.rsplit(":", 1)[1]))
        ops = Ops(settings=taken, registry=CollectorRegistry(), not_ready=lambda: None)
        with pytest.raises(WrongSettings, match="MILLRACE_OPS_PORT="):
            async with ops_server(ops):
                pass
