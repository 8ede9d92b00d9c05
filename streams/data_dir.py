"""Each process's own part of MILLRACE_DATA_DIR, so that roles and workers may share one directory.

A worker takes the first part that no other process holds, and so finds its state stores again after a restart.
"""

import fcntl
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path

from streams.errors import LogUnusable

PARTS_MAX = 64
"""More workers than this on one machine, in one directory, are a mistake."""


@dataclass(frozen=True)
class Part:
    """Held until the process ends, however it ends: the operating system lets go of the lock."""

    path: Path
    lock: TextIOWrapper


def claim_part(data_dir: Path, role: str) -> Part:
    """Raises LogUnusable when every part is held."""
    for number in range(PARTS_MAX):
        path = data_dir / f"{role}-{number}"
        path.mkdir(parents=True, exist_ok=True)
        lock = (path / "lock").open("w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            continue
        return Part(path, lock)
    raise LogUnusable(
        f"all {PARTS_MAX} parts of {data_dir} are held by other processes: set MILLRACE_DATA_DIR to another directory."
    )
