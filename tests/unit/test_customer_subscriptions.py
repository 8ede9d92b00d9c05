"""The life of a subscription, told as stories: purchase, trial, renewal, end, and what arrives late."""

import itertools

import pytest

from tests import stripe_events as stripe
from tests.customer_story import CATALOGUE, PRO, Story, bought_by_checkout
from tests.stripe_events import CUSTOMER, DAY, MONTH, T0, Event, Shape


def test_a_subscription_by_checkout_gives_tags_fields_and_one_welcome():
    story = Story().hear(*bought_by_checkout())
    assert story.tags() == PRO
    assert story.fields() == {
        "plan": "Pro",
        "renews_on": "2026-01-30",
        "seats": "1",
        "paid": "49.00 usd",
        "stripe_customer_id": CUSTOMER,
    }
    assert story.sequences == ["Welcome to Pro"]
    assert story.enrols[0].id == "enrol purchased sub_1 offer 'Pro' when.purchased Welcome to Pro"


@pytest.mark.parametrize("shape", Shape)
def test_l1_l2_a_checkout_in_every_order_of_its_events_ends_the_same_with_one_welcome(shape: Shape):
    ordered = Story().hear(*bought_by_checkout(shape))
    for events in itertools.permutations(bought_by_checkout(shape)):
        story = Story().hear(*events)
        assert story.customer().facts == ordered.customer().facts
        assert story.held() == ordered.held()
        assert story.sequences == ["Welcome to Pro"]


def test_both_shapes_of_the_api_tell_the_same():
    classic = Story().hear(*bought_by_checkout(Shape.CLASSIC))
    new = Story().hear(*bought_by_checkout(Shape.NEW))
    mixed = Story().hear(*bought_by_checkout(Shape.NEW, invoice_shape=Shape.CLASSIC))
    assert classic.customer().facts == new.customer().facts == mixed.customer().facts
    assert classic.held() == new.held() == mixed.held()


def test_twin_events_of_one_invoice_are_one_sale():
    story = Story().hear(
        stripe.customer_created(),
        stripe.subscription_created(),
        stripe.invoice_payment_succeeded(),
        stripe.invoice_paid(),
    )
    assert story.sequences == ["Welcome to Pro"]
    assert list(story.customer().facts.subscriptions["sub_1"].invoices) == ["in_1"]


BY_LINK = CATALOGUE.replace('products = ["prod_Pro"]', 'payment_links = ["plink_Pro"]\nmetadata = { tier = "pro" }')


def test_a_subscription_sold_by_a_payment_link_is_known_by_it_once_the_session_arrives():
    story = Story(BY_LINK).hear(stripe.customer_created(), stripe.subscription_created(), stripe.invoice_paid())
    assert story.tags() == {"customer"}
    story.hear(stripe.subscription_session_completed(payment_link="plink_Pro"))
    assert story.tags() == PRO
    assert story.sequences == ["Welcome to Pro"]


def test_a_subscription_is_known_by_metadata_that_it_is_given_later():
    story = Story(BY_LINK).hear(stripe.customer_created(), stripe.subscription_created(), stripe.invoice_paid())
    story.hear(stripe.subscription_updated(at=T0 + 9, previous={"metadata": {"tier": None}}, metadata={"tier": "pro"}))
    assert story.tags() == PRO
    assert story.sequences == ["Welcome to Pro"]


def test_a_sale_that_turns_out_to_be_of_another_offer_is_no_second_sale():
    either = BY_LINK.replace("prod_Starter", "prod_Pro")
    story = Story(either).hear(stripe.customer_created(), stripe.subscription_created(), stripe.invoice_paid())
    assert story.sequences == ["Welcome to Starter"]
    story.hear(stripe.subscription_session_completed(payment_link="plink_Pro"))
    assert "pro-member" in story.tags()
    assert story.sequences == ["Welcome to Starter"]


def test_a_moment_that_facts_take_back_and_bring_again_is_not_repeated():
    story = Story().hear(
        stripe.customer_created(), stripe.subscription_created(), stripe.invoice_paid(amount_paid=0, unit_amount=4900)
    )
    items = {"metadata": {}}
    story.hear(
        stripe.subscription_updated(at=T0 + DAY, previous={"trial_end": None}, trial_end=T0 + 9 * DAY),
        stripe.subscription_updated(at=T0 + 2 * DAY, previous=items | {"trial_end": T0 + 9 * DAY}),
    )
    assert story.sequences == ["Welcome to Pro"]


def test_a_renewal_moves_the_date_and_is_no_purchase():
    story = (
        Story()
        .hear(*bought_by_checkout())
        .hear(
            stripe.subscription_updated(
                at=T0 + MONTH,
                period_start=T0 + MONTH,
                previous={"current_period_end": T0 + MONTH, "current_period_start": T0},
            ),
            stripe.invoice_paid(invoice_id="in_2", billing_reason="subscription_cycle", period_start=T0 + MONTH),
        )
    )
    assert story.fields()["renews_on"] == "2026-03-01"
    assert story.sequences == ["Welcome to Pro"]


