"""`--state FILE`: the account as JSON, loaded at start, replaced as a whole before a change is answered.

Whoever has an answer finds it again after the simulator was killed. Changes that come while one is written share the
next write, so a busy simulator writes as often as the disk allows, not once per request.
"""

import asyncio
from pathlib import Path

import msgspec

from streams.errors import WrongUsage
from streams.kit.simulator.account import Account
from streams.kit.simulator.state import KitState


def load_account(path: Path | None) -> Account:
    """The account of the file, an empty one where there is none. Raises WrongUsage for a file that cannot be read."""
    if path is None or not path.exists():
        return Account()
    try:
        return msgspec.json.decode(path.read_bytes(), type=Account)
    except (OSError, msgspec.MsgspecError) as error:
        raise WrongUsage(
            f"--state {path}: not a state file of the Kit simulator ({error}); name another file"
        ) from error


class StateFile:
    def __init__(self, path: Path, state: KitState) -> None:
        self._path = path
        self._state = state
        self._saved_revision = 0
        self._writing = asyncio.Lock()

    async def save(self) -> None:
        """Returns once everything changed so far is in the file."""
        wanted = self._state.revision
        if self._saved_revision >= wanted:
            return
        async with self._writing:
            # Whoever waited for the lock may find its change written by the one before.
            if self._saved_revision >= wanted:
                return
            revision = self._state.revision
            document = msgspec.json.encode(self._state.account)
            await asyncio.to_thread(_replace_file, self._path, document)
            self._saved_revision = revision


def _replace_file(path: Path, document: bytes) -> None:
    """Whole or not at all. Not fsynced: it outlives a kill of this process, which is what a simulator needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(document)
    beside.replace(path)
