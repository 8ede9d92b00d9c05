"""Who may open an embedded log, and what its file must be: one owner, readers beside it, clear refusals."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pytest

from processors.record import Topic
from streams.embedded import log_file
from streams.embedded.log import EmbeddedLog
from streams.errors import LogUnavailable, LogUnusable, WrongSettings
from streams.log import Reached
from streams.settings import Settings
from tests.edges.embedded_parts import (
    EVENTS,
    SECONDS_MAX,
    append_many,
    event,
    started,
    started_and_stopped,
    until,
)

ROOT = Path(__file__).parents[2]


async def test_a_second_process_is_refused_with_the_pid_of_the_first(log: EmbeddedLog, settings: Settings):
    status, said = await in_another_process(settings, "await log.start()")
    assert status == 3
    assert f"in use by the process with pid {os.getpid()}" in said


async def test_the_lock_dies_with_its_owner(settings: Settings):
    status, _ = await in_another_process(settings, "await log.start(); os._exit(9)")
    assert status == 9
    log = await started(settings)
    await log.append(event(b"k"))
    await log.stop()


async def test_another_process_may_read_beside_the_owner_and_follow_it(log: EmbeddedLog, settings: Settings):
    await append_many(log, 4, partition=0)
    reader = EmbeddedLog(settings, read_only=True)
    await reader.start()
    assert (await reader.ends(EVENTS))[0] == 4
    async with aclosing(reader.tail(EVENTS)) as tail:
        assert [(await anext(tail)).offset for _ in range(4)] == [0, 1, 2, 3]
        assert isinstance(await anext(tail), Reached)
        await append_many(log, 1, partition=0)
        async with asyncio.timeout(SECONDS_MAX):
            assert (await anext(tail)).offset == 4
    with pytest.raises(LogUnusable, match="only its owner appends"):
        await reader.append(event(b"k"))
    await reader.stop()


async def test_it_can_be_read_while_nobody_owns_it(settings: Settings):
    log = await started(settings)
    await append_many(log, 3, partition=0)
    await log.stop()
    reader = EmbeddedLog(settings, read_only=True)
    await reader.start()
    assert len([record async for record in reader.read(EVENTS, 0)]) == 3
    await reader.stop()


async def test_there_is_nothing_to_read_before_a_first_start(settings: Settings):
    with pytest.raises(LogUnusable, match=r"no log at .* Start `millrace up` once"):
        await EmbeddedLog(settings, read_only=True).start()


async def test_only_its_owner_may_read_the_file(log: EmbeddedLog, path: Path):
    for file in (path, path.with_name("log.db-wal")):
        assert file.stat().st_mode & 0o077 == 0


async def test_partitions_are_fixed_once_the_log_is_created(log: EmbeddedLog, settings: Settings):
    await log.stop()
    with pytest.raises(WrongSettings, match="8 partitions, 4 are asked for"):
        await EmbeddedLog(settings.model_copy(update={"partitions": 4})).start()
    await started_and_stopped(settings)


async def test_a_newer_schema_is_refused_and_the_lock_let_go(log: EmbeddedLog, settings: Settings):
    await log.file._writer.call(lambda store: store.connection.execute("PRAGMA user_version = 99"))
    await log.stop()
    for _ in range(2):
        with pytest.raises(LogUnusable, match="schema 99, written by a newer Millrace"):
            await EmbeddedLog(settings).start()


async def test_a_damaged_file_is_refused_with_the_remedy(log: EmbeddedLog, settings: Settings, path: Path):
    await append_many(log, 200)
    await log.stop()
    damage(path)
    with pytest.raises(LogUnusable, match=r"is damaged .* restore the last backup"):
        await EmbeddedLog(settings).start()
    overwrite(path, b"not a database at all" * 1000)
    with pytest.raises(LogUnusable, match="is damaged"):
        await EmbeddedLog(settings).start()


async def test_a_folder_that_cannot_be_created_is_said(tmp_path: Path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(LogUnusable, match="cannot be created"):
        await EmbeddedLog(Settings(broker=f"sqlite:///{tmp_path}/file/log.db")).start()


async def test_a_broker_that_is_no_file_is_a_wrong_setting():
    with pytest.raises(WrongSettings, match="MILLRACE_BROKER"):
        EmbeddedLog(Settings(broker="kafka://127.0.0.1:9092"))


async def test_after_a_stop_it_says_that_it_is_closed(settings: Settings):
    log = await started(settings)
    await log.stop()
    await log.stop()
    with pytest.raises(LogUnavailable, match="is closed"):
        await log.append(event(b"k"))


async def test_retention_runs_by_itself(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    log = await started(settings)
    await log.append_all([event(b"k", topic=Topic.STRIPE_OTHER, partition=0) for _ in range(9)])
    await log.append(event(b"k", topic=Topic.STRIPE_OTHER, partition=0))
    long_ago = "UPDATE batches SET timestamp_ms = 0"
    await log.file._writer.call(lambda store: store.connection.execute(long_ago))
    await log.stop()
    monkeypatch.setattr(log_file, "RETENTION_SECONDS", 0.01)
    log = await started(settings)
    [partition, *_] = log.partitions(Topic.STRIPE_OTHER)
    async with asyncio.timeout(SECONDS_MAX):
        while await log.file.first_offset(partition) != 9:
            pass
    await log.stop()


async def test_retention_that_meets_a_damaged_page_says_so_and_lets_the_log_stop(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(log_file, "RETENTION_SECONDS", 0.01)
    log = await started(settings)
    await log.file._writer.call(lambda store: store.connection.execute("DROP TABLE latest"))
    await until(lambda: log.trouble is not None)
    with pytest.raises(LogUnusable, match="no such table"):
        await log.append(event(b"k"))
    await log.stop()
    assert log.file._ownership is None


def overwrite(path: Path, content: bytes) -> None:
    path.write_bytes(content)


def damage(path: Path) -> None:
    whole = path.read_bytes()
    overwrite(path, whole[: len(whole) // 2] + os.urandom(len(whole) // 4) + whole[len(whole) * 3 // 4 :])


async def in_another_process(settings: Settings, statement: str) -> tuple[int, str]:
    program = f"""
import asyncio, os, sys
from streams.embedded.log import EmbeddedLog
from streams.errors import MillraceError
from streams.settings import Settings
async def main():
    log = EmbeddedLog(Settings(broker={settings.broker!r}))
    try:
        {statement}
    except MillraceError as error:
        print(error)
        sys.exit(error.exit_code)
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, cwd=ROOT, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await asyncio.wait_for(process.communicate(), SECONDS_MAX)
    assert process.returncode is not None
    return process.returncode, said.decode()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "data" / "log.db"


@pytest.fixture
def settings(path: Path) -> Settings:
    return Settings(broker=f"sqlite:///{path}")


@pytest.fixture
async def log(settings: Settings) -> AsyncIterator[EmbeddedLog]:
    log = await started(settings)
    yield log
    await log.stop()
