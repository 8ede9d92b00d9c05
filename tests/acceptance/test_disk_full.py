"""The disk of the embedded log is full for a while: the edge answers 503, the agents wait, and all goes on by itself
once there is room, in the same process. The log has a small disk of its own for that (tmpfs, which root may mount).
"""

import errno
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import Kit
from tests.acceptance.evidence import assert_as_told, assert_nothing_lost, assert_once_only, opened
from tests.acceptance.fleet import until
from tests.acceptance.processes import installation
from tests.acceptance.stripe_player import Answer, chapters, seeds_of, stripe
from tests.parts import skip_without

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]

DISK = "size=64m"
"""Several times what SQLite's write-ahead log grows to before it is put into the file; quickly filled."""
BALLAST_BYTES = 64 * 1024
CHAPTERS = 3
REFUSALS = 20
"""So many before there is room again."""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", DISK, "millrace-test", str(disk)], capture_output=True, text=True, check=False
    )
    if mounted.returncode:
        skip_without(
            "a small disk (tmpfs)", f"run the tests as root where mounting is allowed ({mounted.stderr.strip()})"
        )
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", str(disk)], check=True)


async def test_while_the_disk_is_full_the_edge_says_503_and_with_room_all_goes_on_by_itself(
    small_disk: Path, kit: Kit, seed: int, tmp_path: Path
):
    log = {"broker": f"sqlite:///{small_disk / 'log.db'}", "data_dir": tmp_path / "data"}
    before, meanwhile, after = chapters(seed, CHAPTERS)
    async with installation(log, kit.url, tmp_path) as millrace, stripe(millrace.edge) as posting:
        up = millrace.start("up")
        await millrace.ready(up)
        posting.deliver(before)
        await until(lambda: len(posting.accepted) > len(before) / 2, "load", 60)
        ballast = small_disk / "ballast"
        fill(ballast)
        answered = len(posting.answers)
        posting.deliver(meanwhile)
        await until(lambda: len(refused(posting.answers[answered:])) >= REFUSALS, "503s", 60)
        assert up.running
        ballast.unlink()
        posting.deliver(after)
        await posting.all_taken()
        status = await millrace.idle()
        assert all(answer.retry_after is not None for answer in refused(posting.answers))
        assert status["dead_letters"] == 0
        await up.drained()
        assert_as_told(kit.simulator, seeds_of(seed, CHAPTERS))
        async with opened(millrace.settings) as opened_log:
            await assert_nothing_lost(opened_log, millrace.settings, posting.accepted)
            await assert_once_only(opened_log, millrace.settings, kit.simulator, deaths=[])


def fill(ballast: Path) -> None:
    """Takes all the room that is left."""
    with ballast.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(BALLAST_BYTES))
        except OSError as error:
            assert error.errno == errno.ENOSPC  # noqa: PT017 - anything else is no full disk


def refused(answers: list[Answer]) -> list[Answer]:
    return [answer for answer in answers if answer.status == 503]
