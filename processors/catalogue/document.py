"""The catalogue from a file's text to the rules the core decides by, and from a record of the log to the same rules.

`parse` takes what people wrote and tells every fault at once; the shell calls it (streams/catalogue_file.py) and puts
`Parsed.document` into the log. `compile_document` takes that document from a record; the core calls it for each one.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from processors.catalogue import notes
from processors.catalogue.checks import Codes, findings_of
from processors.catalogue.compilation import canonical, compile_document, version_of
from processors.catalogue.faults import Fault, Faults
from processors.catalogue.model_faults import fault_of
from processors.catalogue.notes import Note
from processors.catalogue.reading import integers_beyond
from processors.catalogue.rules import Catalogue
from processors.catalogue.tables import Document
from processors.catalogue.toml_lines import NOWHERE, Lines, key_of, lines_of
from processors.ids import CatalogueVersion

__all__ = ["Fault", "Faults", "Note", "Parsed", "checked", "compile_document", "not_acted_on", "parse", "version_of"]

DOCUMENT_BYTES_MAX = 900_000
"""An applied catalogue is one record in every partition; Kafka takes up to 1 MiB unless told otherwise."""

INTEGER_MAX = 2**63 - 1
"""TOML's own limit, which tomllib does not look at; beyond it Python may refuse even to show a number."""

_PLACE = re.compile(r" \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)$")


@dataclass(frozen=True, slots=True)
class Parsed:
    """A catalogue without faults. `document` is plain JSON data, `version` its SHA-256.

    `notes`: what is allowed but perhaps not meant. `raw` and `lines`: the file as it was read, for further notes.
    """

    catalogue: Catalogue
    document: dict[str, Any]
    version: CatalogueVersion
    notes: tuple[Note, ...]
    raw: dict[str, Any]
    lines: Lines


def parse(text: str, *, codes: Codes | None = None) -> Parsed:
    """Raises Faults, all of them at once, and nothing else. `codes` reads the codes files; None: not looked at."""
    raw, lines = _read(text)
    if beyond := list(integers_beyond(raw, INTEGER_MAX)):
        allowed = f"TOML's whole numbers, up to {INTEGER_MAX}"
        raise Faults(Fault(lines.of(path), key_of(path), "found a larger number", allowed) for path in beyond)
    document = _checked(raw, lines, codes)
    version = version_of(document)
    remarks = notes.remarks(raw, lines)
    return Parsed(compile_document(document, version), document, version, tuple(remarks), raw, lines)


def checked(document: Mapping[str, Any]) -> dict[str, Any]:
    """A document that somebody sent, checked like a file, but for its codes files. Raises Faults, all of line 1."""
    return _checked(document, NOWHERE, None)


def _checked(raw: Mapping[str, Any], lines: Lines, codes: Codes | None) -> dict[str, Any]:
    faults = [
        Fault(lines.of(finding.path), key_of(finding.path), finding.problem, finding.allowed, finding.suggestion)
        for finding in findings_of(raw, codes)
    ]
    try:
        model = Document.model_validate(raw)
    except ValidationError as error:
        faults += (fault_of(one, raw, lines) for one in error.errors(include_url=False))
    if faults:
        raise Faults(faults)
    document = plain(model)
    if len(canonical(document)) > DOCUMENT_BYTES_MAX:
        raise Faults([Fault(1, "", "it is too large", f"{DOCUMENT_BYTES_MAX} bytes as JSON")])
    return document


def not_acted_on(parsed: Parsed) -> list[Note]:
    """The rules that this version of Millrace reads and checks, but does not carry out yet."""
    return notes.not_acted_on(parsed.raw, parsed.lines)


def plain(model: Document) -> dict[str, Any]:
    """Defaults are filled in, so that a later version with other defaults reads an old record as it was meant; what is
    absent or empty is left out, so that a key added later does not give an unchanged file a new version.
    """
    document = _without_empty(model.model_dump(by_alias=True, mode="json"))
    assert isinstance(document, dict)
    return document


def _without_empty(value: Any) -> Any:
    if isinstance(value, dict):
        kept = {key: _without_empty(item) for key, item in value.items()}
        return {key: item for key, item in kept.items() if item not in (None, [], {})}
    if isinstance(value, list):
        return [_without_empty(item) for item in value]
    return value


def _read(text: str) -> tuple[dict[str, Any], Lines]:
    try:
        text.encode()
        raw = tomllib.loads(text)
        return raw, lines_of(text)
    except UnicodeEncodeError:
        raise Faults([Fault(1, "", "it is no Unicode text", "a text file in UTF-8")]) from None
    except tomllib.TOMLDecodeError as error:
        raise Faults([_syntax_fault(str(error), text)]) from None
    except RecursionError:
        raise Faults([Fault(1, "", "it is nested too deeply", "a few levels of tables")]) from None
    except ValueError as error:  # tomllib passes on what int() says of thousands of digits
        raise Faults([Fault(1, "", f"not valid TOML: {str(error).partition(';')[0]}")]) from None


def _syntax_fault(message: str, text: str) -> Fault:
    place = _PLACE.search(message)
    if place is None:
        return Fault(1, "", f"not valid TOML: {message}")
    message = message[: place.start()]
    if place["line"] is None:
        return Fault(text.count("\n") + 1, "", f"not valid TOML: {message}, at the end of the file")
    return Fault(int(place["line"]), "", f"not valid TOML: {message}, in column {place['column']}")
