"""What every command starts from: the settings, read once, and a loop that stops on Ctrl-C and SIGTERM."""

import asyncio
import signal
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

import uvloop

from streams.logging_setup import configure_logging
from streams.settings import Settings, load_settings

T = TypeVar("T")


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


def run_until_signal(main: Callable[[asyncio.Event], Awaitable[T]]) -> T:
    """For roles: the first Ctrl-C or SIGTERM sets the event, and the role drains; a second one ends it at once."""

    async def until_signal() -> T:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()

        def asked_to_stop() -> None:
            if stop.is_set():
                raise SystemExit(130)
            stop.set()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, asked_to_stop)
        return await main(stop)

    return uvloop.run(until_signal())
