"""Where every kind of event goes, by which key, and that no bytes make routing raise."""

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.ids import guest_key
from processors.record import Topic
from streams.edge.envelope import NoEvent
from streams.edge.routing import Accepts, Destination, Misdirected, Routed, route
from tests.recorded import recorded_event, recorded_events

TEST_MODE = Accepts(livemode=False, accounts=frozenset({"acct_friend"}))


def event(kind="customer.updated", stripe_object=None, **top):
    thing = {"id": "cus_1", "object": "customer"} if stripe_object is None else stripe_object
    return {
        "id": "evt_1",
        "object": "event",
        "type": kind,
        "livemode": False,
        "data": {"object": thing},
    } | top


def as_bytes(value) -> bytes:
    return json.dumps(value).encode()


def went(kind, stripe_object, **top) -> Destination:
    routed = route(as_bytes(event(kind, stripe_object, **top)), TEST_MODE)
    assert isinstance(routed, Routed), routed
    return routed.destination


def refused(body: bytes) -> str:
    answer = route(body, TEST_MODE)
    assert isinstance(answer, NoEvent), answer
    return answer.reason


# --- customers ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("customer", ["cus_1", {"id": "cus_1", "object": "customer", "email": "a@example.com"}])
def test_an_object_that_names_its_customer_goes_to_that_customer(customer):
    for kind in ("invoice", "subscription", "charge", "payment_intent", "checkout.session", "refund", "payment_method"):
        to = went(f"{kind}.something", {"id": "x_1", "object": kind, "customer": customer})
        assert to == Destination(Topic.CUSTOMER_EVENTS, "cus_1")


def test_a_customer_goes_to_itself():
    assert went("customer.created", {"id": "cus_1", "object": "customer"}).key == "cus_1"
    assert went("customer.deleted", {"id": "cus_1", "object": "customer", "deleted": True}).key == "cus_1"


def test_an_account_that_pays_is_the_key_where_there_is_no_customer():
    thing = {"id": "in_1", "object": "invoice", "customer": None, "customer_account": "acct_9"}
    assert went("invoice.paid", thing) == Destination(Topic.CUSTOMER_EVENTS, "acct_9")
    assert went("invoice.paid", thing | {"customer": "cus_1"}).key == "cus_1"


def test_an_object_without_an_id_still_finds_its_customer():
    assert went("invoice.upcoming", {"object": "invoice", "customer": "cus_1"}).key == "cus_1"


# --- guests ---------------------------------------------------------------------------------------------------


def test_a_guests_session_goes_to_the_hash_of_the_email_however_it_is_written():
    thing = {"id": "cs_1", "object": "checkout.session", "customer": None, "payment_intent": "pi_1"}
    for email in ("guest@example.com", "  Guest@Example.COM "):
        to = went("checkout.session.completed", thing | {"customer_details": {"email": email}})
        assert to == Destination(Topic.CUSTOMER_EVENTS, guest_key("guest@example.com"))


@pytest.mark.parametrize("details", [None, {}, {"email": None}, {"email": " "}, {"email": 5}, "guest@example.com"])
def test_a_session_without_an_email_goes_to_its_payment(details):
    thing = {"id": "cs_1", "object": "checkout.session", "payment_intent": "pi_1", "customer_details": details}
    assert went("checkout.session.expired", thing) == Destination(Topic.PAYMENT_EVENTS, "pi_1")


# --- payments -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("stripe_object", "key"),
    [
        ({"id": "pi_1", "object": "payment_intent", "customer": None}, "pi_1"),
        ({"id": "ch_1", "object": "charge", "customer": None, "payment_intent": "pi_1"}, "pi_1"),
        ({"id": "ch_1", "object": "charge", "customer": None, "payment_intent": None}, "ch_1"),
        ({"id": "dp_1", "object": "dispute", "charge": "ch_1", "payment_intent": "pi_1"}, "pi_1"),
        ({"id": "dp_1", "object": "dispute", "charge": "ch_1"}, "ch_1"),
        ({"id": "dp_1", "object": "dispute", "charge": {"id": "ch_1", "object": "charge"}}, "ch_1"),
        ({"id": "re_1", "object": "refund", "charge": "ch_1", "payment_intent": {"id": "pi_1"}}, "pi_1"),
        ({"id": "inpay_1", "object": "invoice_payment", "payment": {"payment_intent": "pi_1"}}, "pi_1"),
        ({"id": "inpay_1", "object": "invoice_payment", "payment": {"charge": "ch_1"}}, "ch_1"),
        ({"id": "issfr_1", "object": "radar.early_fraud_warning", "charge": "ch_1"}, "ch_1"),
    ],
)
def test_what_bears_on_a_payment_and_names_no_customer_goes_to_the_payment(stripe_object, key):
    assert went("some.type", stripe_object) == Destination(Topic.PAYMENT_EVENTS, key)


