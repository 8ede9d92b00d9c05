"""What a catalogue says that cannot be meant, beyond the shape of its tables: names that lead nowhere, rules that can
never hold, placeholders that nobody fills.

In goes the raw data, also of a file whose shape is wrong in places, so that all faults come at once; out come findings
with the path that the user wrote. Called by document.py; never for a record of the log, which was checked when applied.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

from processors.catalogue import placeholders
from processors.catalogue.amounts import decimals_of
from processors.catalogue.faults import nearest, shown
from processors.catalogue.reading import Raw, Rule, entries, number, rules_of, table, tables, text, texts
from processors.catalogue.rules import PASSING
from processors.catalogue.toml_lines import Path, key_of

Codes = Callable[[str], str | None]
"""The text of a codes file, by its path as the catalogue names it; None: it cannot be read."""

CODE_CHARACTERS_MAX = 200
"""A code goes into a custom field; a longer line is rather the wrong file."""
CODE_FAULTS_MAX = 5
"""Of one codes file: the wrong file has a fault in every line."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault that has no line yet."""

    path: Path
    problem: str
    allowed: str = ""
    suggestion: str = ""


def findings_of(raw: Raw, codes: Codes | None) -> Iterator[Finding]:
    yield from _names_given_twice(raw)
    yield from _offers_that_match_nothing(raw)
    rules = list(rules_of(raw))
    for rule in rules:
        yield from _passing_moments_that_give_tags(rule)
        yield from _conditions_that_cannot_hold(rule, _tiers(raw))
        yield from _placeholders(rule)
    yield from _names_that_lead_nowhere(raw, rules)
    yield from _milestones(raw)
    yield from _reverse(raw)
    yield from _report(raw)
    if codes is not None:
        yield from _codes_files(raw, codes)


def _tiers(raw: Raw) -> list[str]:
    return [name for _, name in texts(table(raw, "tiers"), (), "order")]


def _names_given_twice(raw: Raw) -> Iterator[Finding]:
    for kind in ("offer", "milestone", "delivery"):
        named = [((*path, "name"), text(item, "name")) for path, item in tables(raw, (), kind)]
        yield from _repeated(named)
    yield from _repeated(list(texts(table(raw, "tiers"), ("tiers",), "order")))


def _repeated(named: list[tuple[Path, str]]) -> Iterator[Finding]:
    first: dict[str, Path] = {}
    for path, name in named:
        if name in first:
            yield Finding(path, f"{shown(name)} is there twice: also {key_of(first[name])}", "each name once")
        elif name:
            first[name] = path


def _offers_that_match_nothing(raw: Raw) -> Iterator[Finding]:
    for path, offer in tables(raw, (), "offer"):
        if not any(offer.get(key) for key in ("products", "prices", "payment_links", "metadata")):
            yield Finding(path, "matches nothing", "at least one of products, prices, payment_links, metadata")


def _passing_moments_that_give_tags(rule: Rule) -> Iterator[Finding]:
    if rule.kind == "when" and rule.word in PASSING and rule.table.get("tags"):
        problem = f"{rule.word} may go unnoticed when it is over before it is known, so it may not give tags"
        yield Finding(
            (*rule.path, "tags"), problem, "sequences, deliveries, signals, fields; or tags of a while.* state"
        )


def _conditions_that_cannot_hold(rule: Rule, tiers: list[str]) -> Iterator[Finding]:
    for name in ("after_days", "renewals"):
        least, most = number(rule.table, f"{name}_min"), number(rule.table, f"{name}_max")
        if least is not None and most is not None and least > most:
            yield Finding((*rule.path, f"{name}_min"), f"can never hold: {least} is more than {name}_max = {most}")
    to_tier, from_tier = text(rule.table, "to_tier"), text(rule.table, "from_tier")
    own = text(rule.offer, "tier") if rule.offer is not None else ""
    if to_tier and own and to_tier != own:
        problem = f"can never hold: {shown(to_tier)} is not this offer's tier, and its rules are of moves to it"
        yield Finding((*rule.path, "to_tier"), problem, shown(own))
    if to_tier in tiers and from_tier in tiers and rule.word in {"upgraded", "downgraded"}:
        up = tiers.index(to_tier) > tiers.index(from_tier)
        down = tiers.index(to_tier) < tiers.index(from_tier)
        if not (up if rule.word == "upgraded" else down):
            problem = f"can never hold: from {shown(from_tier)} to {shown(to_tier)} nobody is {rule.word}"
            yield Finding((*rule.path, "from_tier"), problem)


