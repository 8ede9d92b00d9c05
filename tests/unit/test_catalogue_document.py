"""A good catalogue: what it compiles to, its version, what is noted about it."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.catalogue import compilation, notes
from processors.catalogue.document import Faults, Parsed, checked, compile_document, not_acted_on, parse, version_of
from processors.catalogue.rules import Conditions, Line, Moment, State, WhenRule, WhileRule
from processors.catalogue.tables import Whens, Whiles
from processors.ids import CatalogueVersion

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "catalogue.example.toml").read_text()


def example() -> Parsed:
    return parse(EXAMPLE, codes=lambda file: (ROOT / file).read_text())


def texts_of(noted: Sequence[notes.Note]) -> list[str]:
    return [f"{note.line} {note.key} {note.text}" for note in noted]


# --- the example ------------------------------------------------------------------------------------------------------


def test_the_example_loads_as_it_is():
    catalogue = example().catalogue
    assert [offer.name for offer in catalogue.offers] == ["Starter", "Pro", "Team", "River Atlas"]
    assert [(offer.place, offer.tier_rank) for offer in catalogue.offers] == [(1, 1), (2, 2), (3, 3), (4, 0)]
    assert (catalogue.account_name, catalogue.timezone) == ("Riverbend Press", "America/New_York")
    assert catalogue.stripe_customer_id_field == "stripe_customer_id"
    assert catalogue.whiles[State.ACTIVE] == WhileRule(tags=("customer",))


def test_the_rules_of_an_offer_are_compiled():
    pro = example().catalogue.offers[1]
    assert pro.whiles[State.ACTIVE].fields == {
        "plan": "{offer.name}",
        "renews_on": "{period_end}",
        "seats": "{quantity}",
    }
    assert pro.whens[Moment.PURCHASED] == (WhenRule(sequences=("Welcome to Pro",), deliveries=("pro-kit",)),)
    assert pro.whens[Moment.RENEWED] == (
        WhenRule(sequences=("Thank you",), conditions=Conditions(renewals_max=11)),
        WhenRule(sequences=("One year of thanks",), conditions=Conditions(renewals_min=12)),
    )


def test_all_sequences_of_the_example_are_named():
    names = example().catalogue.sequence_names()
    assert {"Welcome to Pro", "Update your card", "One year of thanks"} <= names
    assert len(names) == 8


def test_a_catalogue_may_be_empty():
    catalogue = parse("").catalogue
    assert catalogue.offers == ()
    assert (catalogue.timezone, catalogue.create_as, catalogue.create_missing) == ("UTC", "active", True)
    assert catalogue.trial_is_active
    assert catalogue.past_due_is_active


def test_tags_and_sequences_may_be_ids():
    catalogue = parse("[when.purchased]\ntags = [123]\nsequences = [9, 'x']").catalogue
    assert catalogue.whens[Moment.PURCHASED] == (WhenRule(tags=("123",), sequences=("9", "x")),)


def test_the_tables_have_exactly_the_states_and_moments_of_the_rules():
    assert set(Whiles.model_fields) == set(State)
    assert set(Whens.model_fields) == set(Moment)


# --- which offer a line belongs to ------------------------------------------------------------------------------------

OFFERS = parse(
    "[[offer]]\nname = 'product'\nproducts = ['prod_A']\n"
    "[[offer]]\nname = 'metadata'\nmetadata = { offer = 'a', kind = 'b' }\n"
    "[[offer]]\nname = 'link'\npayment_links = ['plink_A']\n"
    "[[offer]]\nname = 'price'\nprices = ['price_A']\n"
    "[[offer]]\nname = 'second'\nproducts = ['prod_A']\nprices = ['price_A', 'price_B']\n"
).catalogue
EVERYTHING = {"offer": "a", "kind": "b", "more": "c"}


@pytest.mark.parametrize(
    ("line", "offer"),
    [
        (Line(price="price_A", payment_link="plink_A", metadata=EVERYTHING, product="prod_A"), "price"),
        (Line(payment_link="plink_A", metadata=EVERYTHING, product="prod_A"), "link"),
        (Line(metadata=EVERYTHING, product="prod_A"), "metadata"),
        (Line(metadata={"offer": "a"}, product="prod_A"), "product"),
        (Line(price="price_X", product="prod_A"), "product"),
        (Line(price="price_B", product="prod_A"), "second"),
        (Line(price="price_X", product="prod_X"), None),
        (Line(), None),
    ],
)
def test_a_line_belongs_by_price_else_link_else_metadata_else_product_and_to_the_first(line: Line, offer: str | None):
    matched = OFFERS.offer_of(line)
    assert (matched.name if matched else None) == offer


# --- versions ---------------------------------------------------------------------------------------------------------


def test_comments_blanks_and_the_order_of_keys_do_not_change_the_version():
    one = parse("[account]\nname = 'x'\ntimezone = 'UTC'\n[while.active]\ntags = ['a', 'b']\n")
    other = parse("# new\nwhile.active = { tags = [ \"a\",\n  'b', ] }\n[account]\ntimezone = 'UTC'\nname = '''x'''")
    assert one.version == other.version
    assert one.document == other.document


def test_the_order_of_fields_does_not_change_the_version():
    one = parse("[while.active.fields]\na = 'x'\nb = 'y'")
    assert parse("[while.active.fields]\nb = 'y'\na = 'x'").version == one.version


def test_a_default_that_is_written_out_is_no_change():
    assert parse(
        "[subscribers]\ncreate_missing = true\n[while.active]\ntags = []\nfields = {}\n[while.ended]"
    ).version == (parse("").version)


def test_one_rule_written_as_a_table_or_as_an_array_is_the_same():
    assert parse("[when.renewed]\nsignals = ['x']").version == parse("[[when.renewed]]\nsignals = ['x']").version


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('tags = ["customer"]', 'tags = ["client"]'),
        ("renewals_max = 11", "renewals_max = 10"),
        ("trial_is_active = true", "trial_is_active = false"),
        ('order = ["starter", "pro", "team"]', 'order = ["pro", "starter", "team"]'),
        ("low_water = 10", "low_water = 11"),
        ('tags = ["customer"]', "tags = [7]"),
    ],
)
def test_a_real_change_changes_the_version(old: str, new: str):
    assert old in EXAMPLE
    assert parse(EXAMPLE.replace(old, new, 1)).version != parse(EXAMPLE).version


def test_the_order_of_offers_is_a_real_change():
    a, b = "[[offer]]\nname = 'a'\nproducts = ['p']\n", "[[offer]]\nname = 'b'\nproducts = ['p']\n"
    assert parse(a + b).version != parse(b + a).version


# --- from a record of the log -----------------------------------------------------------------------------------------


def test_a_document_survives_the_log_and_compiles_to_the_same_rules():
    parsed = example()
    document = json.loads(json.dumps(parsed.document))
    compilation._compiled.clear()
    assert compile_document(document, parsed.version) == parsed.catalogue
    assert checked(document) == parsed.document


def test_a_known_version_is_answered_without_a_look_at_the_document():
    parsed = example()
    assert compile_document({"nonsense": 1}, parsed.version) is parsed.catalogue


def test_a_version_that_is_not_the_documents_is_refused():
    with pytest.raises(Faults, match="the version says 0000"):
        compile_document(example().document, CatalogueVersion("0" * 64))


def test_a_document_that_is_none_is_refused():
    document = {"while": {"activ": {}}}
    with pytest.raises(Faults, match=r"while\.activ: unknown state"):
        compile_document(document, version_of(document))


def test_what_was_applied_once_is_read_even_where_a_later_check_would_refuse_it():
    document = {"offer": [{"name": "a", "tier": "gone"}]}
    assert compile_document(document, version_of(document)).offers[0].tier_rank == 0
    with pytest.raises(Faults, match="unknown tier"):
        checked(document)


def test_few_versions_are_kept():
    for number in range(compilation.COMPILED_MAX + 5):
        parse(f"[account]\nname = '{number}'")
    assert len(compilation._compiled) == compilation.COMPILED_MAX


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20).filter(str.strip))
def test_any_text_is_kept_as_it_is(name: str):
    name = name.replace("\x7f", "?")  # TOML wants it escaped, JSON does not escape it
    quoted = json.dumps(name, ensure_ascii=False)
    parsed = parse(f"[when.purchased]\nsequences = [{quoted}]")
    assert parsed.catalogue.sequence_names() == {name}


def test_a_catalogue_that_fits_into_no_record_is_refused():
    offers = "\n".join(f"[[offer]]\nname = '{number:0200}'\nproducts = ['p']" for number in range(4000))
    with pytest.raises(Faults, match="it is too large; allowed: 900000 bytes as JSON"):
        parse(offers)


# --- notes ------------------------------------------------------------------------------------------------------------


def test_what_this_version_does_not_act_on_is_listed_with_its_line():
    assert [f"{note.line} {note.key}" for note in not_acted_on(example())] == [
        "11 subscribers.on_mismatch",
        "24 while.past_due",
        "27 while.ended",
        "30 when.payment_failed",
        "33 when.canceled",
        "36 when.refunded",
        "58 offer[2].while.canceling",
        "62 offer[2].when.purchased.deliveries",
        "63 offer[2].when.upgraded",
        "65 offer[2].when.renewed[1]",
        "68 offer[2].when.renewed[2]",
        "80 offer[3].when.purchased.deliveries",
        "91 offer[4].when.purchased.deliveries",
        *(f"{line} milestone[{place}]" for place, line in enumerate((94, 99, 104, 110, 115), start=1)),
        *(f"{line} delivery[{place}]" for place, line in enumerate((121, 127, 134), start=1)),
        "142 reverse[1]",
        "150 report",
    ]


def test_signals_of_a_purchase_are_not_acted_on_either_and_its_conditions_are():
    listed = not_acted_on(parse("[when.purchased]\ntags = ['x']\nsignals = ['y']\nafter_days_min = 1\n"))
    assert [note.key for note in listed] == ["when.purchased.signals"]


def test_a_tag_with_a_placeholder_that_is_not_filled_yet_is_listed():
    listed = not_acted_on(parse("[while.active]\ntags = ['a', '{product.metadata.level} {offer.name}']"))
    assert texts_of(listed) == [
        "2 while.active.tags[2] is not given: this version of Millrace does not fill in {product.metadata.level} yet"
    ]


def test_what_is_acted_on_is_not_listed():
    text = (
        "[account]\nname = 'x'\n[entitlement]\ntrial_is_active = false\n[purchases]\nrecord = false\n"
        "[while.active]\ntags = ['a']\n[when.purchased]\ntags = ['b']\nsequences = ['c']\nfields = { d = 'e' }\n"
        "[[offer]]\nname = 'o'\nproducts = ['p']\n[offer.while.owned]\ntags = ['f']\n"
    )
    assert not_acted_on(parse(text)) == []


RECURS = (
    "recurs, but Kit runs a sequence once per subscriber: from the second time on nothing happens; a signal, with a "
    "Kit automation that starts on it, runs each time"
)


def test_sequences_on_moments_that_recur_are_noted():
    assert texts_of(example().notes) == [
        f"31 when.payment_failed.sequences payment_failed {RECURS}",
        f"67 offer[2].when.renewed[1].sequences renewed {RECURS}",
        f"70 offer[2].when.renewed[2].sequences renewed {RECURS}",
    ]


@pytest.mark.parametrize(
    ("text", "note"),
    [
        (
            "[[offer]]\nname = 'a'\nprices = ['p']\n[[offer]]\nname = 'b'\nprices = ['q',\n 'p']",
            "7 offer[2].prices[2] 'p' belongs to offer 'a' too: the first in the file wins",
        ),
        ("[while.active]\ntags = []", "1 while.active gives nothing"),
        (
            "[when.purchased]\ntags = ['x']\nreason = 'other'",
            "3 when.purchased.reason is known only at canceled, so this rule never happens",
        ),
        (
            "[[offer]]\nname = 'a'\nprices = ['p']\n[offer.when.upgraded]\ntags = ['x']",
            "4 offer[1].when.upgraded needs the offer's tier: without one nobody is upgraded to it",
        ),
        (
            "[while.active]\ntags = ['{delivery.code}']",
            "2 while.active.tags[1] {delivery.code} is always empty here: the rule has no deliveries",
        ),
        (
            "[while.past_due.fields]\npay = '{portal.url}'",
            "2 while.past_due.fields.pay {portal.url} is always empty: [account] portal_url is not set",
        ),
        (
            "[[delivery]]\nname = 'd'\nkind = 'generated'",
            "1 delivery[1] is named in no rule's deliveries, so nobody gets it",
        ),
    ],
)
def test_what_is_perhaps_not_meant_is_noted(text: str, note: str):
    assert texts_of(parse(text).notes) == [note]
