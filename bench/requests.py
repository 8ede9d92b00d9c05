"""What Kit is asked for each purchase, renewal and redelivery, and for each Stripe event of a whole sample history.

`python -m bench.requests [--quick]`. Counted in the journal of the simulated Kit, by kind. No clock is in it: the log
and the speed of the machine decide only which wishes of one subscriber are served together.
"""

import asyncio
import re
import tempfile
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import uvloop

from bench.figures import report
from bench.options import is_quick
from bench.up import Running, started
from streams.kit.simulator.journal import Entry
from streams.samples import history, send
from tests import stripe_events as stripe
from tests.flow.system import SECRET

FIGURE = "kit_requests"
CUSTOMERS, QUICK_CUSTOMERS = 50, 5
HISTORY_CUSTOMERS, QUICK_HISTORY_CUSTOMERS = 100, 10
GOAL_OF_PURCHASE = {"upsert": 1, "tag": 2, "sequence": 1}
"""Of the example catalogue's Pro offer: the tags `customer` and `pro-member`, and one sequence."""
KINDS = {
    "upsert": r"POST /v4/subscribers",
    "update": r"PUT /v4/subscribers/\d+",
    "look-up": r"GET /v4/subscribers.*",
    "tag": r"POST /v4/tags/\d+/subscribers.*",
    "untag": r"DELETE /v4/.*",
    "sequence": r"POST /v4/sequences/\d+/subscribers.*",
    "names": r"(GET|POST) /v4/(tags|custom_fields|sequences)",
}

Counts = Mapping[str, int]
Story = Callable[[str], list[stripe.Event]]


async def main() -> None:
    quick = is_quick(__doc__)
    customers = [f"{number:03}" for number in range(QUICK_CUSTOMERS if quick else CUSTOMERS)]
    with tempfile.TemporaryDirectory(prefix="millrace-bench-") as folder:
        async with started(f"sqlite:///{folder}/log.db", Path(folder)) as running:
            _say("first purchase ever", 1, await _told(running, _purchase, ["first"]), "with all names looked up")
            counts = await _told(running, _purchase, customers)
            _say("purchase", len(customers), counts, goal=GOAL_OF_PURCHASE)
            _say("renewal", len(customers), await _told(running, _renewal, customers))
            again = await _told(running, lambda one: _purchase(one) + _renewal(one), customers)
            _say("redelivery", len(customers), again, goal={})
            events = [told.event for told in history(1, QUICK_HISTORY_CUSTOMERS if quick else HISTORY_CUSTOMERS)]
            _say("sample history, per Stripe event", len(events), await _sent(running, events))


async def _told(running: Running, story: Story, customers: Sequence[str]) -> Counts:
    """All customers at once, each one's events one after the other, as Stripe sends them."""
    running.kit.journal.clear()
    await asyncio.gather(*(running.system.post_all(story(customer)) for customer in customers))
    return await _counted(running)


async def _sent(running: Running, events: Sequence[Any]) -> Counts:
    running.kit.journal.clear()
    answers = await send(f"{running.system.edge}/webhooks/stripe", SECRET, events)
    assert answers.sent == len(events)
    return await _counted(running)


async def _counted(running: Running) -> Counts:
    await running.system.settled()
    return Counter(kind_of(entry) for entry in running.kit.journal.entries)


def kind_of(entry: Entry) -> str:
    asked = f"{entry.method} {entry.path}"
    return next((kind for kind, pattern in KINDS.items() if re.fullmatch(pattern, asked)), asked)


def _purchase(customer: str) -> list[stripe.Event]:
    """A subscription by Checkout."""
    ours = {"customer_id": f"cus_{customer}", "subscription_id": f"sub_{customer}"}
    email = f"{customer}@example.com"
    return [
        stripe.customer_created(customer_id=f"cus_{customer}", email=email),
        stripe.subscription_created(**ours),
        stripe.invoice_paid(**ours, invoice_id=f"in_{customer}_0", email=email),
        stripe.subscription_session_completed(**ours, session_id=f"cs_{customer}", email=email),
    ]


def _renewal(customer: str) -> list[stripe.Event]:
    start, end = stripe.T0 + stripe.MONTH, stripe.T0 + 2 * stripe.MONTH
    ours = {"customer_id": f"cus_{customer}", "subscription_id": f"sub_{customer}"}
    period = {"at": start, "period_start": start, "period_end": end}
    before = {"current_period_start": stripe.T0, "current_period_end": start}
    return [
        stripe.subscription_updated(**ours, **period, previous=before),
        stripe.invoice_paid(**ours, **period, invoice_id=f"in_{customer}_1", billing_reason="subscription_cycle"),
    ]


def _say(what: str, times: int, counts: Counts, note: str = "", goal: Counts | None = None) -> None:
    values: dict[str, object] = {"times": times, "each": round(sum(counts.values()) / times, 3)}
    values["by_kind"] = {kind: round(count / times, 3) for kind, count in sorted(counts.items())}
    if goal is not None:
        values["goal_by_kind"] = goal
    if note:
        values["note"] = note
    report(FIGURE, what=what, **values)


if __name__ == "__main__":
    uvloop.run(main())
