"""What happens to a customer, told as stories: purchases, trials, ends, changed emails, changed catalogues."""

import itertools

import pytest

from processors.ids import email_hash, subscriber_key
from processors.record import Topic
from tests import stripe_events as stripe
from tests.customer_story import CATALOGUE, Story
from tests.stripe_events import CUSTOMER, DAY, EMAIL, MONTH, T0, Event, Shape

PRO = {"customer", "pro-member", "bought-pro"}


def bought_by_checkout(shape: Shape = Shape.CLASSIC, invoice_shape: Shape | None = None) -> list[Event]:
    """As Stripe usually sends it: created incomplete, paid, active, and the session last."""
    return [
        stripe.customer_created(created=T0),
        stripe.subscription_created(at=T0, status="incomplete", shape=shape),
        stripe.invoice_paid(at=T0 + 1, shape=invoice_shape or shape),
        stripe.invoice_payment_succeeded(at=T0 + 1, shape=invoice_shape or shape),
        stripe.subscription_updated(at=T0 + 1, previous={"status": "incomplete"}, shape=shape),
        stripe.subscription_session_completed(at=T0 + 2),
    ]


# --- subscriptions ----------------------------------------------------------------------------------------------


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


# --- one-offs and guests ----------------------------------------------------------------------------------------


def test_a_one_off_by_payment_link_is_owned_and_welcomed_once():
    story = Story().hear(stripe.session_completed(payment_link="plink_Atlas", payment_intent="pi_1"))
    assert story.tags() == {"atlas-owner"}
    assert story.sequences == ["Atlas reader"]
    assert story.customer().facts.one_offs["cs_1"].payment_intent == "pi_1"


def test_a_one_off_is_matched_by_its_metadata_as_well():
    assert Story().hear(stripe.session_completed(metadata={"offer": "atlas", "x": "y"})).tags() == {"atlas-owner"}


def test_a_second_one_off_is_a_second_purchase_with_an_id_of_its_own():
    story = Story().hear(
        stripe.session_completed(payment_link="plink_Atlas"),
        stripe.session_completed(payment_link="plink_Atlas", session_id="cs_2"),
    )
    assert len({enrol.id for enrol in story.enrols}) == 2


def test_an_unpaid_session_is_nothing_until_its_payment_has_come():
    unpaid = stripe.session_completed(payment_link="plink_Atlas", payment_status="unpaid")
    paid = stripe.async_payment_succeeded(payment_link="plink_Atlas")
    story = Story().hear(unpaid)
    assert story.held() == {}
    assert story.sequences == []
    assert story.hear(paid).tags() == {"atlas-owner"}
    assert story.sequences == ["Atlas reader"]
    turned = Story().hear(paid, unpaid)
    assert turned.held() == story.held()
    assert turned.customer().facts == story.customer().facts
    assert turned.sequences == story.sequences


def test_a_session_that_needs_no_payment_is_a_purchase():
    story = Story().hear(
        stripe.session_completed(payment_link="plink_Atlas", payment_status="no_payment_required", amount_total=0)
    )
    assert story.sequences == ["Atlas reader"]


def test_a_guest_has_tags_and_no_stripe_customer_id():
    guest = f"guest:{email_hash(EMAIL)}"
    story = Story().hear(stripe.session_completed(payment_link="plink_Atlas", customer_id=None), key=guest)
    assert story.tags() == {"atlas-owner"}
    assert story.fields() == {}
    assert story.aligns[0].customer == guest
    assert story.sequences == ["Atlas reader"]


# --- emails -----------------------------------------------------------------------------------------------------


def test_without_an_email_the_wishes_wait_in_the_state_and_go_out_with_the_first_one():
    story = Story().hear(
        stripe.customer_created(email=None), stripe.subscription_created(), stripe.invoice_paid(email=None)
    )
    assert story.aligns == []
    assert story.enrols == []
    decided = story.customer().decided
    assert [waiting.sequence for waiting in decided.waiting] == ["Welcome to Pro"]
    assert decided.said
    assert decided.said_to == ""
    assert story.changes[-1].tags == ("bought-pro", "customer", "pro-member")

    story.hear(stripe.customer_updated(previous={"email": None}))
    assert story.tags() == PRO
    assert story.sequences == ["Welcome to Pro"]
    assert story.customer().decided.waiting == ()


def test_emails_are_trusted_in_this_order_customer_session_invoice():
    story = Story().hear(stripe.subscription_created(), stripe.invoice_paid(email="invoice@example.com"))
    assert set(story.held()) == {"invoice@example.com"}
    story.hear(stripe.subscription_session_completed(email="session@example.com"))
    assert set(story.held()) == {"session@example.com"}
    story.hear(stripe.customer_created(email="customer@example.com"))
    assert set(story.held()) == {"customer@example.com"}
    assert story.sequences == ["Welcome to Pro"]


