"""The simulated Kit as a server: what a state file keeps, how it starts and how it stops."""

import asyncio
import contextlib
import sys
from pathlib import Path

import aiohttp
import msgspec
import pytest

from streams.errors import WrongUsage
from streams.kit.simulator import Fault, FaultKind, KitSimulator, serve_simulator
from streams.kit.simulator.server import SHUTDOWN_SECONDS_MAX
from tests.edges.kit_server import MANY_FIELDS, Clock, emails, serving, until, upsert


async def test_a_change_is_in_the_state_file_before_it_is_answered(tmp_path: Path):
    file = tmp_path / "deep" / "kit.json"
    async with serving(KitSimulator(state_file=file, sequences=["Welcome"])) as kit:
        for number in range(3):
            await upsert(kit, f"reader{number}@example.com")
            # As a kill now would leave it: read by another, while the first one still runs.
            assert len(KitSimulator(state_file=file).snapshot().subscribers) == number + 1
        await kit.ask("POST", "/v4/sequences/101/subscribers/102", {})
    again = KitSimulator(state_file=file, sequences=["Welcome"])
    assert again.snapshot().by_email("reader1@example.com").sequences == {"Welcome": 1}
    async with serving(again) as kit:
        assert (await upsert(kit, "reader1@example.com"))[0] == 200
        assert (await upsert(kit, "another@example.com"))[1]["id"] == 104
        assert len(await emails(kit, status="all")) == 4


async def test_changes_at_once_are_all_in_the_file(tmp_path: Path):
    file = tmp_path / "kit.json"
    async with serving(KitSimulator(state_file=file)) as kit:
        await asyncio.gather(*(upsert(kit, f"reader{number}@example.com") for number in range(50)))
        assert len(KitSimulator(state_file=file).snapshot().subscribers) == 50


ALONE = """
import asyncio, sys
from pathlib import Path
from streams.kit.simulator import KitSimulator

async def main():
    print(await KitSimulator(state_file=Path(sys.argv[1])).start(), flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
ANSWERS_BEFORE_THE_KILL = 20


async def test_a_killed_simulator_has_lost_nothing_that_it_acknowledged(tmp_path: Path):
    file = tmp_path / "kit.json"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", ALONE, file, stdout=asyncio.subprocess.PIPE)
    acknowledged: set[str] = set()

    async def keep_adding(http: aiohttp.ClientSession, name: str) -> None:
        with contextlib.suppress(aiohttp.ClientError):
            for number in range(1000):
                body = {"email_address": f"{name}{number}@example.com"}
                token = {"Authorization": f"Bearer {name}"}
                async with http.post("/v4/subscribers", json=body, headers=token) as answer:
                    if answer.status == 201:
                        acknowledged.add(body["email_address"])
                if len(acknowledged) >= ANSWERS_BEFORE_THE_KILL and process.returncode is None:
                    process.kill()

    try:
        base = (await asyncio.wait_for(process.stdout.readline(), 30)).decode().strip()
        async with aiohttp.ClientSession(base) as http:
            await asyncio.gather(*(keep_adding(http, name) for name in ("ada", "grace", "joan", "mary")))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
    kept = {row.email_address for row in KitSimulator(state_file=file).snapshot().subscribers}
    assert len(acknowledged) >= ANSWERS_BEFORE_THE_KILL
    assert acknowledged - kept == set()


async def test_a_lost_answer_was_kept_before_it_was_lost(tmp_path: Path):
    file = tmp_path / "kit.json"
    async with serving(KitSimulator(state_file=file)) as kit:
        kit.simulator.faults.add(Fault(kind=FaultKind.RESET, next=1, applied=True))
        with pytest.raises(aiohttp.ClientError):
            await upsert(kit)
        assert len(KitSimulator(state_file=file).snapshot().subscribers) == 1


async def test_late_fields_come_true_after_a_restart(tmp_path: Path):
    clock = Clock()
    file = tmp_path / "kit.json"
    async with serving(KitSimulator(state_file=file, custom_fields=MANY_FIELDS, clock=clock)) as kit:
        assert (await upsert(kit, fields=MANY_FIELDS))[0] == 202
    clock.now += 60
    async with serving(KitSimulator(state_file=file, clock=clock)) as kit:
        assert (await upsert(kit))[1]["fields"] == MANY_FIELDS


@pytest.mark.parametrize("content", ["", "{", '{"schema": 2}', '{"subscribers": 1}'])
def test_a_file_that_is_none_of_ours_is_named(tmp_path: Path, content: str):
    file = tmp_path / "kit.json"
    file.write_text(content)
    with pytest.raises(WrongUsage, match=r"kit\.json"):
        KitSimulator(state_file=file)


async def test_it_serves_until_it_is_told_to_stop(tmp_path: Path):
    stop = asyncio.Event()
    taken = KitSimulator()
    port = int((await taken.start()).rsplit(":", 1)[1])
    arguments = {"state_file": tmp_path / "kit.json", "requests_per_minute": 5, "sequences": ["Welcome"], "stop": stop}
    with pytest.raises(WrongUsage, match=str(port)):
        await serve_simulator("127.0.0.1", port, **arguments)
    await taken.stop()
    serving_it = asyncio.create_task(serve_simulator("127.0.0.1", port, **arguments))
    assert await statuses_when_it_is_there(port, 6) == [200, 200, 200, 200, 200, 429]
    stop.set()
    await asyncio.wait_for(serving_it, 5)
    assert msgspec.json.decode((tmp_path / "kit.json").read_bytes())["sequences"]["101"]["name"] == "Welcome"


async def statuses_when_it_is_there(port: int, requests: int) -> list[int]:
    statuses: list[int] = []
    async with asyncio.timeout(5), aiohttp.ClientSession(headers={"X-Kit-Api-Key": "key"}) as http:
        while len(statuses) < requests:
            try:
                async with http.get(f"http://127.0.0.1:{port}/v4/tags") as answer:
                    statuses.append(answer.status)
            except aiohttp.ClientConnectorError:
                await asyncio.sleep(0.01)
    return statuses


async def test_a_stop_lets_go_of_what_hangs():
    simulator = KitSimulator()
    simulator.faults.add(Fault(kind=FaultKind.HANG))
    async with serving(simulator) as kit:
        hanging = asyncio.create_task(kit.ask("GET", "/v4/tags"))
        await until(lambda: simulator.journal.requests == 1)
        async with asyncio.timeout(SHUTDOWN_SECONDS_MAX / 2):  # not only because aiohttp loses its patience
            await simulator.stop()
        with pytest.raises(aiohttp.ClientError):
            await hanging
