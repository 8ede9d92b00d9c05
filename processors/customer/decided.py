"""What has been decided for a customer and must not be forgotten: part of the state, written by decide.py alone."""

import msgspec

from processors.ids import CatalogueVersion, CommandId
from processors.messages import FieldWish, TagWish


class KeptTag(msgspec.Struct, frozen=True, kw_only=True):
    """A tag that a moment gave, for good. `occurrence`: as `purchased sub_123`; `at`: when it happened, seconds."""

    wish: TagWish
    occurrence: str
    at: int


class KeptField(msgspec.Struct, frozen=True, kw_only=True):
    """A field that a moment set. Of several moments that follow one rule, the latest one's value is kept."""

    wish: FieldWish
    occurrence: str
    at: int


class WaitingEnrol(msgspec.Struct, frozen=True, kw_only=True):
    """An enrolment that was decided before any email was known."""

    id: CommandId
    sequence: str
    rule: str
    catalogue: CatalogueVersion


class Decided(msgspec.Struct, frozen=True, omit_defaults=True):
    """`occurrences`: the ledger of moments that happened (id_set.py), for good.

    `aligned_fingerprint`: of what is wished as of the last Align, empty where nothing is; `aligned_email`: whom
    that was sent to. Where something is wished and nobody was told, it waits, and goes out with the first email known.
    """

    occurrences: bytes = b""
    tags: tuple[KeptTag, ...] = ()
    fields: tuple[KeptField, ...] = ()
    waiting: tuple[WaitingEnrol, ...] = ()
    aligned_fingerprint: str = ""
    aligned_email: str = ""
