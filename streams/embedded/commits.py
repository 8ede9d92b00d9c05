"""What runs in the writer thread: take all that waits, commit it as one group, report it to the loop in one callback.

streams/embedded/writer.py is the loop's side of it and the only caller. A full disk fails plain jobs of the group and
keeps the patient ones; a broken file fails everything from then on.
"""

import asyncio
import queue
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import structlog

from streams.embedded import database
from streams.embedded.store import Appended, Store
from streams.embedded.stored import Append, OffsetCommit
from streams.errors import LogUnavailable, LogUnusable, MillraceError

logger = structlog.get_logger(__name__)

GROUP_BYTES_MAX = 8 * 1024 * 1024
"""Bounds how long one commit takes, and so how long the next group waits."""
FULL_DISK_RETRY_SECONDS = 0.25
"""How soon patient jobs go on once there is room. A try that fails costs one small transaction."""


@dataclass(slots=True, eq=False)
class Job:
    """Records and offsets that become visible together. `future` gives the offset of the last record (-1: none)."""

    records: Sequence[Append]
    future: asyncio.Future[int]
    offsets: Sequence[OffsetCommit] = ()
    patient: bool = False
    """Waits while the disk is full, instead of failing."""
    withdrawn: bool = False
    """Set by the loop. If it is not being written yet, it never will be; `future` tells when that is certain."""


@dataclass(slots=True, eq=False)
class Handover:
    """What one turn of the loop submitted. `timer` answers for appends that the disk keeps waiting."""

    jobs: list[Job]
    timer: asyncio.TimerHandle
    bytes: int


@dataclass(slots=True, eq=False)
class Call:
    function: Callable[[Store], Any]
    future: asyncio.Future[Any]


@dataclass(slots=True)
class Group:
    """What one transaction takes, and what became of it."""

    handovers: list[Handover] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    appended: Appended = field(default_factory=dict)
    last_offsets: list[int] = field(default_factory=list)


class Reports(Protocol):
    """Called in the loop."""

    def written(self, group: Group) -> None: ...

    def failed(self, handovers: Sequence[Handover], jobs: Sequence[Job], error: MillraceError) -> None: ...

    def stuck(self, reason: str) -> None:
        """The disk is full, or the file locked: patient jobs wait. It is over when something is written again."""

    def closed(self) -> None: ...


class CommitThread:
    def __init__(self, store: Store, loop: asyncio.AbstractEventLoop, reports: Reports) -> None:
        self.queue: queue.SimpleQueue[Handover | Call | None] = queue.SimpleQueue()
        self._store = store
        self._loop = loop
        self._reports = reports
        self._waiting: list[Job] = []
        self._closing = False

    def run(self) -> None:
        try:
            while not self._closing:
                group, calls = self._gather()
                self._commit(group)
                for call in calls:
                    self._carry_out(call)
            self._give_up(f"The log {self._store.path} was closed while its disk was full.")
        except LoopGone:
            logger.warning("the event loop ended without stopping the log", action="log_writer_stopped")
        finally:
            self._store.close()
        self._post_quietly(self._reports.closed)

    def _gather(self) -> tuple[Group, list[Call]]:
        """Waits for the first, takes what else is there up to the limit."""
        group, calls, size = Group(jobs=self._waiting), [], 0
        self._waiting = []
        try:
            item = self.queue.get(timeout=FULL_DISK_RETRY_SECONDS if group.jobs else None)
            while True:
                match item:
                    case Handover():
                        group.handovers.append(item)
                        group.jobs += item.jobs
                        size += item.bytes
                    case Call():
                        calls.append(item)
                    case None:
                        self._closing = True
                if size >= GROUP_BYTES_MAX:
                    break
                item = self.queue.get_nowait()
        except queue.Empty:
            pass
        self._drop_withdrawn(group)
        return group, calls

    def _drop_withdrawn(self, group: Group) -> None:
        withdrawn = [job for job in group.jobs if job.withdrawn]
        if withdrawn:
            group.jobs = [job for job in group.jobs if not job.withdrawn]
            self._post(self._reports.failed, (), withdrawn, LogUnavailable("Withdrawn before it was written."))

    def _commit(self, group: Group) -> None:
        if not group.jobs:
            self._post(self._reports.written, group)
            return
        offsets = [offset for job in group.jobs for offset in job.offsets]
        try:
            records = [job.records for job in group.jobs]
            group.appended, group.last_offsets = self._store.write(records, offsets, _now_ms())
        except sqlite3.Error as error:
            if database.is_passing(error):
                self._wait_for_room(group, error)
            else:
                self._post(self._reports.failed, group.handovers, group.jobs, self._broken(error))
        except Exception as error:
            logger.exception("a bug of Millrace", action="log_writer_failed")
            failure = LogUnusable(f"The log {self._store.path} was handed something it cannot write: {error}. Restart.")
            self._post(self._reports.failed, group.handovers, group.jobs, failure)
        else:
            self._post(self._reports.written, group)

    def _wait_for_room(self, group: Group, error: sqlite3.Error) -> None:
        reason = f"The log {self._store.path} is stuck: {error}. Make room on its disk, then retry."
        self._waiting = [job for job in group.jobs if job.patient]
        refused = [job for job in group.jobs if not job.patient]
        self._post(self._reports.stuck, reason)
        self._post(self._reports.failed, group.handovers, refused, LogUnavailable(reason))

    def _broken(self, error: sqlite3.Error) -> LogUnusable:
        return database.unusable(self._store.path, error)

    def _carry_out(self, call: Call) -> None:
        try:
            result = call.function(self._store)
        except sqlite3.Error as error:
            passing = database.is_passing(error)
            failure = LogUnavailable(f"The log {self._store.path}: {error}.") if passing else self._broken(error)
            self._post(_reject, call.future, failure)
            if not passing:  # retention met a damaged page: nobody waits for it, and nothing may be added to the file
                self._post(self._reports.failed, (), (), failure)
        except Exception as error:  # noqa: BLE001 - belongs to the caller, who awaits the future
            self._post(_reject, call.future, error)
        else:
            self._post(_resolve, call.future, result)

    def _give_up(self, reason: str) -> None:
        if self._waiting:
            self._post(self._reports.failed, (), self._waiting, LogUnavailable(f"{reason} Nothing was promised."))

    def _post(self, callback: Callable[..., None], *arguments: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError as error:
            raise LoopGone from error

    def _post_quietly(self, callback: Callable[[], None]) -> None:
        try:
            self._post(callback)
        except LoopGone:
            return


class LoopGone(Exception):  # noqa: N818 - not an error of anybody's: nobody is left to report to
    """The event loop was closed while the thread was at work."""


def _resolve(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)


def _reject(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
