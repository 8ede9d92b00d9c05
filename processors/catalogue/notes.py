"""What `millrace check` tells about a catalogue without faults: what is perhaps not meant, and what waits for a later
version of Millrace.

In goes a file's raw data with its lines; called through document.py.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from processors.catalogue.faults import shown
from processors.catalogue.placeholders import METADATA, names_in
from processors.catalogue.reading import Raw, Rule, entries, rules_of, table, tables, text, texts
from processors.catalogue.rules import RECURRING, Moment, State
from processors.catalogue.toml_lines import Lines, Path, key_of

GIVES = ("tags", "fields", "sequences", "signals", "deliveries")
_KNOWN_ONLY_AT = {
    "reason": (Moment.CANCELED,),
    "was_paid": (Moment.CANCELED,),
    "from_tier": (Moment.UPGRADED, Moment.DOWNGRADED),
}
STATES_ACTED_ON = frozenset({State.ACTIVE, State.OWNED})
MOMENTS_ACTED_ON = frozenset({Moment.PURCHASED})
PLACEHOLDERS_NOT_FILLED = frozenset(
    {"product.name", "product.metadata.KEY", "invoice.url", "portal.url", "delivery.url", "delivery.code"}
)
"""The three sets follow the core (customer/wishes.py, moments.py, filling.py); a test holds each of them to it."""

_TABLES_NOT_ACTED_ON = ("milestone", "delivery", "reverse", "purchases", "report", "reconcile")
_NOT_YET = "is checked and kept, but this version of Millrace does not act on it yet"


@dataclass(frozen=True, slots=True)
class Note:
    """Not a fault. `key` as the user wrote it, `text` a sentence that goes on from it."""

    line: int
    key: str
    text: str


def remarks(raw: Raw, lines: Lines) -> list[Note]:
    return _noted(_remarks(raw), lines)


def not_acted_on(raw: Raw, lines: Lines) -> list[Note]:
    return _noted(_not_acted_on(raw), lines)


def _noted(found: Iterator[tuple[Path, str]], lines: Lines) -> list[Note]:
    notes = (Note(lines.of(path), key_of(path), sentence) for path, sentence in found)
    return sorted(notes, key=lambda note: note.line)


def _not_acted_on(raw: Raw) -> Iterator[tuple[Path, str]]:
    if "on_mismatch" in table(raw, "subscribers"):
        yield ("subscribers", "on_mismatch"), _NOT_YET
    for rule in rules_of(raw):
        acted_on = STATES_ACTED_ON if rule.kind == "while" else MOMENTS_ACTED_ON
        if rule.kind == "milestone":
            continue
        if rule.word not in acted_on:
            yield rule.path, _NOT_YET
            continue
        yield from (((*rule.path, key), _NOT_YET) for key in ("deliveries", "signals") if key in rule.table)
        yield from _placeholders_not_filled(rule)
    for name in _TABLES_NOT_ACTED_ON:
        yield from ((path, _NOT_YET) for path, given in tables(raw, (), name) if not _switched_off(given))


def _placeholders_not_filled(rule: Rule) -> Iterator[tuple[Path, str]]:
    for path, template in (*texts(rule.table, rule.path, "tags"), *entries(rule.table, rule.path, "fields")):
        for name in names_in(template):
            listed = METADATA + "KEY" if name.startswith(METADATA) else name
            if listed in PLACEHOLDERS_NOT_FILLED:
                yield path, f"is not given: this version of Millrace does not fill in {{{name}}} yet"


def _switched_off(given: Raw) -> bool:
    """`[purchases] record = false`, `[report] enabled = false`: nothing to act on."""
    return given.get("record") is False or given.get("enabled") is False


def _remarks(raw: Raw) -> Iterator[tuple[Path, str]]:
    yield from _matched_twice(raw)
    rules = list(rules_of(raw))
    portal = text(table(raw, "account"), "portal_url")
    for rule in rules:
        yield from _of_rule(rule)
        yield from _placeholders_always_empty(rule, portal)
    used = {name for rule in rules for _, name in texts(rule.table, (), "deliveries")}
    for path, delivery in tables(raw, (), "delivery"):
        if text(delivery, "name") not in used:
            yield path, "is named in no rule's deliveries, so nobody gets it"


def _matched_twice(raw: Raw) -> Iterator[tuple[Path, str]]:
    first: dict[tuple[str, str], str] = {}
    for path, offer in tables(raw, (), "offer"):
        for key in ("prices", "payment_links", "products"):
            for at, matched in texts(offer, path, key):
                holder = first.setdefault((key, matched), text(offer, "name"))
                if holder != text(offer, "name"):
                    yield at, f"{shown(matched)} belongs to offer {shown(holder)} too: the first in the file wins"


def _of_rule(rule: Rule) -> Iterator[tuple[Path, str]]:
    if not any(rule.table.get(key) for key in GIVES):
        yield rule.path, "gives nothing"
    if rule.kind != "when":
        return
    if rule.word in RECURRING and rule.table.get("sequences"):
        sentence = (
            f"{rule.word} recurs, but Kit runs a sequence once per subscriber: from the second time on nothing "
            "happens; a signal, with a Kit automation that starts on it, runs each time"
        )
        yield (*rule.path, "sequences"), sentence
    for condition, moments in _KNOWN_ONLY_AT.items():
        if condition in rule.table and rule.word not in moments:
            yield (*rule.path, condition), f"is known only at {' and '.join(moments)}, so this rule never happens"
    if rule.word in {Moment.UPGRADED, Moment.DOWNGRADED} and rule.offer is not None and "tier" not in rule.offer:
        yield rule.path, f"needs the offer's tier: without one nobody is {rule.word} to it"


def _placeholders_always_empty(rule: Rule, portal: str) -> Iterator[tuple[Path, str]]:
    templates = [*texts(rule.table, rule.path, "tags"), *texts(rule.table, rule.path, "signals")]
    templates += entries(rule.table, rule.path, "fields")
    for path, template in templates:
        for name in names_in(template):
            if name.startswith("delivery.") and not rule.table.get("deliveries"):
                yield path, f"{{{name}}} is always empty here: the rule has no deliveries"
            if name == "portal.url" and not portal:
                yield path, "{portal.url} is always empty: [account] portal_url is not set"
