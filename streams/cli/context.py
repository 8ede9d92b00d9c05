"""What every command starts from: the settings, read once, and a loop that stops on Ctrl-C and SIGTERM."""

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import uvloop

from streams.logging_setup import configure_logging
from streams.settings import Settings, load_settings

T = TypeVar("T")

EXIT_SECONDS_MAX = 5.0
"""After a role has failed and cleaned up, for the loop and the interpreter to end."""


@dataclass
class Context:
    env_file: Path | None

    @cached_property
    def settings(self) -> Settings:
        """Raises WrongSettings; a command that needs none does not ask."""
        settings = load_settings(env_file=self.env_file)
        configure_logging(settings.log_format)
        return settings


def run(main: Callable[[], Awaitable[T]]) -> T:
    """For commands that do one thing and end."""

    async def once() -> T:
        return await main()

    return uvloop.run(once())


def run_until_signal(main: Callable[[asyncio.Event], Awaitable[int]]) -> int:
    """For roles: the first Ctrl-C or SIGTERM sets the event, and the role drains; a second one ends it at once.

    Returns the exit code, and sees to it that a process with one other than 0 ends.
    """

    async def until_signal() -> int:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def asked_to_stop() -> None:
            if stop.is_set():
                raise SystemExit(130)
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, asked_to_stop)
        code = await main(stop)
        if code:
            leave_within(EXIT_SECONDS_MAX, code)
        return code

    return uvloop.run(until_signal())


def leave_within(seconds: float, code: int) -> None:
    """A worker that was overtaken must go, whatever of it hangs: Faust's consumer thread, which is no daemon, waits for
    its group; a connection, a task that will not end.
    """
    timer = threading.Timer(seconds, os._exit, (code,))
    timer.daemon = True
    timer.start()
