"""The loop's side of the one thread that writes (streams/embedded/commits.py): the loop never waits for the disk.

Jobs of one turn of the loop are handed over together; whatever waits when the last commit is done goes into the next
one, with one fsync; each group comes back with one callback that resolves all its futures. streams/embedded/log_file.py
submits and is told what was appended.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import TypeVar

from streams.embedded.commits import Call, CommitThread, Group, Handover, Job
from streams.embedded.store import Appended, Store
from streams.embedded.stored import Append, OffsetCommit
from streams.errors import LogUnavailable, LogUnusable, MillraceError
from streams.log import APPEND_SECONDS_MAX

T = TypeVar("T")

QUEUED_BYTES_MAX = 64 * 1024 * 1024
"""More than a disk writes in some seconds: refuse at once what would time out later."""
RECORD_BYTES = 200
"""What a record costs beside its value; keeps the limit true for many small ones."""

OnWritten = Callable[[Appended, Sequence[Job]], None]
"""Called in the loop when a group is on disk, before the futures of its jobs resolve."""


class Writer:
    """Owns the store from construction until `stop` has returned."""

    def __init__(self, store: Store, on_written: OnWritten) -> None:
        self.trouble: str | None = None
        """Why nothing can be written now, with the remedy; None when all is well."""
        self.failed_for_good = asyncio.Event()
        """The file is broken: nothing is written any more. `trouble` says why."""
        self._path = store.path
        self._on_written = on_written
        self._turn: list[Job] = []
        self._turn_bytes = 0
        self._queued_bytes = 0
        self._refusal: MillraceError | None = None
        self._loop = asyncio.get_running_loop()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._commits = CommitThread(store, self._loop, self)
        threading.Thread(target=self._commits.run, name="millrace-log-writer", daemon=True).start()

    def submit(self, records: Sequence[Append], offsets: Sequence[OffsetCommit] = (), *, patient: bool = False) -> Job:
        """See LogFile.submit. Raises LogUnavailable when too much waits, LogUnusable once the file has failed."""
        if self._refusal is not None:
            raise self._refusal
        size = 0
        for record in records:
            size += RECORD_BYTES + (len(record.value) if record.value else 0)
        if self._queued_bytes + size > QUEUED_BYTES_MAX and self._queued_bytes and not patient:
            raise LogUnavailable(
                f"The log {self._path} cannot keep up: {self._queued_bytes} bytes wait for its disk. Retry later."
            )
        if not self._turn:
            self._loop.call_soon(self._hand_over)
        job = Job(records, self._loop.create_future(), offsets, patient)
        self._turn.append(job)
        self._queued_bytes += size
        self._turn_bytes += size
        return job

    def call(self, function: Callable[[Store], T]) -> asyncio.Future[T]:
        """Runs in the writer thread between two groups: creation of topics, retention."""
        if self._refusal is not None:
            raise self._refusal
        future: asyncio.Future[T] = self._loop.create_future()
        self._commits.queue.put(Call(function, future))
        return future

    async def stop(self) -> None:
        """Writes what was submitted, then closes the store. Jobs that still wait for room fail."""
        if self._refusal is None:
            self._refusal = LogUnavailable(f"The log {self._path} is closed; append again after a restart.")
        self._hand_over()
        self._commits.queue.put(None)
        await self._closed

    def _hand_over(self) -> None:
        if self._turn:
            timer = self._loop.call_later(APPEND_SECONDS_MAX, self._expire, self._turn)
            self._commits.queue.put(Handover(self._turn, timer, self._turn_bytes))
            self._turn, self._turn_bytes = [], 0

    def _expire(self, jobs: Sequence[Job]) -> None:
        """The disk hangs. A job that is being written right now may still land: nothing was promised about it."""
        error = LogUnavailable(
            f"The log {self._path} has not acknowledged within {APPEND_SECONDS_MAX:g} s: its disk is too slow. "
            "Retry later."
        )
        for job in jobs:
            if not job.patient and not job.future.done():
                job.withdrawn = True
                job.future.set_exception(error)

    # --- reports of the thread, called in the loop -------------------------------------------------------------

    def written(self, group: Group) -> None:
        self._release(group.handovers)
        if group.jobs:
            self.trouble = None
        self._on_written(group.appended, group.jobs)
        for job, offset in zip(group.jobs, group.last_offsets, strict=True):
            future = job.future
            if not future.done():
                future.set_result(offset)

    def failed(self, handovers: Sequence[Handover], jobs: Sequence[Job], error: MillraceError) -> None:
        self._release(handovers)
        if isinstance(error, LogUnusable):
            self._refusal = error
            self.trouble = str(error)
            self.failed_for_good.set()
        for job in jobs:
            if not job.future.done():
                job.future.set_exception(error)

    def stuck(self, reason: str) -> None:
        self.trouble = reason

    def closed(self) -> None:
        self._closed.set_result(None)

    def _release(self, handovers: Sequence[Handover]) -> None:
        for handover in handovers:
            self._queued_bytes -= handover.bytes
            handover.timer.cancel()
