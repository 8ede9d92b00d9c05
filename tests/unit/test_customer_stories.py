"""What happens to a customer beside subscriptions, told as stories: one-offs, guests, emails, changed catalogues."""

from processors.ids import email_hash, subscriber_key
from processors.record import Topic
from tests import stripe_events as stripe
from tests.customer_story import CATALOGUE, PRO, Story, bought_by_checkout
from tests.stripe_events import EMAIL, MONTH, T0

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


def test_l1_of_two_one_offs_alike_but_for_the_currency_the_same_fills_a_field_in_every_order():
    rule = 'tags = ["atlas-owner"]\nfields = { bought_for = "{amount} {currency}" }'
    both = [
        stripe.session_completed(payment_link="plink_Atlas", session_id=f"cs_{currency}", currency=currency)
        for currency in ("usd", "eur")
    ]
    told = [Story(CATALOGUE.replace('tags = ["atlas-owner"]', rule)).hear(*order) for order in (both, both[::-1])]
    assert [story.fields()["bought_for"] for story in told] == ["49.00 usd"] * 2


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
    assert decided.aligned_fingerprint
    assert decided.aligned_email == ""
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


def test_an_enrolment_without_a_tag_says_how_a_subscriber_is_created():
    text = 'subscribers.create_as = "inactive"\n[[offer]]\nname = "Atlas"\npayment_links = ["plink_Atlas"]\n'
    story = Story(text + 'when.purchased.sequences = ["Atlas reader"]\n')
    story.hear(stripe.session_completed(payment_link="plink_Atlas"))
    assert story.aligns == []
    assert [enrol.create_as for enrol in story.enrols] == ["inactive"]
