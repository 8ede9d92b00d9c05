"""Applies the catalogue file whenever it has changed, where MILLRACE_CATALOGUE_AUTO_APPLY is set.

Runs beside a role for as long as it does. A wrong file is told once and never replaces the applied one.
"""

import asyncio

import structlog

from streams.catalogue_apply import start_with_catalogue
from streams.clock import now_ms
from streams.errors import MillraceError
from streams.log import Log
from streams.settings import Settings

LOOK_SECONDS = 2.0
"""A person who saves the file waits no longer; nothing on the path of an event waits for this."""

logger = structlog.get_logger(__name__)


async def watch(log: Log, settings: Settings) -> None:
    seen = _stamp(settings)
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now = _stamp(settings)
        if now == seen:
            continue
        try:
            await start_with_catalogue(log, settings, now_ms())
        except MillraceError as error:  # the log is away, or there is neither a file nor an applied catalogue
            logger.warning("the changed catalogue is not applied yet", action="catalogue", reason=str(error))
        else:
            seen = now


def _stamp(settings: Settings) -> tuple[int, int] | None:
    """Changes when the file does. None: there is none."""
    try:
        found = settings.catalogue.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size
