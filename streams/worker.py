"""A worker: the Faust app with its two agents, and the Kit dispatcher that listens to one of them.

Put together here, run by the roles (`up`, `worker`). `run` returns the exit code of the process.
"""

import asyncio
from collections.abc import Iterator

from aiohttp import web
from prometheus_client import CollectorRegistry

from processors import customer, subscriber
from processors.customer import CustomersState
from processors.record import Topic
from processors.subscriber import Subscriber
from streams.app import MillraceApp, add_agent, create_app
from streams.kit.budget import RollingBudget
from streams.kit.client import KitClient
from streams.kit.dispatcher import Dispatcher
from streams.log import Log
from streams.reconsider import Reconsiderer
from streams.running import run_until_stopped
from streams.settings import Settings
from streams.topics import CUSTOMERS_TABLE, SUBSCRIBERS_TABLE
from streams.transactions.agent import Agent
from streams.worker_metrics import WorkerMetrics

CUSTOMERS: Agent[CustomersState] = Agent(
    name="customers",
    source=Topic.CUSTOMER_EVENTS,
    table=CUSTOMERS_TABLE,
    decode=customer.decode_customers_state,
    encode=customer.encode_customers_state,
    step=customer.advance,
    help="Folds what Stripe says of a customer, and decides what should hold for its subscriber in Kit.",
)
SUBSCRIBERS: Agent[Subscriber] = Agent(
    name="subscribers",
    source=Topic.SUBSCRIBER_EVENTS,
    table=SUBSCRIBERS_TABLE,
    decode=subscriber.decode_subscriber,
    encode=subscriber.encode_subscriber,
    step=subscriber.advance,
    help="Unites what customers want of a subscriber with what Kit is known to hold.",
)


class Worker:
    """Created in the loop that runs it, on a log that is started."""

    def __init__(self, settings: Settings, log: Log, registry: CollectorRegistry) -> None:
        assert settings.kit_api_key is not None, "the role requires it"
        self._app: MillraceApp = create_app(settings, log)
        self._client = KitClient(settings.kit_api_base, settings.kit_api_key)
        self._dispatcher = Dispatcher(
            settings,
            log,
            self._client,
            RollingBudget(settings.kit_requests_per_minute),
            lookup=self._subscriber,
            on_crash=self._crash,
        )
        self._reconsiderer = Reconsiderer(log, self._states_of_customers, on_crash=self._crash)
        self._customers = add_agent(self._app, CUSTOMERS, self._reconsiderer)
        self._subscribers = add_agent(self._app, SUBSCRIBERS, self._dispatcher)
        self._stop = asyncio.Event()
        registry.register(WorkerMetrics(self._app, self._dispatcher))

    @property
    def web_application(self) -> web.Application:
        """Faust's web server; routes are added before the worker runs."""
        application: web.Application = self._app.web.web_app
        return application

    @property
    def ops_port(self) -> int:
        return int(self._app.conf.web_port)

    def not_ready(self) -> str | None:
        """None, or why this worker does not process anything now."""
        if self._dispatcher.status().stopped:
            return "Kit refuses the API key (401): check MILLRACE_KIT_API_KEY and the account's plan"
        if self._app.rebalancing or self._app.tables.recovery.in_recovery or not self._app.takeovers:
            return "partitions are being assigned or tables recovered"
        return None

    async def run(self) -> int:
        """Until `stop`, or until the app crashes: then its exit code."""
        await self._dispatcher.start()
        draining = asyncio.create_task(self._drain_when_stopped(), name="drain")
        try:
            return await run_until_stopped(self._app, self._stop)
        finally:
            self._stop.set()
            await draining

    async def _drain_when_stopped(self) -> None:
        """Beside the app, which ends its lanes meanwhile: together they have ten seconds, not one after the other."""
        await self._stop.wait()
        await self._reconsiderer.stop()
        await self._dispatcher.stop()
        await self._client.close()

    async def stopped(self, running: "asyncio.Task[int]") -> int:
        """Drains; may be called again."""
        self._stop.set()
        return await running

    def _subscriber(self, key: str) -> Subscriber | None:
        return self._subscribers.committed_state(key)

    def _states_of_customers(self, partition: int) -> Iterator[tuple[str, CustomersState]]:
        return self._customers.committed_states(partition)

    def _crash(self, error: BaseException) -> object:
        return asyncio.ensure_future(self._app.crash(error))
