"""Tells what happens to one buyer as the events Stripe would send, and notes beside them what is then true.

Stories (stories.py) call its verbs in order; each verb emits every twin event that Stripe emits for it. The truth is
kept by what the story says, never read off the events: it is what tests hold the whole system to.
"""

import calendar
import random
from dataclasses import dataclass, field
from datetime import UTC, datetime

from streams.samples import objects, sessions
from streams.samples.objects import Invoice, Payment, Shape, StripeDict, Subscription
from streams.samples.shop import OneOff, Person, Plan, new_id

DAY_SECONDS = 24 * 3600


@dataclass(frozen=True, slots=True)
class SampleEvent:
    """One event as Stripe would send it, `created` seconds since the epoch."""

    created: int
    event: StripeDict


@dataclass(slots=True)
class Truth:
    """Offers by name: with a subscription that is active now, owned now, ever purchased."""

    active: set[str] = field(default_factory=set)
    owned: set[str] = field(default_factory=set)
    purchased: set[str] = field(default_factory=set)


@dataclass(slots=True)
class Teller:
    """`now` is the story's time, seconds since the epoch; `customer` None: still a guest."""

    rng: random.Random
    shape: Shape
    person: Person
    now: int
    customer: str | None = None
    truth: Truth = field(default_factory=Truth)
    events: list[SampleEvent] = field(default_factory=list)

    def emit(self, event_type: str, thing: StripeDict, previous: StripeDict | None = None) -> None:
        data: StripeDict = {"object": thing}
        if previous is not None:
            data["previous_attributes"] = previous
        event: StripeDict = {
            "id": self.new_id("evt"),
            "object": "event",
            "api_version": self.shape.value,
            "created": self.now,
            "data": data,
            "livemode": False,
            "pending_webhooks": 1,
            "request": {"id": None, "idempotency_key": None},
            "type": event_type,
        }
        self.events.append(SampleEvent(self.now, event))

    def new_id(self, prefix: str) -> str:
        return new_id(self.rng, prefix)

    def waits(self, *, days: int) -> None:
        self.now += days * DAY_SECONDS

    # --- who ----------------------------------------------------------------------------------------------------

    def becomes_customer(self) -> str:
        """A new Stripe customer, also where there is one already: several may share an email."""
        self.customer = self.new_id("cus")
        self.emit("customer.created", self._customer_object(self.customer))
        return self.customer

    def is_deleted(self) -> None:
        """After the subscriptions have been canceled, as Stripe does on deletion."""
        assert self.customer is not None, "a guest cannot be deleted"
        self.emit("customer.deleted", self._customer_object(self.customer))

    def attaches_card(self) -> None:
        """Events that no rule reads."""
        method = {"id": self.new_id("pm"), "object": "payment_method", "customer": self.customer, "type": "card"}
        self.emit("payment_method.attached", method)
        setup = {"id": self.new_id("seti"), "object": "setup_intent", "customer": self.customer, "status": "succeeded"}
        self.emit("setup_intent.succeeded", setup)

    # --- subscriptions ------------------------------------------------------------------------------------------

    def subscribes(self, plan: Plan, *, quantity: int = 1, trial_days: int = 0) -> Subscription:
        """Through Checkout. In the classic shape the subscription is there before the money, in the current after."""
        sub = self._new_subscription(plan, quantity, trial_days)
        invoice = self._new_invoice(sub, "subscription_create")
        sub.latest_invoice = invoice.id
        early = self.shape is Shape.CLASSIC and not trial_days
        if early:
            self.emit("customer.subscription.created", self._subscription_object(sub, status="incomplete"))
        self._pays(invoice, sub)
        if early:
            self.emit("customer.subscription.updated", self._subscription_object(sub), {"status": "incomplete"})
        else:
            self.emit("customer.subscription.created", self._subscription_object(sub))
        self._completes_session((sub, invoice), "no_payment_required" if trial_days else "paid")
        self.truth.active.add(plan.offer)
        if not trial_days:
            self.truth.purchased.add(plan.offer)
        return sub

    def renews(self, sub: Subscription) -> None:
        """The next period begins and is paid; a trial's end is the first of these, and then a purchase."""
        before = self._subscription_object(sub)
        self.now = sub.period_end
        sub.period_start, sub.period_end = sub.period_end, _after(sub.period_end, sub.plan.interval)
        sub.status = "active"
        invoice = self._new_invoice(sub, "subscription_cycle")
        sub.latest_invoice = invoice.id
        self._emit_subscription_update(sub, before)
        self._pays(invoice, sub)
        self.truth.purchased.add(sub.plan.offer)

    def schedules_cancellation(self, sub: Subscription) -> None:
        before = self._subscription_object(sub)
        sub.cancel_at_period_end, sub.canceled_at = True, self.now
        self._emit_subscription_update(sub, before)

    def reaches_scheduled_end(self, sub: Subscription) -> None:
        assert sub.cancel_at_period_end, "it would renew"
        self.now = sub.period_end
        self._ends(sub)

    def cancels_now(self, sub: Subscription) -> None:
        sub.canceled_at = self.now
        self._ends(sub)

    # --- one-offs -----------------------------------------------------------------------------------------------

    def buys(self, what: OneOff, *, by_link: bool, clears_after_days: int = 0) -> None:
        """Through Checkout; with a delayed payment method the money comes days after the session was completed."""
        intent, charge, session_id = self.new_id("pi"), self.new_id("ch"), self.new_id("cs_test")
        session = sessions.Session(session_id, self.person, self.customer, self.now, (what, intent), by_link)
        if clears_after_days:
            payment = Payment(intent, charge, what.unit_amount, self.now, self.customer, self.person)
            processing = {"status": "processing", "amount_received": 0}
            self.emit("payment_intent.processing", objects.payment_intent(payment, self.shape) | processing)
            self.emit("checkout.session.completed", sessions.session(session, "unpaid", self.shape))
            self.waits(days=clears_after_days)
        payment = Payment(intent, charge, what.unit_amount, self.now, self.customer, self.person)
        self._emit_payment(payment)
        kind = "async_payment_succeeded" if clears_after_days else "completed"
        self.emit(f"checkout.session.{kind}", sessions.session(session, "paid", self.shape))
        self.truth.owned.add(what.offer)
        self.truth.purchased.add(what.offer)

    # --- what the verbs share -----------------------------------------------------------------------------------

    def _new_subscription(self, plan: Plan, quantity: int, trial_days: int) -> Subscription:
        assert self.customer is not None, "guests cannot subscribe"
        end = self.now + trial_days * DAY_SECONDS if trial_days else _after(self.now, plan.interval)
        return Subscription(
            id=self.new_id("sub"),
            item=self.new_id("si"),
            customer=self.customer,
            plan=plan,
            quantity=quantity,
            created=self.now,
            period_start=self.now,
            period_end=end,
            status="trialing" if trial_days else "active",
            trial_end=end if trial_days else None,
        )

    def _new_invoice(self, sub: Subscription, reason: str) -> Invoice:
        """Of the subscription's current period; nothing is paid for a trial."""
        invoice_id, amount = self.new_id("in"), 0 if sub.status == "trialing" else sub.plan.unit_amount * sub.quantity
        payment = None
        if amount:
            intent, charge = self.new_id("pi"), self.new_id("ch")
            payment = Payment(intent, charge, amount, self.now, sub.customer, self.person, invoice_id)
        return Invoice(invoice_id, self.new_id("il"), reason, amount, self.now, payment)

    def _pays(self, invoice: Invoice, sub: Subscription) -> None:
        """One sale, told by up to six events."""
        unpaid = objects.invoice(invoice, sub, self.person, self.shape, paid=False)
        paid = objects.invoice(invoice, sub, self.person, self.shape, paid=True)
        self.emit("invoice.created", unpaid)
        self.emit("invoice.finalized", unpaid)
        if invoice.payment is not None:
            self._emit_payment(invoice.payment)
        self.emit("invoice.paid", paid)
        self.emit("invoice.payment_succeeded", paid)

    def _emit_payment(self, payment: Payment) -> None:
        self.emit("charge.succeeded", objects.charge(payment, self.shape))
        self.emit("payment_intent.succeeded", objects.payment_intent(payment, self.shape))

    def _completes_session(self, sold: tuple[Subscription, Invoice], payment_status: str) -> None:
        session = sessions.Session(self.new_id("cs_test"), self.person, self.customer, self.now, sold)
        self.emit("checkout.session.completed", sessions.session(session, payment_status, self.shape))

    def _ends(self, sub: Subscription) -> None:
        sub.status, sub.ended_at = "canceled", self.now
        self.emit("customer.subscription.deleted", self._subscription_object(sub))
        self.truth.active.discard(sub.plan.offer)

    def _emit_subscription_update(self, sub: Subscription, before: StripeDict) -> None:
        """With the old values of every key that changed, arrays whole, as Stripe gives them."""
        after = self._subscription_object(sub)
        previous = {key: value for key, value in before.items() if value != after[key]}
        self.emit("customer.subscription.updated", after, previous)

    def _subscription_object(self, sub: Subscription, status: str | None = None) -> StripeDict:
        thing = objects.subscription(sub, self.shape)
        return thing if status is None else thing | {"status": status}

    def _customer_object(self, customer: str) -> StripeDict:
        return objects.customer(customer, self.person, self.now)


def _after(seconds: int, interval: str) -> int:
    """A month or a year later, on the same day or the month's last."""
    start = datetime.fromtimestamp(seconds, UTC)
    year, month = (start.year + 1, start.month) if interval == "year" else divmod(start.year * 12 + start.month, 12)
    if interval == "month":
        month += 1
    day = min(start.day, calendar.monthrange(year, month)[1])
    return int(start.replace(year=year, month=month, day=day).timestamp())
