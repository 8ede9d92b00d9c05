"""What is wrong with a catalogue is told exactly: line, key, what was found, what is allowed and what was meant."""

import pytest

from processors.catalogue.document import Faults, parse

OFFER = "[[offer]]\nname = 'Pro'\nproducts = ['prod_Pro']\n"
PLACEHOLDERS = (
    "{offer.name}, {product.name}, {product.metadata.KEY}, {price.nickname}, {quantity}, {amount}, {currency}, "
    "{period_end}, {customer.id}, {customer.name}, {invoice.url}, {portal.url}, {delivery.url}, {delivery.code}"
)
WHEN_KEYS = (
    "sequences, deliveries, tags, signals, fields, after_days_min, after_days_max, renewals_min, renewals_max, "
    "to_tier, from_tier, reason, was_paid"
)
TABLES = (
    "account, subscribers, entitlement, tiers, while, when, offer, milestone, delivery, reverse, purchases, report, "
    "reconcile"
)
STATES = "active, trialing, past_due, canceling, paused, ended, owned"


def faults_of(text: str, codes: dict[str, str] | None = None) -> str:
    with pytest.raises(Faults) as caught:
        parse(text, codes=codes.get if codes is not None else None)
    return caught.value.render("c.toml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        # keys
        (
            OFFER + "[offer.while.activ]\ntags = ['x']",
            f"c.toml:4: offer[1].while.activ: unknown state 'activ'; allowed: {STATES}; did you mean 'active'?",
        ),
        ("\n[tier]\n", f"c.toml:2: tier: unknown table 'tier'; allowed: {TABLES}; did you mean 'tiers'?"),
        (
            "[while.active]\nsequences = ['x']",
            "c.toml:2: while.active.sequences: unknown key 'sequences'; allowed: tags, fields",
        ),
        (
            "[when.canceled]\n\nwas_payed = true\ntags = ['x']",
            (
                f"c.toml:3: when.canceled.was_payed: unknown key 'was_payed'; allowed: {WHEN_KEYS}; "
                "did you mean 'was_paid'?"
            ),
        ),
        (
            "[[when.renewed]]\ntags = ['x']\n[[when.renewed]]\ntag = ['x']",
            f"c.toml:4: when.renewed[2].tag: unknown key 'tag'; allowed: {WHEN_KEYS}; did you mean 'tags'?",
        ),
        (
            "account.'time zone' = 'UTC'",
            (
                "c.toml:1: account.\"time zone\": unknown key 'time zone'; allowed: timezone, name, portal_url; "
                "did you mean 'timezone'?"
            ),
        ),
        ("[[offer]]\nprices = ['p']", "c.toml:1: offer[1].name: is missing; allowed: the offer's name, each once"),
        # types
        (
            "[account]\nname = 3",
            "c.toml:2: account.name: found 3; allowed: text in quotes",
        ),
        (
            "[subscribers]\ncreate_missing = 'yes'",
            "c.toml:2: subscribers.create_missing: found 'yes'; allowed: true or false",
        ),
        (
            "[while.active]\ntags = 'x'",
            "c.toml:2: while.active.tags: found 'x'; allowed: an array, in [ ]",
        ),
        (
            "[while.active]\ntags = [\n 'x',\n true]",
            'c.toml:4: while.active.tags[2]: found true; allowed: a name in quotes, or an id: "customer", 1234567',
        ),
        ("[while]\nactive = ['x']", "c.toml:2: while.active: found an array; allowed: a table"),
        ("when.purchased = 1.5", "c.toml:1: when.purchased: found 1.5 (a float); allowed: an array, in [ ]"),
        (
            "[[milestone]]\nname = 'm'\npayments = 0x10000000000000000",
            (
                "c.toml:3: milestone[1].payments: found a larger number; "
                "allowed: TOML's whole numbers, up to 9223372036854775807"
            ),
        ),
        (
            "[while.active.fields]\n' ' = 'x'",
            'c.toml:2: while.active.fields." ": it is empty; allowed: a name',
        ),
        (
            "[while.active.fields]\nseats = 3",
            "c.toml:2: while.active.fields.seats: found 3; allowed: text in quotes",
        ),
        # values
        (
            "[subscribers]\ncreate_as = 'activ'",
            "c.toml:2: subscribers.create_as: found 'activ'; allowed: 'active', 'inactive'; did you mean 'active'?",
        ),
        (
            "[account]\ntimezone = 'America/NewYork'",
            (
                "c.toml:2: account.timezone: unknown time zone 'America/NewYork'; allowed: a name of the IANA time "
                "zone database, as America/New_York; did you mean 'America/New_York'?"
            ),
        ),
        (
            "[report]\ntime = '24:00'",
            "c.toml:2: report.time: found '24:00'; allowed: hours and minutes in quotes, \"08:00\"",
        ),
        (
            "[report]\ntime = 08:00:00",
            "c.toml:2: report.time: found 08:00:00 (a date or time without quotes); allowed: text in quotes",
        ),
        ("[report]\nday = 31", "c.toml:2: report.day: found 31; allowed: at most 28"),
        ("[reconcile]\nevery_hours = 0", "c.toml:2: reconcile.every_hours: found 0; allowed: 1 or more"),
        (
            "[account]\nportal_url = 'billing.stripe.com'",
            "c.toml:2: account.portal_url: found 'billing.stripe.com'; allowed: a whole address, https://…",
        ),
        # deliveries
        (
            "[[delivery]]\nname = 'kit'\nkind = 'lnk'",
            (
                "c.toml:3: delivery[1].kind: found 'lnk'; allowed: 'link', 'code', 'signed_link', 'generated'; "
                "did you mean 'link'?"
            ),
        ),
        (
            "[[delivery]]\nname = 'kit'\n",
            "c.toml:1: delivery[1].kind: is missing; allowed: 'link', 'code', 'signed_link', 'generated'",
        ),
        (
            "[[delivery]]\nname = 'kit'\nkind = 'link'\nurl = 'https://x.test'\nlink = 1",
            "c.toml:5: delivery[1].link: unknown key 'link'; allowed: name, field, on_dispute, kind, url",
        ),
        (
            "[[delivery]]\nname = 'kit'\nkind = 'link'\n",
            "c.toml:1: delivery[1].url: is missing; allowed: the link",
        ),
        ("delivery = [3]", "c.toml:1: delivery[1]: found 3; allowed: a table"),
        # names that lead nowhere, names given twice
        (
            OFFER + "tier = 'por'\n[tiers]\norder = ['starter', 'pro']",
            "c.toml:4: offer[1].tier: unknown tier 'por'; allowed: starter, pro; did you mean 'pro'?",
        ),
        (
            OFFER + "tier = 'pro'",
            "c.toml:4: offer[1].tier: unknown tier 'pro'; allowed: nothing, until [tiers] order names it",
        ),
        (
            "[when.purchased]\ndeliveries = ['kit']",
            (
                "c.toml:2: when.purchased.deliveries[1]: unknown delivery 'kit'; "
                "allowed: nothing, until [[delivery]] names it"
            ),
        ),
        (
            OFFER + "[[milestone]]\nname = 'm'\npayments = 1\noffers = ['Prp']",
            "c.toml:7: milestone[1].offers[1]: unknown offer 'Prp'; allowed: Pro; did you mean 'Pro'?",
        ),
        (
            OFFER + OFFER,
            "c.toml:5: offer[2].name: 'Pro' is there twice: also offer[1].name; allowed: each name once",
        ),
        (
            "[tiers]\norder = ['a',\n 'a']",
            "c.toml:3: tiers.order[2]: 'a' is there twice: also tiers.order[1]; allowed: each name once",
        ),
        # what cannot be meant
        (
            "[[offer]]\nname = 'Pro'\nproducts = []",
            "c.toml:1: offer[1]: matches nothing; allowed: at least one of products, prices, payment_links, metadata",
        ),
        (
            "[when.payment_failed]\ntags = ['late']",
            (
                "c.toml:2: when.payment_failed.tags: payment_failed may go unnoticed when it is over before it is "
                "known, so it may not give tags; "
                "allowed: sequences, deliveries, signals, fields; or tags of a while.* state"
            ),
        ),
        (
            "[when.renewed]\nrenewals_min = 5\nrenewals_max = 4\ntags = ['x']",
            "c.toml:2: when.renewed.renewals_min: can never hold: 5 is more than renewals_max = 4",
        ),
        (
            "[when.canceled]\nafter_days_min = 5\nafter_days_max = 4\ntags = ['x']",
            "c.toml:2: when.canceled.after_days_min: can never hold: 5 is more than after_days_max = 4",
        ),
        (
            "[tiers]\norder = ['a', 'b']\n[when.upgraded]\nto_tier = 'a'\nfrom_tier = 'b'\ntags = ['x']",
            "c.toml:5: when.upgraded.from_tier: can never hold: from 'b' to 'a' nobody is upgraded",
        ),
        (
            "[tiers]\norder = ['a', 'b']\n" + OFFER + "tier = 'b'\n[offer.when.upgraded]\nto_tier = 'a'\ntags = ['x']",
            (
                "c.toml:8: offer[1].when.upgraded.to_tier: can never hold: 'a' is not this offer's tier, and its rules "
                "are of moves to it; allowed: 'b'"
            ),
        ),
        (
            "[[milestone]]\nname = 'm'\n",
            (
                "c.toml:1: milestone[1]: says in 0 ways when it is reached; "
                "allowed: exactly one of after_days, payments, lifetime_value"
            ),
        ),
        (
            "[[milestone]]\nname = 'm'\npayments = 1\nafter_days = 1\n",
            (
                "c.toml:1: milestone[1]: says in 2 ways when it is reached: after_days, payments; "
                "allowed: exactly one of after_days, payments, lifetime_value"
            ),
        ),
        (
            "[[reverse]]\n",
            (
                "c.toml:1: reverse[1]: says neither which tag starts it nor what it keeps in step; "
                "allowed: tag, or sync, or both"
            ),
        ),
        (
            "[report]\nenabled = true",
            "c.toml:1: report.to_tag: is missing: without it Kit would send the report to everyone; allowed: a tag",
        ),
        # placeholders
        (
            "[while.active]\ntags = ['{offer.nam}']",
            (
                f"c.toml:2: while.active.tags[1]: unknown placeholder {{offer.nam}}; allowed: {PLACEHOLDERS}; "
                "did you mean '{offer.name}'?"
            ),
        ),
        (
            "[while.active]\nfields = { plan = '{offer.name' }",
            (
                "c.toml:2: while.active.fields.plan: found a brace without its other half in '{offer.name'; "
                "allowed: {placeholder}, whole"
            ),
        ),
        (
            "[when.purchased]\nsequences = ['Hello {customer.name}']",
            (
                "c.toml:2: when.purchased.sequences[1]: found the placeholder {customer.name}; "
                "allowed: placeholders in tags, signals and fields only"
            ),
        ),
        (
            "[report]\nsubject = '{months}'",
            (
                "c.toml:2: report.subject: unknown placeholder {months}; allowed: {account.name}, {month}; "
                "did you mean '{month}'?"
            ),
        ),
        # TOML itself
        ("a = 1\nb = ", "c.toml:2: not valid TOML: Invalid value, at the end of the file"),
        ("a = 1\nb 2\n", "c.toml:2: not valid TOML: Expected '=' after a key in a key/value pair, in column 3"),
        ("x = " + "[" * 5000, "c.toml:1: it is nested too deeply; allowed: a few levels of tables"),
        ("x = '\ud800'", "c.toml:1: it is no Unicode text; allowed: a text file in UTF-8"),
    ],
)
def test_a_fault_says_line_key_finding_and_what_is_allowed(text: str, message: str):
    assert faults_of(text) == message


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("amount = 5.0, currency = 'usd'", "amount: found 5.0 (a float); allowed: a plain decimal above 0 in quotes"),
        ("amount = '1,000', currency = 'usd'", "amount: found '1,000'; allowed: a plain decimal above 0 in quotes"),
        ("amount = '0.00', currency = 'usd'", "amount: found '0.00'; allowed: a plain decimal above 0 in quotes"),
        ("amount = '5.001', currency = 'usd'", "amount: found '5.001'; allowed: up to 2 decimals in usd"),
        ("amount = '5.5', currency = 'jpy'", "amount: found '5.5'; allowed: up to 0 decimals in jpy"),
        ("amount = '5', currency = 'USD'", "currency: found 'USD'; allowed: a currency as Stripe writes it"),
    ],
)
def test_a_lifetime_value_is_a_plain_decimal_with_a_currency(value: str, message: str):
    text = f"[[milestone]]\nname = 'm'\nlifetime_value = {{ {value} }}"
    assert faults_of(text).startswith(f"c.toml:3: milestone[1].lifetime_value.{message}")


