"""Runs a command on behalf of a test run, and for no longer than that: whatever happens to the test run.

    python guard.py SCRATCH COMMAND…

Lines on standard input: `start` runs the command, `stop` ends it gently. The end of standard input (the test run has
finished, was interrupted or was killed) kills the command and removes the directory SCRATCH. The command's output goes
to this one's, with a line ENDED after each run. tests/kafka_jars.py keeps Kafka so.
"""

import shutil
import subprocess
import sys
import threading
from pathlib import Path

ENDED = "[guard] the command has ended with code"
GENTLE_SECONDS_MAX = 20
"""Kafka shuts down within a second; a hanging one must not hang the tests."""


def main(scratch: Path, command: list[str]) -> None:
    child: subprocess.Popen[bytes] | None = None
    for line in sys.stdin:
        if line.strip() == "start":
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL)
            threading.Thread(target=_report_end, args=(child,), daemon=True).start()
        elif child is not None:
            _end_gently(child)
    if child is not None:
        child.kill()
        child.wait()
    shutil.rmtree(scratch, ignore_errors=True)


def _report_end(child: subprocess.Popen[bytes]) -> None:
    print(ENDED, child.wait(), flush=True)  # noqa: T201 - its output is the log that the parent reads


def _end_gently(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(GENTLE_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        child.kill()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
