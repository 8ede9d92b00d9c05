"""From a catalogue's document (plain data, of a file or of a record) to the rules the core decides by.

`compile_document` is called by the core at each record and answers from a small memory after the first time.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import orjson
from pydantic import ValidationError

from processors.catalogue.faults import Fault, Faults
from processors.catalogue.model_faults import fault_of
from processors.catalogue.rules import Catalogue, Conditions, Moment, Offer, State, WhenRule, WhileRule
from processors.catalogue.tables import Document, OfferTable, Whens, WhenTable, Whiles, WhileTable
from processors.catalogue.toml_lines import NOWHERE
from processors.ids import CatalogueVersion

COMPILED_MAX = 16
"""Versions kept compiled: partitions that are read side by side are at most a few catalogues apart."""

_compiled: OrderedDict[CatalogueVersion, Catalogue] = OrderedDict()
"""A memory of a pure function by its content's hash: it changes how long an answer takes, never the answer."""


def compile_document(document: Mapping[str, Any], version: CatalogueVersion) -> Catalogue:
    """Raises Faults when the document is not one, or not the one that has this version (once: a known version is
    answered without a look at the document).

    The shape is validated, the checks of checks.py are not made again: a rule added there later must not refuse what
    was applied before, or the log could no longer be read from its start.
    """
    known = _compiled.get(version)
    if known is not None:
        return known
    catalogue = _built(_validated(document, version), version)
    _compiled[version] = catalogue
    while len(_compiled) > COMPILED_MAX:
        _compiled.popitem(last=False)
    return catalogue


def version_of(document: Mapping[str, Any]) -> CatalogueVersion:
    """SHA-256 of the canonical JSON, hex."""
    return CatalogueVersion(hashlib.sha256(canonical(document)).hexdigest())


def canonical(document: Mapping[str, Any]) -> bytes:
    """JSON with sorted keys and no blanks. Arrays keep their order: the first offer that matches wins."""
    return orjson.dumps(document, option=orjson.OPT_SORT_KEYS)


def _validated(document: Mapping[str, Any], version: CatalogueVersion) -> Document:
    try:
        model = Document.model_validate(document)
    except ValidationError as error:
        raise Faults(fault_of(one, document, NOWHERE) for one in error.errors(include_url=False)) from None
    if version != (right := version_of(document)):
        raise Faults([Fault(1, "", f"the version says {version[:12]}…, the document is {right[:12]}…")])
    return model


def _built(document: Document, version: CatalogueVersion) -> Catalogue:
    ranks = {tier: rank for rank, tier in enumerate(document.tiers.order, start=1)}
    return Catalogue(
        version=version,
        account_name=document.account.name,
        timezone=document.account.timezone,
        portal_url=document.account.portal_url or "",
        create_as=document.subscribers.create_as,
        create_missing=document.subscribers.create_missing,
        stripe_customer_id_field=document.subscribers.stripe_customer_id_field,
        trial_is_active=document.entitlement.trial_is_active,
        past_due_is_active=document.entitlement.past_due_is_active,
        whiles=_whiles(document.whiles),
        whens=_whens(document.whens),
        offers=tuple(_offer(offer, place, ranks) for place, offer in enumerate(document.offer, start=1)),
    )


def _offer(offer: OfferTable, place: int, ranks: Mapping[str, int]) -> Offer:
    return Offer(
        name=offer.name,
        place=place,
        products=frozenset(offer.products),
        prices=frozenset(offer.prices),
        payment_links=frozenset(offer.payment_links),
        metadata=dict(offer.metadata),
        tier=offer.tier,
        tier_rank=ranks.get(offer.tier, 0) if offer.tier else 0,
        whiles=_whiles(offer.whiles),
        whens=_whens(offer.whens),
    )


def _whiles(table: Whiles) -> dict[State, WhileRule]:
    rules: dict[State, WhileRule] = {}
    for state in State:
        rule: WhileTable | None = getattr(table, state)
        if rule is not None:
            rules[state] = WhileRule(tags=_names(rule.tags), fields=dict(rule.fields))
    return rules


def _whens(table: Whens) -> dict[Moment, tuple[WhenRule, ...]]:
    rules: dict[Moment, tuple[WhenRule, ...]] = {}
    for moment in Moment:
        given: list[WhenTable] = getattr(table, moment)
        if given:
            rules[moment] = tuple(_when(rule) for rule in given)
    return rules


def _when(rule: WhenTable) -> WhenRule:
    return WhenRule(
        sequences=_names(rule.sequences),
        deliveries=tuple(rule.deliveries),
        tags=_names(rule.tags),
        signals=_names(rule.signals),
        fields=dict(rule.fields),
        conditions=Conditions(
            after_days_min=rule.after_days_min,
            after_days_max=rule.after_days_max,
            renewals_min=rule.renewals_min,
            renewals_max=rule.renewals_max,
            to_tier=rule.to_tier,
            from_tier=rule.from_tier,
            reason=rule.reason,
            was_paid=rule.was_paid,
        ),
    )


def _names(references: list[str | int]) -> tuple[str, ...]:
    """Names and ids; an id as its digits, which whoever asks Kit tries as a name first."""
    return tuple(str(reference) for reference in references)
