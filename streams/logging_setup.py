"""Log lines for people (text) or machines (json), on stderr; called once by the command line.

Whatever library a line comes from, no email address leaves in full and no secret at all: the masks run last, over
every value and every traceback.
"""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

_EMAIL = re.compile(r"([A-Za-z0-9._%+-])[A-Za-z0-9._%+-]*@([A-Za-z0-9.-]+\.[A-Za-z]{2,})")
_SECRET = re.compile(r"\b(whsec_|sk_live_|sk_test_|rk_live_|rk_test_)[A-Za-z0-9_-]{6,}|\b(kit_)[A-Za-z0-9]{12,}")
"""Kit's keys have no underscore after the first, our own `action=kit_…` names are shorter."""
QUIET = ("aiokafka", "faust", "mode", "aiohttp", "kafka")
"""Libraries whose ordinary lines say nothing to an operator; their warnings stay."""


def configure_logging(style: Literal["text", "json"], level: int = logging.INFO) -> None:
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        _masked,
    ]
    renderer: Any = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_is_for_operators)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _masked, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in QUIET:
        logging.getLogger(name).setLevel(max(level, logging.WARNING))


def _is_for_operators(record: logging.LogRecord) -> bool:
    """Faust's services tell of each start and stop, under our modules' names where the classes are ours."""
    return record.levelno > logging.INFO or not str(record.msg).startswith("[^")


def _masked(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = masked(value)
        elif not name.startswith("_") and not isinstance(value, int | float | bool | type(None)):
            event[name] = masked(repr(value))
    return event


def masked(text: str) -> str:
    """`jane.doe@example.com` → `j…@example.com`; `whsec_abc…` → `whsec_…`."""
    return _SECRET.sub(r"\1\2…", _EMAIL.sub(r"\1…@\2", text))
