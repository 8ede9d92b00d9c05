"""A whole sample history: a seed in, every event in the order it happened out; and what it should lead to in Kit.

Called by `millrace send-sample`, by tests and by benchmarks. Pure: the same seed writes the same bytes, and what
happens to the first buyers does not change when there are more.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass

from processors.ids import normalised_email
from streams.samples import objects
from streams.samples.objects import Shape
from streams.samples.shop import ATLAS, PLANS, Plan, person
from streams.samples.stories import STORIES
from streams.samples.teller import DAY_SECONDS, SampleEvent, Teller, Truth

START = 1_736_150_400
"""2025-01-06 08:00 UTC: long enough ago for every story to be over."""

STARTS_WITHIN_DAYS = 28

# What catalogue.example.toml says, as far as this version acts on it: `while.active`, `while.owned`, `when.purchased`.
TAG_OF_ANY_ACTIVE = "customer"
TAG_OF_ACTIVE = {"Starter": "starter-member", "Pro": "pro-member", "Team": "team-member"}
TAG_OF_OWNED = {"River Atlas": "atlas-owner"}
SEQUENCE_OF_PURCHASED = {"Starter": "Welcome to Starter", "Pro": "Welcome to Pro", "River Atlas": "Atlas reader"}


@dataclass(frozen=True, slots=True)
class CustomerTruth:
    """What Kit holds for one email in the end, by name."""

    tags: frozenset[str]
    sequences: frozenset[str]


def history(seed: int, customers: int, *, start: int = START) -> list[SampleEvent]:
    """In the order it happened, from `start` (seconds since the epoch) on; ids are unique over all seeds."""
    told = _shop_opens(seed, start)
    for number in range(customers):
        told += _told(seed, number, start).events
    # Stable: what one buyer does within a second stays in its order.
    return sorted(told, key=lambda event: event.created)


def expected(seed: int, customers: int) -> Mapping[str, CustomerTruth]:
    """By normalised email, from what the stories say. Who holds nothing and was enrolled in nothing is not in Kit
    because of this history, so is not here.
    """
    truths: dict[str, CustomerTruth] = {}
    for number in range(customers):
        teller = _told(seed, number, START)
        truth = _in_kit(teller.truth)
        if truth.tags or truth.sequences:
            truths[normalised_email(teller.person.email)] = truth
    return truths


def _told(seed: int, number: int, start: int) -> Teller:
    """One buyer's story: each story once, after that by chance."""
    rng = random.Random(f"millrace sample {seed} {number}")  # noqa: S311 - chance for stories, not for secrets
    story = STORIES[number] if number < len(STORIES) else rng.choice(STORIES)
    begins = start + DAY_SECONDS + rng.randrange(STARTS_WITHIN_DAYS * DAY_SECONDS)
    teller = Teller(rng, rng.choice(tuple(Shape)), person(rng, seed, number), begins)
    story(teller)
    return teller


def _shop_opens(seed: int, start: int) -> list[SampleEvent]:
    """The products with their prices, and what happens in every account and concerns no buyer."""
    rng = random.Random(f"millrace sample {seed} shop")  # noqa: S311 - as above
    teller = Teller(rng, Shape.CLASSIC, person(rng, seed, -1), start)
    products_told: set[str] = set()
    for sold in (*PLANS, ATLAS):
        if sold.product not in products_told:
            products_told.add(sold.product)
            teller.emit("product.created", objects.product(sold, teller.now))
        teller.emit("price.created", objects.price(sold))
        if isinstance(sold, Plan):
            teller.emit("plan.created", objects.plan_of(sold))
    teller.waits(days=2)
    payout = {"id": teller.new_id("po"), "object": "payout", "amount": 4200, "currency": "usd", "status": "paid"}
    teller.emit("payout.paid", payout)
    teller.emit("balance.available", {"object": "balance", "available": [], "pending": [], "livemode": False})
    teller.emit("a.type.that.does.not.exist.yet", {"id": teller.new_id("new"), "object": "a_new_kind"})
    return teller.events


def _in_kit(truth: Truth) -> CustomerTruth:
    tags = {TAG_OF_ACTIVE[offer] for offer in truth.active} | {TAG_OF_OWNED[offer] for offer in truth.owned}
    if truth.active:
        tags.add(TAG_OF_ANY_ACTIVE)
    sequences = {SEQUENCE_OF_PURCHASED[offer] for offer in truth.purchased if offer in SEQUENCE_OF_PURCHASED}
    return CustomerTruth(frozenset(tags), frozenset(sequences))