def test_three_decimals_are_right_where_the_currency_has_them():
    assert parse("[[milestone]]\nname = 'm'\nlifetime_value = { amount = '5.001', currency = 'kwd' }")


CODE = "[[delivery]]\nname = 'd'\nkind = 'code'\ncodes_file = 'codes.txt'"


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ({}, "'codes.txt' cannot be read; allowed: a text file in UTF-8, relative to the catalogue file"),
        ({"codes.txt": "\n \n"}, "codes.txt holds no code; allowed: one code a line"),
        ({"codes.txt": "A\nB\n A \n"}, "codes.txt:3 repeats the code of line 1; allowed: each code once"),
        ({"codes.txt": "A\n" + "x" * 201}, "codes.txt:2 is longer than 200 characters; allowed: one code a line"),
    ],
)
def test_a_codes_file_is_looked_at(codes: dict[str, str], message: str):
    assert faults_of(CODE, codes) == f"c.toml:4: delivery[1].codes_file: {message}"


def test_codes_files_are_left_alone_where_nobody_reads_them():
    assert parse(CODE).document["delivery"][0]["codes_file"] == "codes.txt"


def test_all_faults_come_at_once_in_the_order_of_the_file():
    text = (
        "[while.activ]\ntags = ['x']\n"
        "[tiers]\norder = ['a']\n"
        "[[offer]]\nnam = 'Pro'\ntier = 'b'\n"
        "[offer.when.recovered]\ntags = [1.5]\n"
        "[report]\ntime = '8'\n"
    )
    told = [line.split(": ")[:2] for line in faults_of(text).split("\n")]
    assert told == [
        ["c.toml:1", "while.activ"],
        ["c.toml:5", "offer[1]"],
        ["c.toml:5", "offer[1].name"],
        ["c.toml:6", "offer[1].nam"],
        ["c.toml:7", "offer[1].tier"],
        ["c.toml:9", "offer[1].when.recovered.tags"],
        ["c.toml:9", "offer[1].when.recovered.tags[1]"],
        ["c.toml:11", "report.time"],
    ]


def test_a_wrong_file_of_codes_does_not_drown_the_other_faults():
    assert len(faults_of(CODE, {"codes.txt": "same\n" * 1000}).split("\n")) == 5
