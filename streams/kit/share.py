"""This worker's share of Kit's budget: seeded when it gets partitions, less at once when it gives some up.

The dispatcher tells it what the worker holds; it tells the budget. It also pays for what no subscriber caused (lists
and creations of tags and fields), which is written into the log first, as intents are.
"""

import asyncio
import time
from collections.abc import Callable, Collection

import structlog

from processors.messages import BudgetSpent
from streams.errors import Unreachable
from streams.kit.appending import Appender
from streams.kit.budget import Reservation, RollingBudget, share_of
from streams.kit.line import backoff_seconds
from streams.kit.spending import Spent, spent_lately
from streams.log import Log

logger = structlog.get_logger(__name__)


class Share:
    """`held`: the partitions whose lanes are open, as the dispatcher knows them. `me`: how ids of own intents begin."""

    def __init__(
        self,
        log: Log,
        appender: Appender,
        budget: RollingBudget,
        held: Collection[int],
        *,
        partitions: int,
        me: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._log = log
        self._appender = appender
        self._budget = budget
        self._held = held
        self._partitions = partitions
        self._me = me
        self._clock = clock
        budget.hold(0)

    async def grow(self) -> None:
        """After partitions were gained. Until it is done, no more than the share from before is spent."""
        while True:
            held = frozenset(self._held)
            spent = await self._spent_lately(held)
            if held == frozenset(self._held):
                break
        self._budget.seed(spent.inherited, spent.others)
        share = self._now()
        self._budget.hold(share)
        if held and not share:
            logger.error(
                "this worker's share of Kit's budget is nothing: raise MILLRACE_KIT_REQUESTS_PER_MINUTE to at least "
                "MILLRACE_PARTITIONS, or run fewer workers",
                action="kit_no_share",
            )

    def shrink(self) -> None:
        """After a partition was given up."""
        self._budget.hold(min(self._budget.share, self._now()))

    async def pay_unasked(self) -> Reservation:
        """Waits until one such request may be made, and has been written down."""
        paid = await self._budget.take(1)
        partition = min(self._held, default=0)  # any will do: a budget is seeded from all of them
        try:
            spent = BudgetSpent(requests=1, planned_ms=int(self._clock() * 1000))
            await self._appender.append(f"budget:{partition}", spent, partition)
        except BaseException:
            paid.release()
            raise
        return paid

    async def _spent_lately(self, held: frozenset[int]) -> Spent:
        attempts = 0
        while True:
            try:
                return await spent_lately(self._log, held, self._clock(), self._me)
            except Unreachable:
                await asyncio.sleep(backoff_seconds(attempts))
                attempts += 1

    def _now(self) -> int:
        return share_of(self._budget.requests_per_minute, self._held, self._partitions)
