"""Every error that Millrace raises on purpose: whose fault it is, and what to do next.

MillraceError
├── WrongSettings      exit 2   the user's: names the setting and the remedy
├── WrongCatalogue     exit 2   the user's: every fault of the file at once
├── WrongUsage         exit 2   the user's: a command line that cannot be carried out as it stands
├── Unreachable        exit 3   something outside does not answer
│   ├── LogUnavailable          the log does not acknowledge: retry later, nothing was promised
│   ├── KitUnavailable          Kit does not answer
│   └── KitRefused              Kit answered no, with its status and its words (401: the credential, or the plan)
├── LogUnusable        exit 3   the log cannot be opened: damaged, newer schema, owned by another process
└── Fenced             exit 70  another worker has taken over a partition: stop, be restarted

The message is for people and ends with what to do.
"""

from typing import ClassVar


class MillraceError(Exception):
    exit_code: ClassVar[int] = 1


class WrongSettings(MillraceError):  # noqa: N818 - names say what is wrong, the tree says that they are errors
    exit_code = 2


class WrongCatalogue(MillraceError):  # noqa: N818
    exit_code = 2


class WrongUsage(MillraceError):  # noqa: N818
    exit_code = 2


class Unreachable(MillraceError):  # noqa: N818
    exit_code = 3


class LogUnavailable(Unreachable):
    """The log did not acknowledge in time, or has no room. Nothing was promised; the same append may be repeated."""


class KitUnavailable(Unreachable):
    pass


class KitRefused(Unreachable):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"Kit answered {status}: {message}")
        self.status = status
        self.message = message


class LogUnusable(MillraceError):  # noqa: N818
    exit_code = 3


class Fenced(MillraceError):  # noqa: N818
    """The transaction failed because another process owns this partition now, or a send failed."""

    exit_code = 70
