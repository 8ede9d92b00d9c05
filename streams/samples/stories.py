"""What buyers do: each story is one buyer's life, told with the verbs of streams/samples/teller.py.

A new story is one function and one line in STORIES; `history` gives every story to somebody.
"""

from collections.abc import Callable

from streams.samples.shop import ATLAS, PRO, PRO_YEARLY, STARTER, TEAM
from streams.samples.teller import Teller

RENEWALS_MAX = 4


def member_renews(teller: Teller) -> None:
    teller.becomes_customer()
    teller.attaches_card()
    member = teller.subscribes(teller.rng.choice((STARTER, PRO)))
    for _ in range(teller.rng.randint(1, RENEWALS_MAX)):
        teller.renews(member)


def yearly_member_renews(teller: Teller) -> None:
    teller.becomes_customer()
    teller.renews(teller.subscribes(PRO_YEARLY))


def trial_becomes_member(teller: Teller) -> None:
    teller.becomes_customer()
    teller.renews(teller.subscribes(PRO, trial_days=14))


def trial_is_running(teller: Teller) -> None:
    teller.becomes_customer()
    teller.subscribes(STARTER, trial_days=30)


def trial_ends_unpaid(teller: Teller) -> None:
    teller.becomes_customer()
    trial = teller.subscribes(PRO, trial_days=14)
    teller.waits(days=3)
    teller.schedules_cancellation(trial)
    teller.reaches_scheduled_end(trial)


def team_buys_seats(teller: Teller) -> None:
    teller.becomes_customer()
    teller.renews(teller.subscribes(TEAM, quantity=teller.rng.randint(2, 20)))


def member_cancels_at_once(teller: Teller) -> None:
    teller.becomes_customer()
    member = teller.subscribes(STARTER)
    teller.waits(days=10)
    teller.cancels_now(member)


def member_cancels_at_period_end(teller: Teller) -> None:
    teller.becomes_customer()
    member = teller.subscribes(PRO)
    teller.renews(member)
    teller.waits(days=5)
    teller.schedules_cancellation(member)
    teller.reaches_scheduled_end(member)


def member_is_deleted(teller: Teller) -> None:
    teller.becomes_customer()
    member = teller.subscribes(STARTER)
    teller.waits(days=20)
    teller.cancels_now(member)
    teller.is_deleted()


def member_comes_back_as_another_customer(teller: Teller) -> None:
    teller.becomes_customer()
    member = teller.subscribes(STARTER)
    teller.waits(days=12)
    teller.cancels_now(member)
    teller.waits(days=40)
    teller.becomes_customer()
    teller.subscribes(PRO)


def customer_buys_by_link(teller: Teller) -> None:
    teller.becomes_customer()
    teller.buys(ATLAS, by_link=True)


def guest_buys(teller: Teller) -> None:
    teller.buys(ATLAS, by_link=False)


def guest_pays_by_bank(teller: Teller) -> None:
    teller.buys(ATLAS, by_link=True, clears_after_days=4)


def guest_becomes_member(teller: Teller) -> None:
    teller.buys(ATLAS, by_link=True)
    teller.waits(days=9)
    teller.becomes_customer()
    teller.subscribes(STARTER)


def visitor_buys_nothing(teller: Teller) -> None:
    teller.becomes_customer()
    teller.attaches_card()


STORIES: tuple[Callable[[Teller], None], ...] = (
    member_renews,
    guest_buys,
    trial_becomes_member,
    customer_buys_by_link,
    member_cancels_at_period_end,
    yearly_member_renews,
    team_buys_seats,
    guest_pays_by_bank,
    trial_is_running,
    member_cancels_at_once,
    member_comes_back_as_another_customer,
    guest_becomes_member,
    trial_ends_unpaid,
    member_is_deleted,
    visitor_buys_nothing,
)
