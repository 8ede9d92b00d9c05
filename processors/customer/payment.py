"""Money that came in: folds paid invoices and completed Checkout sessions.

invoice.paid and invoice.payment_succeeded tell of one payment twice, and are kept once, by the invoice's id. A session
is a one-off purchase (mode payment) or tells how a subscription was sold. Called by evolve.py.
"""

import msgspec
from msgspec.structs import replace

from processors.customer import objects
from processors.customer.facts import Contact, Facts, OneOff, PaidInvoice, PaidLine, Payment, SoldBy, Subscription
from processors.customer.objects import Event
from processors.customer.profile import with_invoice, with_session

FIRST_REASONS = frozenset({"subscription_create", "quote_accept"})
"""The `billing_reason` of a subscription's first invoice: by itself, or out of an accepted quote."""

PAYMENTS = {
    "paid": Payment.CLEARED,
    "no_payment_required": Payment.CLEARED,
    "unpaid": Payment.PENDING,
}
"""By a session's `payment_status`; completed is not paid. One we do not know yet has not cleared."""

TRIAL_INVOICES_MAX = 4
"""Invoices of 0 whose lines are kept: each change during a trial may make one, and the first after it may be one."""

_invoice = msgspec.json.Decoder(objects.Invoice)
_session = msgspec.json.Decoder(objects.CheckoutSession)


# --- invoices ---------------------------------------------------------------------------------------------------


def fold_paid_invoice(facts: Facts, event: Event) -> Facts:
    """A paid invoice stays paid. One without a subscription (`manual`) tells no more than an email, so far."""
    read = objects.read(_invoice, event)
    facts = with_invoice(
        facts, Contact(read.customer_email or "", read.customer_name or "", read.created or event.created)
    )
    if not read.subscription_id:
        return facts
    known = facts.subscriptions.get(read.subscription_id) or Subscription()
    paid = _paid(event, read)
    invoices = _thinned({**known.invoices, read.id: _earlier(known.invoices.get(read.id), paid)})
    if invoices == known.invoices:
        return facts
    return replace(
        facts, subscriptions={**facts.subscriptions, read.subscription_id: replace(known, invoices=invoices)}
    )


def _paid(event: Event, read: objects.Invoice) -> PaidInvoice:
    moved = read.status_transitions
    return PaidInvoice(
        paid_at=(moved.paid_at if moved else None) or event.created,
        amount_minor=read.amount_paid,
        currency=read.currency or "",
        reason=read.billing_reason or "",
        lines=tuple(_line(line) for line in _counted(read)),
    )


def _counted(read: objects.Invoice) -> list[objects.InvoiceLine]:
    """The regular lines. A first invoice may have none: with a billing anchor it is for a part of a period."""
    regular = [line for line in read.lines.data if line.is_regular]
    if regular or read.billing_reason not in FIRST_REASONS:
        return regular
    return [line for line in read.lines.data if line.is_of_item]


def _line(line: objects.InvoiceLine) -> PaidLine:
    price, period = line.sold, line.period
    return PaidLine(
        price=price.id if price else "",
        product=objects.id_of(price.product) if price else "",
        quantity=1 if line.quantity is None else line.quantity,
        amount_minor=line.amount,
        period_start=period.start if period else 0,
        period_end=period.end if period else 0,
        nickname=(price.nickname or "") if price else "",
    )


def _earlier(known: PaidInvoice | None, paid: PaidInvoice) -> PaidInvoice:
    """Of two tellings of one payment the earlier; where neither is, always the same."""
    if known is None:
        return paid
    if not known.lines:
        known = replace(known, lines=paid.lines)
    return min(known, paid, key=lambda each: (each.paid_at, msgspec.json.encode(each)))


def _thinned(invoices: dict[str, PaidInvoice]) -> dict[str, PaidInvoice]:
    """Lines are kept where they may be those of the first payment: of a first invoice, of the earliest other one that
    cost something, and of the earliest of those that did not.
    """
    others = sorted((paid.period_start, paid.paid_at, key) for key, paid in invoices.items() if _may_be_thinned(paid))
    costing = [key for _, _, key in others if invoices[key].amount_minor]
    free = [key for _, _, key in others if not invoices[key].amount_minor]
    kept = {*costing[:1], *free[:TRIAL_INVOICES_MAX]}
    return {
        key: replace(paid, lines=()) if _may_be_thinned(paid) and key not in kept else paid
        for key, paid in invoices.items()
    }


def _may_be_thinned(paid: PaidInvoice) -> bool:
    return bool(paid.lines) and paid.reason not in FIRST_REASONS


# --- sessions ---------------------------------------------------------------------------------------------------


def fold_session(facts: Facts, event: Event) -> Facts:
    read = objects.read(_session, event)
    details = read.customer_details
    if details is not None:
        contact = Contact(details.email or "", details.name or "", read.created or event.created)
        facts = with_session(facts, contact)
    match read.mode:
        case "payment":
            return _with_one_off(facts, event, read)
        case "subscription":
            return _with_sold_by(facts, read)
        case _:
            return facts


def _with_one_off(facts: Facts, event: Event, read: objects.CheckoutSession) -> Facts:
    """Cleared beats pending; of two that say the same, the earlier one stands, so that repeats change nothing."""
    one_off = OneOff(
        payment=PAYMENTS.get(read.payment_status, Payment.PENDING),
        at=event.created,
        amount_minor=read.amount_total or 0,
        currency=read.currency or "",
        payment_link=objects.id_of(read.payment_link),
        payment_intent=objects.id_of(read.payment_intent),
        metadata=objects.metadata_of(read.metadata),
    )
    known = facts.one_offs.get(read.id)
    if known is not None and _standing(known) <= _standing(one_off):
        return facts
    return replace(facts, one_offs={**facts.one_offs, read.id: one_off})


def _standing(one_off: OneOff) -> tuple[bool, int, bytes]:
    return one_off.payment is not Payment.CLEARED, one_off.at, msgspec.json.encode(one_off, order="sorted")


def _with_sold_by(facts: Facts, read: objects.CheckoutSession) -> Facts:
    subscription_id = objects.id_of(read.subscription)
    if not subscription_id:
        return facts
    known = facts.subscriptions.get(subscription_id) or Subscription()
    sold_by = SoldBy(read.id, objects.id_of(read.payment_link), objects.metadata_of(read.metadata))
    if known.sold_by is not None and _content(known.sold_by) <= _content(sold_by):
        return facts
    return replace(facts, subscriptions={**facts.subscriptions, subscription_id: replace(known, sold_by=sold_by)})


def _content(sold_by: SoldBy) -> bytes:
    return msgspec.json.encode(sold_by, order="sorted")
