"""A benchmark's program in a process of its own: it says JSON lines, and ends when its standard input is closed.

A line on its standard input asks for the CPU seconds it has used. So a contender has a loop, a heap and a core to
itself, and never outlives the benchmark, whatever becomes of that.
"""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

END_SECONDS_MAX = 20.0
"""A role drains within ten; after this it is killed, and the benchmark fails."""


class Child:
    """`heard`: the next thing it says. Raises RuntimeError where it ended instead."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def heard(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError(f"{self._process.args} ended with {self._process.wait()} and without a word")
        return json.loads(line)

    def cpu_seconds(self) -> float:
        """Of all its threads so far: what is shared with other processes of the machine does not count."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self.heard())


@contextmanager
def child(module: str, *arguments: str, environment: Mapping[str, str] | None = None) -> Iterator[Child]:
    """Runs `python -m module`; what it logs goes to this process's standard error."""
    command = [sys.executable, "-m", module, *arguments]
    process = subprocess.Popen(
        command, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield Child(process)
        assert process.stdin is not None
        process.stdin.close()
        code = process.wait(END_SECONDS_MAX)
        if code:
            raise RuntimeError(f"{command} ended with {code}")
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout):
            if stream is not None and not stream.closed:
                stream.close()


def say(message: object) -> None:
    """In the child."""
    print(json.dumps(message), flush=True)


async def until_ended() -> None:
    """In the child: until the benchmark closes its standard input, or is no more. Answers meanwhile."""
    while await asyncio.to_thread(sys.stdin.readline):
        say(time.process_time())
