"""Who owns a log file: one process at a time, by an OS lock that dies with it.

`Ownership` is taken by streams/embedded/log_file.py before the file is opened for writing. The lock is on a side file
that also holds the owner's pid, so that the second opener can be told whom to stop; read-only openings take none.
"""

import fcntl
import os
from pathlib import Path

from streams.errors import LogUnusable


class Ownership:
    """Held from construction until `release`. Raises LogUnusable, which names the pid of the owner."""

    def __init__(self, log_path: Path) -> None:
        path = log_path.with_name(log_path.name + ".lock")
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise LogUnusable(f"{path} cannot be written: {error.strerror}. Give this user the folder.") from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(self._descriptor, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(self._descriptor)
            raise LogUnusable(
                f"The log {log_path} is in use by the process with pid {owner}. Stop that process first, "
                "or give this one another MILLRACE_BROKER."
            ) from None
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """The side file stays: to delete it would let two openers lock two different files of one name."""
        os.close(self._descriptor)