def test_a_fee_names_a_charge_but_bears_on_no_buyer():
    assert went("application_fee.created", {"id": "fee_1", "object": "application_fee", "charge": "ch_1"}) == (
        Destination(Topic.STRIPE_OTHER, "evt_1")
    )


# --- the catalogue, and everything else -----------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["product", "price", "plan"])
def test_the_shops_catalogue_goes_by_its_own_id(kind):
    assert went(f"{kind}.updated", {"id": "x_1", "object": kind}) == Destination(Topic.CATALOGUE_EVENTS, "x_1")


@pytest.mark.parametrize(
    "thing", [{}, {"object": "payout"}, {"id": 5, "object": 7, "customer": ["cus_1"], "charge": 1}]
)
def test_what_nobody_knows_is_kept_by_its_event(thing):
    assert went("a.type.of.tomorrow", thing) == Destination(Topic.STRIPE_OTHER, "evt_1")


def test_a_thin_event_is_kept_and_only_one_about_a_customer_names_whose_it_is():
    thin = {"id": "evt_1", "object": "v2.core.event", "type": "v1.invoice.paid", "livemode": False}
    about_invoice = thin | {"related_object": {"id": "in_1", "type": "invoice", "url": "/v1/invoices/in_1"}}
    about_customer = thin | {"related_object": {"id": "cus_1", "type": "customer"}, "data": {"anything": 1}}
    other = Routed(Destination(Topic.STRIPE_OTHER, "evt_1"))
    assert route(as_bytes(thin), TEST_MODE) == other
    assert route(as_bytes(about_invoice), TEST_MODE) == other
    assert route(as_bytes(about_customer), TEST_MODE) == Routed(Destination(Topic.CUSTOMER_EVENTS, "cus_1"))


# --- events for someone else ----------------------------------------------------------------------------------


@pytest.mark.parametrize("livemode", [True, None, 0, "false"])
def test_another_livemode_is_misdirected_and_says_where_it_would_have_gone(livemode):
    answer = route(as_bytes(event(livemode=livemode)), TEST_MODE)
    assert isinstance(answer, Misdirected)
    assert answer.destination == Destination(Topic.CUSTOMER_EVENTS, "cus_1")
    assert answer.event_id == "evt_1"
    assert "MILLRACE_STRIPE_LIVEMODE" in answer.reason


def test_test_events_do_not_reach_a_live_installation():
    answer = route(as_bytes(event()), Accepts(livemode=True, accounts=frozenset()))
    assert isinstance(answer, Misdirected)


@pytest.mark.parametrize(
    "origin", [{"account": "acct_foe"}, {"context": "org_1/acct_foe"}, {"account": ["acct_friend"]}]
)
def test_a_foreign_account_is_misdirected(origin):
    answer = route(as_bytes(event(**origin)), TEST_MODE)
    assert isinstance(answer, Misdirected)
    assert "MILLRACE_STRIPE_ACCOUNTS" in answer.reason


@pytest.mark.parametrize(
    "origin",
    [
        {},
        {"account": None},
        {"account": ""},
        {"account": "acct_friend"},
        {"context": "acct_friend"},
        {"context": "org_1/acct_friend"},
    ],
)
def test_the_own_account_and_listed_ones_are_accepted(origin):
    assert isinstance(route(as_bytes(event(**origin)), TEST_MODE), Routed)


# --- no events ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"{",
        b'"event"',
        b'{"id": "evt_1", "type": "x"}',
        as_bytes(event(id="")),
        as_bytes(event(type="")),
        as_bytes(event(id=7)),
        as_bytes(event(data=None)),
        as_bytes(event(data={})),
        as_bytes(event(data={"object": "cus_1"})),
        as_bytes(event()) + b"x",
        b"\xef\xbb\xbf" + as_bytes(event()),
        as_bytes(event(account="ACCT")).replace(b'"ACCT"', b"1e999"),
        b"[" * 100_000,
    ],
)
def test_signed_bytes_that_are_no_event_are_refused(body):
    assert refused(body)


@pytest.mark.parametrize("where", ["type", "unread"])
def test_bytes_that_are_not_utf_8_are_refused_wherever_they_stand(where):
    body = as_bytes(event(**{where: "X"})).replace(b'"X"', b'"\xff"')
    assert "UTF-8" in refused(body)