def _placeholders(rule: Rule) -> Iterator[Finding]:
    templates = [*texts(rule.table, rule.path, "tags"), *texts(rule.table, rule.path, "signals")]
    templates += entries(rule.table, rule.path, "fields")
    for path, template in templates:
        for name in placeholders.names_in(template):
            if not placeholders.is_known(name):
                yield _unknown_placeholder(path, name, placeholders.PLACEHOLDERS)
        if placeholders.has_stray_brace(template):
            yield Finding(path, f"found a brace without its other half in {shown(template)}", "{placeholder}, whole")
    for path, template in texts(rule.table, rule.path, "sequences"):
        for name in placeholders.names_in(template):
            if placeholders.is_known(name):
                yield Finding(
                    path, f"found the placeholder {{{name}}}", "placeholders in tags, signals and fields only"
                )


def _unknown_placeholder(path: Path, name: str, known: tuple[str, ...]) -> Finding:
    braced = [f"{{{one}}}" for one in known]
    return Finding(path, f"unknown placeholder {{{name}}}", ", ".join(braced), nearest(f"{{{name}}}", braced))


def _names_that_lead_nowhere(raw: Raw, rules: list[Rule]) -> Iterator[Finding]:
    tiers = _tiers(raw)
    offers = [text(offer, "name") for _, offer in tables(raw, (), "offer")]
    deliveries = [text(delivery, "name") for _, delivery in tables(raw, (), "delivery")]
    for path, offer in tables(raw, (), "offer"):
        yield from _unknown("tier", texts(offer, path, "tier"), tiers, "[tiers] order")
    for rule in rules:
        for key in ("to_tier", "from_tier", "tiers"):
            yield from _unknown("tier", texts(rule.table, rule.path, key), tiers, "[tiers] order")
        yield from _unknown("delivery", texts(rule.table, rule.path, "deliveries"), deliveries, "[[delivery]]")
        yield from _unknown("offer", texts(rule.table, rule.path, "offers"), offers, "[[offer]]")


def _unknown(noun: str, named: Iterator[tuple[Path, str]], known: list[str], where: str) -> Iterator[Finding]:
    for path, name in named:
        if name.strip() and name not in known:
            allowed = ", ".join(dict.fromkeys(name for name in known if name)) or f"nothing, until {where} names it"
            yield Finding(path, f"unknown {noun} {shown(name)}", allowed, nearest(name, known))


def _milestones(raw: Raw) -> Iterator[Finding]:
    ways = ("after_days", "payments", "lifetime_value")
    for path, milestone in tables(raw, (), "milestone"):
        given = [way for way in ways if way in milestone]
        if len(given) != 1:
            problem = f"says in {len(given)} ways when it is reached" + (f": {', '.join(given)}" if given else "")
            yield Finding(path, problem, f"exactly one of {', '.join(ways)}")
        value = table(milestone, "lifetime_value")
        _, _, fraction = text(value, "amount").partition(".")
        currency = text(value, "currency")
        if currency and len(fraction) > decimals_of(currency):
            at = (*path, "lifetime_value", "amount")
            allowed = f"up to {decimals_of(currency)} decimals in {currency}"
            yield Finding(at, f"found {shown(text(value, 'amount'))}", allowed)


def _reverse(raw: Raw) -> Iterator[Finding]:
    for path, reverse in tables(raw, (), "reverse"):
        if "tag" not in reverse and not reverse.get("sync"):
            yield Finding(path, "says neither which tag starts it nor what it keeps in step", "tag, or sync, or both")
        if "metadata" in reverse and "tag" not in reverse:
            yield Finding((*path, "metadata"), "is for customers that a tag creates, and there is none", "with tag")


def _report(raw: Raw) -> Iterator[Finding]:
    report = table(raw, "report")
    if report.get("enabled") is True and "to_tag" not in report:
        yield Finding(("report", "to_tag"), "is missing: without it Kit would send the report to everyone", "a tag")
    for path, subject in texts(report, ("report",), "subject"):
        for name in placeholders.names_in(subject):
            if name not in placeholders.REPORT_PLACEHOLDERS:
                yield _unknown_placeholder(path, name, placeholders.REPORT_PLACEHOLDERS)


def _codes_files(raw: Raw, codes: Codes) -> Iterator[Finding]:
    for path, delivery in tables(raw, (), "delivery"):
        file = text(delivery, "codes_file")
        if not file.strip() or text(delivery, "kind") != "code":
            continue
        at = (*path, "codes_file")
        held = codes(file)
        if held is None:
            yield Finding(at, f"{shown(file)} cannot be read", "a text file in UTF-8, relative to the catalogue file")
            continue
        yield from islice(_codes(at, file, [line.strip() for line in held.splitlines()]), CODE_FAULTS_MAX)


def _codes(path: Path, file: str, lines: list[str]) -> Iterator[Finding]:
    first: dict[str, int] = {}
    for line, code in enumerate(lines, start=1):
        if code in first:
            yield Finding(path, f"{file}:{line} repeats the code of line {first[code]}", "each code once")
        elif len(code) > CODE_CHARACTERS_MAX:
            yield Finding(path, f"{file}:{line} is longer than {CODE_CHARACTERS_MAX} characters", "one code a line")
        elif code:
            first[code] = line
    if not first:
        yield Finding(path, f"{file} holds no code", "one code a line")
