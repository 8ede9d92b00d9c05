"""The catalogue file: read from disk with the codes files beside it, and parsed by the core.

In goes the path of MILLRACE_CATALOGUE; out comes what may be applied (catalogue_apply.py), or WrongCatalogue with every
fault. Called by the command line and at the start of a role.
"""

from pathlib import Path

from processors.catalogue.document import Faults, Parsed, parse
from streams.errors import WrongCatalogue

FILE_BYTES_MAX = 4_000_000
"""Far beyond any catalogue that fits into a record: whoever names a larger file has named the wrong one."""


def load_catalogue(path: Path) -> Parsed:
    """Raises WrongCatalogue: one line per fault, `FILE:LINE: KEY: what was found; allowed: …`, then what to do."""
    text = _text(path)
    try:
        return parse(text, codes=lambda file: _codes(path.parent / file))
    except Faults as faults:
        raise WrongCatalogue(f"{faults.render(str(path))}\n{_remedy(len(faults.faults))}") from None


def _remedy(count: int) -> str:
    found = "1 fault" if count == 1 else f"{count} faults"
    return f"{found}: nothing was applied; correct the file, then run `millrace check`"


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > FILE_BYTES_MAX:
            raise WrongCatalogue(
                f"{path}: larger than {FILE_BYTES_MAX} bytes: set MILLRACE_CATALOGUE to the right file"
            )
        return path.read_text(encoding="utf-8-sig")  # some editors begin a file with a byte order mark
    except FileNotFoundError:
        remedy = "set MILLRACE_CATALOGUE, or begin with a copy of catalogue.example.toml"
        raise WrongCatalogue(f"{path}: there is no such file: {remedy}") from None
    except OSError as error:
        raise WrongCatalogue(f"{path}: cannot be read ({error.strerror}): set MILLRACE_CATALOGUE") from error
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise WrongCatalogue(f"{path}:{line}: not UTF-8: save the file with this encoding") from error


def _codes(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError):  # ValueError: not UTF-8, or a path that cannot be one
        return None