def test_nesting_is_allowed_down_to_64_and_refused_below():
    def body(levels):  # the event itself is the first level
        return as_bytes(event(extra="DEEP")).replace(b'"DEEP"', b"[" * levels + b"]" * levels)

    assert isinstance(route(body(63), TEST_MODE), Routed)
    assert "64" in refused(body(64))
    assert "64" in refused(body(100_000))


def test_of_keys_that_come_twice_the_last_counts():
    twice = as_bytes(event()).replace(b'"id": "cus_1"', b'"id": "cus_0", "id": "cus_1"')
    assert route(twice, TEST_MODE) == Routed(Destination(Topic.CUSTOMER_EVENTS, "cus_1"))


def test_brackets_in_texts_are_no_nesting():
    assert isinstance(route(as_bytes(event(extra="[{" * 500 + '"')), TEST_MODE), Routed)


# --- what was recorded ----------------------------------------------------------------------------------------


def test_every_recorded_event_goes_somewhere():
    topics = Counter()
    for recorded in recorded_events():
        routed = route(as_bytes(recorded), TEST_MODE)
        assert isinstance(routed, Routed), (recorded["type"], routed)
        topics[routed.destination.topic] += 1
    assert set(topics) == {
        Topic.CUSTOMER_EVENTS,
        Topic.PAYMENT_EVENTS,
        Topic.CATALOGUE_EVENTS,
        Topic.STRIPE_OTHER,
    }
    assert topics[Topic.CUSTOMER_EVENTS] > 30


@pytest.mark.parametrize(
    ("kind", "topic"),
    [
        ("checkout.session.completed", Topic.CUSTOMER_EVENTS),
        ("customer.subscription.updated", Topic.CUSTOMER_EVENTS),
        ("invoice.paid", Topic.CUSTOMER_EVENTS),
        ("charge.dispute.created", Topic.PAYMENT_EVENTS),
        ("charge.refund.updated", Topic.PAYMENT_EVENTS),
        ("plan.created", Topic.CATALOGUE_EVENTS),
        ("payout.paid", Topic.STRIPE_OTHER),
    ],
)
def test_recorded_events_go_where_their_readers_look(kind, topic):
    routed = route(as_bytes(recorded_event(kind)), TEST_MODE)
    assert isinstance(routed, Routed)
    assert routed.destination.topic == topic


def test_recorded_events_can_be_issued_again_for_other_buyers():
    ids = [recorded["id"] for copy in range(3) for recorded in recorded_events(copy)]
    assert len(set(ids)) == len(ids) == 3 * 88
    keys = {route(as_bytes(recorded_event("invoice.paid", copy)), TEST_MODE).destination.key for copy in range(3)}
    assert len(keys) == 3


# --- anything at all ------------------------------------------------------------------------------------------

RECORDED = [as_bytes(recorded) for recorded in recorded_events()]
ANY_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inside: st.lists(inside, max_size=3) | st.dictionaries(st.text(max_size=8), inside, max_size=3),
    max_leaves=8,
)
TOP_KEYS = ("id", "object", "type", "livemode", "account", "context", "data", "related_object")
OBJECT_KEYS = (
    "id",
    "object",
    "customer",
    "customer_account",
    "customer_details",
    "payment_intent",
    "charge",
    "payment",
)


@given(
    number=st.integers(0, len(RECORDED) - 1),
    top=st.dictionaries(st.sampled_from(TOP_KEYS), ANY_JSON, max_size=2),
    inner=st.dictionaries(st.sampled_from(OBJECT_KEYS), ANY_JSON, max_size=3),
)
def test_an_event_with_any_values_in_the_fields_we_read_gets_an_answer(number, top, inner):
    mutated = json.loads(RECORDED[number])
    mutated["data"]["object"] |= inner
    answer = route(as_bytes(mutated | top), TEST_MODE)
    assert isinstance(answer, Routed | Misdirected | NoEvent)
    if not top:
        assert isinstance(answer, Routed), "whatever an object holds, its event is logged"


@given(
    number=st.integers(0, len(RECORDED) - 1),
    at=st.integers(0, 5000),
    junk=st.binary(max_size=4),
    drop=st.integers(0, 50),
)
def test_an_event_with_damaged_bytes_gets_an_answer(number, at, junk, drop):
    body = RECORDED[number]
    at = at % len(body)
    assert isinstance(route(body[:at] + junk + body[at + drop :], TEST_MODE), Routed | Misdirected | NoEvent)


@given(body=st.binary())
def test_any_bytes_get_an_answer(body):
    assert isinstance(route(body, TEST_MODE), Routed | Misdirected | NoEvent)