def test_a_changed_email_takes_all_back_from_the_old_subscriber_and_gives_it_to_the_new_one():
    story = Story().hear(*bought_by_checkout())
    before = len(story.outputs)
    story.hear(stripe.customer_updated(email="new@example.com", previous={"email": EMAIL}))
    empty, full = (output for output in story.outputs[before:] if output.topic is Topic.SUBSCRIBER_EVENTS)
    assert (empty.key, empty.message.email, empty.message.tags) == (subscriber_key(EMAIL), EMAIL, ())
    assert full.key == subscriber_key("new@example.com")
    assert {tag.name for tag in full.message.tags} == PRO
    assert empty.message.version == full.message.version == len(story.records) - 1


def test_a_creation_that_arrives_late_does_not_bring_the_old_email_back():
    story = Story().hear(
        stripe.customer_updated(email="new@example.com", previous={"email": EMAIL}, created=T0),
        stripe.customer_created(email="older@example.com", created=T0 + 2),
        stripe.subscription_created(),
    )
    assert set(story.held()) == {"new@example.com"}


def test_an_email_in_other_letters_is_the_same_subscriber():
    story = Story().hear(*bought_by_checkout())
    sent = len(story.aligns)
    story.hear(stripe.customer_updated(email="Ada@Example.com", previous={"email": EMAIL}))
    assert [align.email for align in story.aligns[sent:]] == ["Ada@Example.com"]


def test_a_customer_without_an_email_any_more_has_no_subscriber_to_hold_anything():
    story = Story().hear(stripe.customer_created(), stripe.subscription_created())
    story.hear(stripe.customer_updated(email=None, previous={"email": EMAIL}))
    assert story.held() == {}


def test_an_align_is_sent_only_when_it_says_something_else():
    story = Story().hear(*bought_by_checkout())
    sent = len(story.aligns)
    story.hear(
        stripe.customer_updated(previous={"balance": 0}),
        stripe.subscription_updated(at=T0 + 50, previous={"default_payment_method": None}),
    )
    assert len(story.aligns) == sent


def test_nothing_is_said_of_a_customer_who_never_was_to_hold_anything():
    story = Story().hear(stripe.customer_created(), stripe.customer_deleted())
    assert story.aligns == []


# --- catalogues -------------------------------------------------------------------------------------------------

OTHER_TAGS = CATALOGUE.replace("pro-member", "pro-reader").replace("bought-pro", "has-bought-pro")
NEW_SEQUENCE = CATALOGUE.replace('["Welcome to Pro"]', '["Welcome to Pro", "More for Pros"]')


def test_a_new_catalogue_changes_the_tags_of_states_and_repeats_no_moment():
    story = Story().hear(*bought_by_checkout()).apply(OTHER_TAGS).reconsider(OTHER_TAGS)
    assert story.tags() == {"customer", "pro-reader", "bought-pro"}
    assert story.sequences == ["Welcome to Pro"]
    story.apply(NEW_SEQUENCE).reconsider(NEW_SEQUENCE)
    story.hear(stripe.invoice_paid(invoice_id="in_2", billing_reason="subscription_cycle", period_start=T0 + MONTH))
    assert story.tags() == PRO
    assert story.sequences == ["Welcome to Pro"]


def test_before_any_catalogue_facts_are_kept_and_nothing_is_decided():
    story = Story(catalogue=None).hear(*bought_by_checkout())
    assert story.dispositions == ["processed"] * 6
    assert [output.topic for output in story.outputs] == [Topic.CUSTOMER_CHANGES] * 6
    story.apply(CATALOGUE).reconsider(CATALOGUE)
    assert story.tags() == {"customer", "pro-member"}
    assert story.sequences == []


def test_a_sale_from_before_any_catalogue_is_no_moment_of_a_later_record():
    story = Story(catalogue=None).hear(stripe.subscription_created(), stripe.invoice_paid()).apply(CATALOGUE)
    story.hear(stripe.subscription_session_completed())
    assert story.tags() == {"customer", "pro-member"}
    assert story.sequences == []


def test_a_catalogue_that_decides_the_same_sends_nothing():
    same = CATALOGUE + "\n[report]\nenabled = false\n"
    story = Story().hear(*bought_by_checkout())
    sent = len(story.aligns)
    story.apply(same).reconsider(same)
    assert len(story.aligns) == sent


def test_an_applied_catalogue_makes_no_change_of_a_customer():
    story = Story()
    assert story.outputs == []
    assert list(story.states) == ["catalogue:0"]


def test_what_is_no_catalogue_becomes_a_dead_letter_and_the_applied_one_goes_on():
    story = Story().hear_bytes(
        b'{"type": "catalogue_applied", "version": "1", "document": {"offer": 3}}', key="catalogue:0"
    )
    assert len(story.dead_letters) == 1
    assert story.hear(*bought_by_checkout()).tags() == PRO