def test_a_customer_who_subscribed_before_our_log_began_is_a_member_but_did_not_just_buy():
    story = Story().hear(
        stripe.customer_created(),
        stripe.subscription_updated(started=T0 - 10 * MONTH, period_start=T0, previous={"metadata": {"a": None}}),
        stripe.invoice_paid(billing_reason="subscription_cycle"),
    )
    assert story.tags() == PRO - {"bought-pro"}
    assert story.sequences == []


def test_a_first_invoice_of_nothing_because_of_a_coupon_is_a_purchase():
    story = Story().hear(
        stripe.customer_created(), stripe.subscription_created(), stripe.invoice_paid(amount_paid=0, unit_amount=4900)
    )
    assert story.sequences == ["Welcome to Pro"]
    assert story.fields()["paid"] == "0.00 usd"


TRIAL_END = T0 + 14 * DAY
TRIAL = {"trial_end": TRIAL_END, "status": "trialing"}
PAID_PERIOD = {"trial_end": TRIAL_END, "period_start": TRIAL_END}


def a_trial() -> list[Event]:
    return [
        stripe.customer_created(),
        stripe.subscription_created(**TRIAL),
        stripe.invoice_paid(amount_paid=0, period_end=TRIAL_END),
    ]


def trial_converted() -> list[Event]:
    return [
        stripe.subscription_updated(at=TRIAL_END, previous={"status": "trialing"}, **PAID_PERIOD),
        stripe.invoice_paid(invoice_id="in_2", billing_reason="subscription_cycle", period_start=TRIAL_END),
        stripe.invoice_paid(invoice_id="in_3", billing_reason="subscription_cycle", period_start=TRIAL_END + MONTH),
    ]


def test_a_trial_is_active_but_no_purchase_and_its_first_paid_invoice_is():
    story = Story().hear(*a_trial())
    assert story.tags() == {"customer", "pro-member"}
    assert story.sequences == []
    story.hear(*trial_converted())
    assert story.tags() == PRO
    assert story.sequences == ["Welcome to Pro"]


def test_l1_l2_a_trial_that_is_paid_is_one_purchase_in_every_order():
    ordered = Story().hear(*a_trial(), *trial_converted())
    for events in itertools.permutations(a_trial() + trial_converted()):
        story = Story().hear(*events)
        assert story.held() == ordered.held()
        assert story.sequences == ["Welcome to Pro"]


def test_a_trial_that_pauses_for_want_of_a_card_and_is_paid_later_is_a_purchase_then():
    resumed = TRIAL_END + 20 * DAY
    story = (
        Story()
        .hear(*a_trial())
        .hear(
            stripe.subscription_updated(
                at=TRIAL_END, previous={"status": "trialing"}, trial_end=TRIAL_END, status="paused"
            )
        )
    )
    assert story.tags() == set()
    story.hear(
        stripe.invoice_paid(invoice_id="in_2", billing_reason="subscription_update", period_start=resumed),
        stripe.subscription_updated(
            at=resumed, previous={"status": "paused"}, trial_end=TRIAL_END, period_start=resumed
        ),
    )
    assert story.tags() == PRO
    assert story.sequences == ["Welcome to Pro"]


def test_trials_and_late_payers_are_active_only_where_the_catalogue_says_so():
    strict = CATALOGUE + "\n[entitlement]\ntrial_is_active = false\npast_due_is_active = false\n"
    for status in ("trialing", "past_due"):
        events = (stripe.customer_created(), stripe.subscription_created(status=status))
        assert Story().hear(*events).tags() == {"customer", "pro-member"}
        assert Story(strict).hear(*events).tags() == set()


@pytest.mark.parametrize("status", ["incomplete", "incomplete_expired", "unpaid", "paused", "canceled", "dreaming"])
def test_these_statuses_are_not_active(status: str):
    assert Story().hear(stripe.customer_created(), stripe.subscription_created(status=status)).tags() == set()


def test_a_paused_collection_and_a_planned_end_are_active_still():
    paused = stripe.subscription_created(pause_collection={"behavior": "void"})
    canceling = stripe.subscription_created(cancel_at_period_end=True, canceled_at=T0)
    for subscription in (paused, canceling):
        assert "pro-member" in Story().hear(stripe.customer_created(), subscription).tags()


def test_an_end_takes_back_what_the_state_gave_and_keeps_what_the_moment_gave():
    story = Story().hear(*bought_by_checkout()).hear(stripe.subscription_deleted())
    assert story.tags() == {"bought-pro"}
    assert story.fields() == {"paid": "49.00 usd", "stripe_customer_id": CUSTOMER}


def test_a_deleted_customer_has_no_active_subscription_whether_or_not_it_said_so():
    story = Story().hear(*bought_by_checkout()).hear(stripe.customer_deleted())
    assert story.tags() == {"bought-pro"}


def test_a_subscription_deleted_before_its_creation_arrives_stays_over():
    story = Story().hear(
        stripe.customer_created(),
        stripe.subscription_deleted(at=T0 + 5),
        stripe.subscription_created(at=T0),
        stripe.subscription_updated(at=T0 + 60 * DAY, previous={"status": "incomplete"}),
    )
    assert story.tags() == set()
    assert story.customer().facts.subscriptions["sub_1"].terms.status == "canceled"


