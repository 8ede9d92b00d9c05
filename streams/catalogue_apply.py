"""Applies a catalogue: one record in catalogue.events and one in every partition of customer.events, at once.

From then on each customer's record is decided by the catalogue that precedes it in its own partition, in a replay as
well (docs/design.md §4). Called by `millrace apply`, by the ops API and at the start of a role.
"""

import asyncio
import random
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec
import structlog

from processors.catalogue.document import Faults, Parsed, checked, version_of
from processors.ids import CATALOGUE_KEY, CatalogueVersion, catalogue_key
from processors.messages import UNREADABLE, CatalogueApplied, decode_customer_message, encode, type_of
from processors.record import Source, Topic
from streams.catalogue_file import load_catalogue
from streams.errors import LogUnavailable, WrongCatalogue
from streams.log import Log, NewRecord
from streams.settings import Settings
from streams.topics import partitions_of

START_TRIES = 3
"""On Kafka, roles that start together on a new log end each other's transaction, and a broker has several words for
that. One of them lands; the others look again.
"""
START_PAUSE_SECONDS_MAX = 0.5

logger = structlog.get_logger(__name__)


class Standing(StrEnum):
    """How the catalogue file stands to the applied catalogue after a start."""

    FIRST_APPLIED = "first_applied"
    APPLIED = "applied"
    UNCHANGED = "unchanged"
    WAITING = "waiting"
    REFUSED = "refused"


async def apply_document(
    log: Log, document: Mapping[str, Any], settings: Settings, now_ms: int
) -> tuple[CatalogueVersion, bool]:
    """Its version, and whether it is new. Its records become visible together, or none of them.

    Raises WrongCatalogue, LogUnavailable. Two processes that start at once may both apply their file: the same version
    twice changes nothing.
    """
    try:
        plain = checked(document)
    except Faults as faults:
        raise WrongCatalogue(f"{faults.render('document')}\nnothing was applied; run `millrace check`") from None
    version = version_of(plain)
    if await applied_version(log) == version:
        return version, False
    await _append(log, plain, version, settings, now_ms)
    return version, True


async def ensure_applied(log: Log, parsed: Parsed, settings: Settings, now_ms: int) -> Standing:
    """The first start applies the file. After that a changed one waits for `millrace apply`, unless
    MILLRACE_CATALOGUE_AUTO_APPLY is set. Raises LogUnavailable.
    """
    for _ in range(START_TRIES - 1):
        try:
            return await _ensured(log, parsed, settings, now_ms)
        except LogUnavailable:
            await asyncio.sleep(random.uniform(0, START_PAUSE_SECONDS_MAX))  # noqa: S311 - chance, not a secret
    return await _ensured(log, parsed, settings, now_ms)


async def _ensured(log: Log, parsed: Parsed, settings: Settings, now_ms: int) -> Standing:
    applied = await applied_version(log)
    if applied == parsed.version:
        return _said(Standing.UNCHANGED, settings, parsed.version, "is the applied catalogue")
    if applied is None or settings.catalogue_auto_apply:
        await _append(log, parsed.document, parsed.version, settings, now_ms)
        standing = Standing.FIRST_APPLIED if applied is None else Standing.APPLIED
        return _said(standing, settings, parsed.version, "was applied")
    sentence = f"has changed; version {applied[:12]} stays in force until `millrace apply`"
    return _said(Standing.WAITING, settings, parsed.version, sentence)


async def start_with_catalogue(log: Log, settings: Settings, now_ms: int) -> Standing:
    """ensure_applied for the file of the settings. A file that is wrong or gone does not keep a role from starting
    with the applied catalogue; without one, raises WrongCatalogue.
    """
    try:
        parsed = load_catalogue(settings.catalogue)
    except WrongCatalogue as error:
        applied = await applied_version(log)
        if applied is None:
            raise
        return _said(Standing.REFUSED, settings, applied, f"is refused, the applied one stays in force:\n{error}")
    return await ensure_applied(log, parsed, settings, now_ms)


async def applied_version(log: Log) -> CatalogueVersion | None:
    current = await _current(log)
    return current.version if current is not None else None


async def _current(log: Log) -> CatalogueApplied | None:
    """The last one in catalogue.events, which also holds Stripe's raw product and price events.

    Raises WrongCatalogue when it was written by a newer Millrace: to read past it would bring back an older one.
    """
    last: bytes | None = None
    async for record in log.read(Topic.CATALOGUE_EVENTS, 0):
        if _is_catalogue(record.value):
            last = record.value
    if last is None:
        return None
    try:
        message = decode_customer_message(last)
    except msgspec.ValidationError as error:
        remedy = "it is from a newer Millrace: update this one"
        raise WrongCatalogue(f"the applied catalogue cannot be read ({error}): {remedy}") from error
    assert isinstance(message, CatalogueApplied), "its type says so"
    return message


def _is_catalogue(value: bytes) -> bool:
    try:
        return type_of(value) == "catalogue_applied"
    except UNREADABLE:  # no JSON, or nested too deeply
        return False


async def _append(
    log: Log, document: Mapping[str, Any], version: CatalogueVersion, settings: Settings, now_ms: int
) -> None:
    value = encode(CatalogueApplied(version=version, document=dict(document)))
    records = [_record(Topic.CATALOGUE_EVENTS, CATALOGUE_KEY, value, now_ms, 0)]
    records += (
        _record(Topic.CUSTOMER_EVENTS, catalogue_key(partition), value, now_ms, partition)
        for partition in range(partitions_of(settings, Topic.CUSTOMER_EVENTS))
    )
    await log.append_all(records)


def _record(topic: Topic, key: str, value: bytes, now_ms: int, partition: int) -> NewRecord:
    """`source` has no word for what Millrace does at a person's word; of the six, a tick is its own doing too."""
    return NewRecord(topic, key.encode(), value, Source.TICK, now_ms, partition)


def _said(standing: Standing, settings: Settings, version: CatalogueVersion, sentence: str) -> Standing:
    log = logger.error if standing is Standing.REFUSED else logger.info
    log(f"{settings.catalogue} {sentence}", action="catalogue", standing=standing, version=version)
    return standing
