"""The moment `purchased`: the first cleared payment of a subscription, and each one-off that has cleared.

Reads facts, gives occurrences to moments.py, which decides what is new.
"""

from processors.catalogue.rules import Catalogue, Moment
from processors.customer import sale as sales
from processors.customer.conditions import Circumstances
from processors.customer.facts import OneOff, PaidInvoice, Payment, Subscription, Terms
from processors.customer.lifecycle import FIRST_PERIOD_SLACK_SECONDS
from processors.customer.occurrence import Occurrence
from processors.customer.payment import FIRST_REASONS

DAY_SECONDS = 24 * 3600


def of_subscription(key: str, subscription: Subscription, catalogue: Catalogue) -> Occurrence | None:
    """None as long as its first payment, or the subscription itself, is not known."""
    terms = subscription.terms
    paid = first_payment(subscription)
    if terms is None or paid is None:
        return None
    sold = (sales.of_paid_line(line, paid, subscription, catalogue) for line in paid.lines)
    after_days = max(0, paid.paid_at - terms.started_at) // DAY_SECONDS
    return Occurrence(
        moment=Moment.PURCHASED,
        subject=key,
        at=paid.paid_at,
        sales=sales.best_first(sold),
        circumstances=Circumstances(after_days=after_days, renewals=0),
    )


def is_same_purchase(subscription: Subscription, other: Subscription | None) -> bool:
    """Whether both tell of the same purchase of the same things: true of most changes, and quickly known."""
    if other is subscription:
        return True
    if other is None or subscription.sold_by != other.sold_by:
        return False
    terms, others = subscription.terms, other.terms
    if terms is None or others is None or terms.metadata != others.metadata:
        return False
    periods = (terms.trial_start, terms.trial_end, subscription.started_unpaid)
    if subscription.invoices is other.invoices and periods == (
        others.trial_start,
        others.trial_end,
        other.started_unpaid,
    ):
        return True
    return first_payment(subscription) == first_payment(other)


def of_one_off(key: str, one_off: OneOff, catalogue: Catalogue) -> Occurrence | None:
    if one_off.payment is not Payment.CLEARED:
        return None
    return Occurrence(
        moment=Moment.PURCHASED,
        subject=key,
        at=one_off.at,
        sales=(sales.of_one_off(one_off, catalogue),),
        circumstances=Circumstances(),
    )


def first_payment(subscription: Subscription) -> PaidInvoice | None:
    """What may still arrive before it is waited for, since order is never promised. It is the first that is known of:

    1. its first invoice (a coupon may make it 0), unless it is a trial's: 0, and for a period within the trial;
    2. the invoice whose period begins where the trial ended;
    3. where that first period went unpaid, the earliest other one that is not the trial's.
    """
    terms = subscription.terms
    if terms is None:
        return None
    # Of all others than these no lines are kept, see payment.fold_paid_invoice.
    paid = [each for each in subscription.invoices.values() if each.lines and not _is_trials(each, terms)]
    first = [each for each in paid if each.reason in FIRST_REASONS]
    later = [each for each in paid if each.reason not in FIRST_REASONS]
    if not subscription.started_unpaid:
        later = [each for each in later if _follows_trial(each, terms)]
    return min(first or later, key=lambda each: (each.period_start, each.paid_at), default=None)


def _is_trials(paid: PaidInvoice, terms: Terms) -> bool:
    return paid.amount_minor == 0 and terms.trial_start <= paid.period_start < terms.trial_end


def _follows_trial(paid: PaidInvoice, terms: Terms) -> bool:
    return terms.trial_end > 0 and abs(paid.period_start - terms.trial_end) <= FIRST_PERIOD_SLACK_SECONDS
