"""A time limit shared by all that waits for the same thing: one timer for all of them.

Used by streams/kafka/writing.py around each append. `asyncio.timeout` arms and disarms a timer every time, which costs
as much as checking a webhook's signature and routing it together; since the limit is the same for all, the oldest is
always due first, and one timer for it is enough.
"""

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class SharedDeadline:
    """Bound to the running loop of its first use."""

    def __init__(self, seconds_max: float) -> None:
        self.seconds_max = seconds_max
        # In the order of their start, hence of their deadlines. Who is gone from it was cancelled by us, or has ended.
        self._due_by_task: dict[asyncio.Task[object], float] = {}
        self._timer: asyncio.TimerHandle | None = None

    async def within(self, work: Awaitable[T]) -> T:
        """Raises TimeoutError when the work has not ended in time, and cancels it; once at a time in each task."""
        loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None, "only called in tasks"
        assert task not in self._due_by_task, "a task waits for one thing at a time"
        self._due_by_task[task] = loop.time() + self.seconds_max
        if self._timer is None:
            self._timer = loop.call_later(self.seconds_max, self._cancel_overdue)
        try:
            return await work
        except asyncio.CancelledError:
            # Cancelled by us and by nobody else: the same test as asyncio.timeout makes.
            if task not in self._due_by_task and task.uncancel() == 0:
                raise TimeoutError from None
            raise
        finally:
            self._due_by_task.pop(task, None)

    def _cancel_overdue(self) -> None:
        now = asyncio.get_running_loop().time()
        self._timer = None
        for task, due in list(self._due_by_task.items()):
            if due > now:
                self._timer = asyncio.get_running_loop().call_at(due, self._cancel_overdue)
                return
            del self._due_by_task[task]
            task.cancel()
