"""Where Kit's OpenAPI document is known to be wrong or silent, each with its source; everything else must fit it.

The sources are Kit's own pages, its newer document of September 2026, recordings of live answers, and the document
itself where it contradicts itself. An entry that no answer needs any more fails a test.
"""

import re
from dataclasses import dataclass

from tests.edges.kit_openapi import Fault


@dataclass(frozen=True, slots=True)
class Exception_:  # noqa: N801 - the builtin has the plain name
    """Regular expressions over a Fault; `status` "request" for one in a request."""

    call: str
    status: str
    pointer: str
    rule: str
    source: str

    def covers(self, fault: Fault) -> bool:
        status = "request" if fault.status is None else str(fault.status)
        return all(
            re.fullmatch(pattern, text) is not None
            for pattern, text in (
                (self.call, fault.call),
                (self.status, status),
                (self.pointer, fault.pointer),
                (self.rule, fault.rule),
            )
        )


ANY = ".*"
EXCEPTIONS = (
    Exception_(ANY, "429|500|503", "", "status", "The document declares no 429 and no 5xx; Kit's page on rate limits."),
    Exception_(
        r"GET .*",
        "200",
        "/pagination/(start|end)_cursor",
        "type",
        "An empty page has null cursors: live recordings of 2026-09-04 (kit-rb, sequences and subscribers).",
    ),
    Exception_(
        r"GET .*",
        "200",
        "/pagination/total_count",
        "unnamed",
        "The text of the parameter include_total_count says that the answer has it.",
    ),
    Exception_(
        r"(GET|PUT|POST) .*",
        "20[012]",
        r"(/subscriber|/subscribers/\d+)/fields",
        "required",
        "The document requires the fields of the account its examples were made with.",
    ),
    Exception_(
        r"(GET|PUT|POST) .*",
        "20[012]",
        r"(/subscriber|/subscribers/\d+)/fields/\w+",
        "unnamed",
        "The document names the fields of the account its examples were made with.",
    ),
    Exception_(
        r"(PUT|POST) /v4/subscribers.*",
        "20[01]",
        r"/subscriber/fields/\w+",
        "type",
        "A field without a value is null: the 202 of the same call and the list say so.",
    ),
    Exception_(
        r"POST /v4/subscribers",
        "200|202",
        "/warnings",
        "unnamed",
        "Declared for 201 only, though its text says `created or updated`; Kit's SDK test of 2026-06-11.",
    ),
    Exception_(
        r"POST /v4/sequences/\{sequence_id\}/subscribers",
        "422",
        r"/errors/\d+",
        "type",
        "For sequences the items may be arrays: Kit's WordPress library unwraps them.",
    ),
    Exception_(
        r"POST /v4/sequences/\{sequence_id\}/subscribers/\{id\}",
        "422",
        "",
        "status",
        "An inactive sequence refuses by id as by email; declared for the email only.",
    ),
    Exception_(
        r"DELETE /v4/tags/\{tag_id\}/subscribers",
        "request",
        r"\?email_address",
        "parameter",
        "Missing here; in Kit's newer document.",
    ),
    Exception_(
        r"DELETE /v4/tags/\{tag_id\}/subscribers",
        "request",
        "",
        "content",
        "Kit's PHP SDK sends the email in a JSON body.",
    ),
    Exception_(
        r"PUT /v4/subscribers/\{id\}",
        "request",
        "",
        "required",
        "The email is not required: Kit's SDK test sends none.",
    ),
    Exception_(
        r"(GET|PUT) .*",
        "422",
        "",
        "status",
        "What Kit says to a cursor, page size or status that is none is not documented; we say 422 as elsewhere.",
    ),
)
