"""What the sample shop sells and who buys there: the products of catalogue.example.toml, and people at example.com."""

import random
import string
from dataclasses import dataclass
from typing import Literal

CURRENCY = "usd"
_ALPHABET = string.ascii_letters + string.digits
_FIRST_NAMES = ("Ada", "Bruno", "Chiara", "Dmitri", "Elif", "Farid", "Grete", "Hana", "Ines", "Jonas", "Kofi", "Lucía")
_LAST_NAMES = (
    "Abel",
    "Berg",
    "Costa",
    "Dahl",
    "Egger",
    "Frank",
    "García",
    "Huber",
    "Ivanov",
    "Jensen",
    "Klein",
    "Lund",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """A recurring price. `offer` is its offer's name in catalogue.example.toml."""

    offer: str
    product: str
    price: str
    unit_amount: int
    interval: Literal["month", "year"]


STARTER = Plan("Starter", "prod_Starter", "price_StarterMonthly", 900, "month")
PRO = Plan("Pro", "prod_Pro", "price_ProMonthly", 2900, "month")
PRO_YEARLY = Plan("Pro", "prod_Pro", "price_ProYearly", 29_000, "year")
TEAM = Plan("Team", "prod_Team", "price_TeamMonthly", 1900, "month")
PLANS = (STARTER, PRO, PRO_YEARLY, TEAM)


@dataclass(frozen=True, slots=True)
class OneOff:
    """Something sold once, by a payment link or by a Checkout session that says so in its metadata."""

    offer: str
    product: str
    price: str
    unit_amount: int
    payment_link: str
    metadata: tuple[tuple[str, str], ...]


ATLAS = OneOff("River Atlas", "prod_Atlas", "price_Atlas", 4900, "plink_Atlas", (("offer", "atlas"),))


@dataclass(frozen=True, slots=True)
class Person:
    name: str
    email: str


def person(rng: random.Random, seed: int, number: int) -> Person:
    """Nobody has the email of another, whatever the seeds; the names are not always ASCII."""
    name = f"{rng.choice(_FIRST_NAMES)} {rng.choice(_LAST_NAMES)}"
    return Person(name=name, email=f"buyer-{seed}-{number}@example.com")


def new_id(rng: random.Random, prefix: str) -> str:
    """As Stripe's look: `evt_1Abc…`."""
    return f"{prefix}_{''.join(rng.choices(_ALPHABET, k=24))}"
