"""The guard ends what it runs when the test run ends, however that ends."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import guard

SECONDS_MAX = 20
SAYS_ITS_PID = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"


class Guarded:
    def __init__(self, scratch: Path) -> None:
        scratch.mkdir()
        self.process = subprocess.Popen(
            [sys.executable, guard.__file__, str(scratch), sys.executable, "-c", SAYS_ITS_PID],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def tell(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(word + "\n")
        self.process.stdin.flush()

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    return tmp_path / "scratch"


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def test_the_end_of_its_input_kills_the_command_and_removes_the_directory(scratch: Path) -> None:
    with (guarded := Guarded(scratch)).process:
        guarded.tell("start")
        pid = int(guarded.line())
        guarded.process.communicate(timeout=SECONDS_MAX)
        assert not is_running(pid)
        assert not scratch.exists()


def test_stop_ends_the_command_keeps_the_directory_and_allows_another_start(scratch: Path) -> None:
    with (guarded := Guarded(scratch)).process:
        guarded.tell("start")
        pid = int(guarded.line())
        guarded.tell("stop")
        assert guarded.line() == f"{guard.ENDED} {-signal.SIGTERM}"
        assert not is_running(pid)
        assert scratch.exists()
        guarded.tell("start")
        assert int(guarded.line()) != pid
        guarded.process.communicate(timeout=SECONDS_MAX)
