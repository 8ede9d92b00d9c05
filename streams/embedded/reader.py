"""Reads of the file off the event loop: one thread, one read-only connection beside the writer's.

streams/embedded/log_file.py asks for chunks; in a read-only opening this is all there is.
"""

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from streams.embedded import database
from streams.embedded.store import Store

T = TypeVar("T")


class Reader:
    def __init__(self, path: Path) -> None:
        self._path = path
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="millrace-log-reader")
        self._store: Store | None = None

    async def start(self) -> None:
        """Raises LogUnusable."""
        self._store = await asyncio.get_running_loop().run_in_executor(self._thread, self._open)

    async def ask(self, function: Callable[[Store], T]) -> T:
        """Raises LogUnusable when the file cannot be read any more."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._answer, function)

    async def stop(self) -> None:
        if self._store is not None:
            store, self._store = self._store, None
            await asyncio.get_running_loop().run_in_executor(self._thread, store.close)
        self._thread.shutdown(wait=False)

    def _open(self) -> Store:
        return Store(self._path, read_only=True)

    def _answer(self, function: Callable[[Store], T]) -> T:
        assert self._store is not None, "started, and not stopped"
        try:
            return function(self._store)
        except sqlite3.Error as error:
            raise database.unusable(self._path, error) from error