def test_a_late_creation_does_not_turn_an_active_subscription_incomplete():
    story = Story().hear(
        stripe.customer_created(),
        stripe.subscription_updated(at=T0, previous={"status": "incomplete"}),
        stripe.subscription_created(at=T0 + 3, status="incomplete"),
    )
    assert "pro-member" in story.tags()


def test_a_creation_is_the_first_snapshot_whenever_it_arrives_and_however_it_is_stamped():
    story = Story().hear(
        stripe.customer_created(),
        stripe.subscription_updated(at=T0, quantity=2, previous={"metadata": {"x": None}}, metadata={"x": "1"}),
        stripe.subscription_created(at=T0 + 3, quantity=1),
    )
    assert story.fields()["seats"] == "2"


def test_two_updates_of_one_second_are_ordered_by_what_each_says_was_before():
    first = stripe.subscription_updated(at=T0 + 9, previous={"quantity": 1}, quantity=1)
    second = stripe.subscription_updated(
        at=T0 + 9,
        quantity=2,
        previous={"items": first["data"]["object"]["items"]},
    )
    third = stripe.subscription_updated(
        at=T0 + 9,
        quantity=3,
        previous={"items": second["data"]["object"]["items"]},
    )
    for updates in itertools.permutations([first, second, third]):
        story = Story().hear(stripe.customer_created(), stripe.subscription_created(), *updates)
        assert story.fields()["seats"] == "3"


def test_what_came_before_beats_a_clock_that_is_a_little_off():
    early = stripe.subscription_updated(at=T0 + 9, quantity=2, previous={"metadata": {"x": None}}, metadata={"x": "1"})
    late = stripe.subscription_updated(
        at=T0 + 8,  # stamped a second before the update that it follows
        quantity=3,
        metadata={"x": "1"},
        previous={"items": early["data"]["object"]["items"]},
    )
    for updates in itertools.permutations([early, late]):
        story = Story().hear(stripe.customer_created(), *updates)
        assert story.fields()["seats"] == "3"


def test_two_offers_give_one_field_the_value_of_the_higher_tier():
    story = Story().hear(
        stripe.customer_created(),
        stripe.subscription_created(subscription_id="sub_2", product="prod_Starter", price="price_Starter"),
        stripe.subscription_created(),
    )
    assert story.tags() == {"customer", "starter-member", "pro-member"}
    assert story.fields()["plan"] == "Pro"
    assert story.changes[-1].fields["plan"] == "Pro"


def changed_in_its_trial(*, converts: bool) -> list[Event]:
    """A change of plan during a trial makes an invoice of 0 for what is left of it."""
    trial = {"trial_end": T0 + 14 * DAY}
    before = [
        stripe.customer_created(),
        stripe.subscription_created(status="trialing", **trial),
        stripe.invoice_paid(amount_paid=0, period_end=T0 + 14 * DAY),
        stripe.invoice_paid(
            invoice_id="in_2",
            billing_reason="subscription_update",
            amount_paid=0,
            period_start=T0 + 3 * DAY,
            period_end=T0 + 14 * DAY,
        ),
    ]
    after = {"at": T0 + 14 * DAY, "period_start": T0 + 14 * DAY, "previous": {"status": "trialing"}} | trial
    if not converts:
        return [*before, stripe.subscription_updated(status="past_due", **after)]
    paid = stripe.invoice_paid(invoice_id="in_3", billing_reason="subscription_cycle", period_start=T0 + 14 * DAY)
    return [*before, stripe.subscription_updated(**after), paid]


def test_l2_a_trial_that_was_changed_on_its_way_is_purchased_when_it_converts():
    events = changed_in_its_trial(converts=True)
    for told in (events, events[::-1], events[:3] + events[:2:-1]):
        assert Story().hear(*told).sequences == ["Welcome to Pro"]


def test_a_trial_that_was_changed_and_never_paid_is_no_purchase():
    for told in (events := changed_in_its_trial(converts=False)), events[::-1]:
        assert Story().hear(*told).sequences == []


@pytest.mark.parametrize("shape", Shape)
def test_a_first_invoice_for_a_part_of_a_period_is_the_purchase(shape: Shape):
    """As with a billing anchor: every line of it is a proration."""
    story = Story().hear(stripe.customer_created(), stripe.subscription_created(shape=shape))
    story.hear(stripe.invoice_paid(proration=True, shape=shape))
    assert story.sequences == ["Welcome to Pro"]


@pytest.mark.parametrize("shape", Shape)
def test_a_proration_of_a_later_invoice_is_none(shape: Shape):
    story = Story().hear(stripe.customer_created(), stripe.subscription_updated(previous={"status": "past_due"}))
    story.hear(stripe.subscription_updated(status="past_due", previous={"status": "active"}))
    story.hear(stripe.invoice_paid(billing_reason="subscription_update", proration=True, shape=shape))
    assert story.sequences == []
