"""An event loop whose time jumps to the next timer when nothing else is left to do: hours of waiting in no time."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")

EPOCH = 1_800_000_000.0
"""What the wall clock shows when a virtual loop begins."""


class _JumpingSelector(selectors.SelectSelector):
    loop: "VirtualLoop"

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise AssertionError("everyone waits, and nothing is left that could happen")
            self.loop.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self.now = 0.0
        selector = _JumpingSelector()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.now


def wall_clock() -> float:
    return EPOCH + asyncio.get_running_loop().time()


async def until(condition: Callable[[], object], step_seconds: float = 0.001, seconds_max: float = 7200) -> float:
    """Looks again and again, which costs nothing in virtual time; returns how long it took."""
    began = wall_clock()
    async with asyncio.timeout(seconds_max):
        while not condition():
            await asyncio.sleep(step_seconds)
    return wall_clock() - began


def run_virtual(work: Coroutine[Any, Any, T]) -> T:
    """Runs it to its end in virtual time; a deadlock fails at once."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
