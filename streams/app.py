"""The Faust app on either log: what is set, and the hooks by which the transaction engine follows assignments.

`create_app` → `add_agent` for each agent → `run_until_stopped`. The app must be created in the loop that runs it.
"""

import asyncio
import os
import socket
from typing import Any

import faust
from faust.types import TP

from processors.record import S
from streams import topics
from streams.data_dir import Part, claim_part
from streams.embedded.log import EmbeddedLog
from streams.kafka.connection import SCHEME as KAFKA_SCHEME
from streams.kafka.connection import faust_arguments
from streams.log import Log
from streams.settings import Settings
from streams.transactions.agent import Agent
from streams.transactions.embedded import EmbeddedTransactions
from streams.transactions.engine import Engine
from streams.transactions.kafka import KafkaTransactions
from streams.transactions.kafka_consumer import KafkaTransport
from streams.transactions.listener import LaneListener
from streams.transactions.recovery import KafkaTables, LaneTables
from streams.transactions.table_store import table_store
from streams.transactions.transactor import Transactions

SESSION_SECONDS = 10.0
"""A worker that is silent for this long has lost its partitions: what a takeover after a crash takes (Faust's default
is 60). Heartbeats come from a thread of their own, so a long step costs none.
"""

SESSION_VARIABLE = "MILLRACE_TEST_SESSION_SECONDS"
"""Tests that kill whole processes wait out one session for each: this makes it shorter (docs/testing.md)."""

REQUEST_SECONDS = 20.0
"""Above the session, as Faust demands; a broker that does not answer for this long is gone."""

ROCKSDB_OPTIONS = {
    "driver": "rocksdict",
    "block_cache_size": 16 * 1024 * 1024,
    "write_buffer_size": 8 * 1024 * 1024,
    "max_open_files": 128,
}
"""For each partition of each table, which is a database of its own; Faust's block cache alone would be 2 GiB each."""


class MillraceApp(faust.App):  # type: ignore[misc] # Faust is untyped
    """Faust's app with lanes: they are opened before Faust handles an assignment, and closed before it lets one go."""

    settings: Settings
    event_log: Log
    """Millrace's log; `app.log` is Faust's logger."""
    transactions: Transactions
    engines: dict[str, Engine[Any]]
    our_agents: dict[str, Agent[Any]]
    source_names: set[str]
    takeovers: int
    """Counts the times that partitions were taken over; a committed offset read before the last one is stale."""
    crash_noticed: asyncio.Event
    part: Part | None

    def _new_transport(self) -> Any:
        if self.settings.broker.startswith(KAFKA_SCHEME):
            return KafkaTransport(self.conf.broker_consumer, self)
        return super()._new_transport()

    async def _on_partitions_assigned(self, assigned: set[TP], generation_id: int = 0) -> None:
        if not self.should_stop:
            try:
                await self.close_lanes()  # Faust may skip the revocation
                await self._take_over(assigned, generation_id)
            except Exception as error:  # noqa: BLE001 - whatever it is, aiokafka would only log it and go on
                await self.crash(error)
                return
        await super()._on_partitions_assigned(assigned, generation_id)

    async def _take_over(self, assigned: set[TP], generation_id: int) -> None:
        await asyncio.gather(
            *(
                engine.open(sorted(tp.partition for tp in assigned if tp.topic == engine.source_name), generation_id)
                for engine in self.engines.values()
            )
        )
        self.takeovers += 1

    async def open_lanes(self, generation_id: int) -> None:
        """Called by the recovery when the tables are complete."""
        try:
            for engine in self.engines.values():
                engine.ready(generation_id)
        except Exception as error:  # noqa: BLE001 - a listener's bug, or a table that cannot be read
            await self.crash(error)

    def has_states(self, tp: TP) -> bool:
        """Whether the recovered table holds anything for this source partition."""
        return any(
            engine.has_states(tp.partition) for engine in self.engines.values() if engine.source_name == tp.topic
        )

    async def _on_partitions_revoked(self, revoked: set[TP]) -> None:
        await super()._on_partitions_revoked(revoked)  # stops the flow and clears Faust's queues
        await self.close_lanes()

    async def _stop_consumer(self) -> None:
        await self.close_lanes()
        await super()._stop_consumer()

    async def close_lanes(self) -> None:
        await asyncio.gather(*(engine.close() for engine in self.engines.values()))

    def _crash(self, reason: BaseException) -> None:
        super()._crash(reason)
        self.loop.call_soon_threadsafe(self.crash_noticed.set)  # the consumer's thread crashes the app too


def create_app(settings: Settings, log: Log, *, session_seconds: float | None = None) -> MillraceApp:
    """The app of a worker; agents are added by `add_agent`. Raises WrongSettings, LogUnusable."""
    if session_seconds is None:
        session_seconds = float(os.environ.get(SESSION_VARIABLE, SESSION_SECONDS))
    is_kafka = settings.broker.startswith(KAFKA_SCHEME)
    part = claim_part(settings.data_dir, "worker") if settings.store == "rocksdb" else None
    app = MillraceApp(
        topics.group_name(settings),
        **(faust_arguments(settings) if is_kafka else {"broker": settings.broker}),
        **_store_arguments(settings, part),
        **_web_arguments(settings),
        TableManager=KafkaTables if is_kafka else LaneTables,
        autodiscover=False,
        key_serializer="raw",
        value_serializer="raw",
        topic_partitions=settings.partitions,
        topic_replication_factor=settings.replication,
        topic_disable_leader=True,
        table_standby_replicas=0,
        stream_wait_empty=False,  # the lanes drain; Faust would wait for acks that nobody gives
        consumer_auto_offset_reset="earliest",
        broker_session_timeout=session_seconds,
        broker_heartbeat_interval=session_seconds / 4,
        broker_request_timeout=max(REQUEST_SECONDS, session_seconds),
        cython_optimizations=True,
    )
    app.settings, app.event_log, app.part = settings, log, part
    app.engines, app.our_agents, app.source_names, app.takeovers = {}, {}, set(), 0
    app.crash_noticed = asyncio.Event()
    app.transactions = _transactions(settings, log, app.our_agents)
    return app


def _transactions(settings: Settings, log: Log, agents: dict[str, Agent[Any]]) -> Transactions:
    if settings.broker.startswith(KAFKA_SCHEME):
        return KafkaTransactions(settings, agents)
    assert isinstance(log, EmbeddedLog), "a sqlite broker has an embedded log"
    return EmbeddedTransactions(log, settings, agents)


def _store_arguments(settings: Settings, part: Part | None) -> dict[str, Any]:
    if part is None:
        datadir = settings.data_dir / "worker"  # nothing is kept there; Faust wants one that exists
        datadir.mkdir(parents=True, exist_ok=True)
        return {"store": "memory://", "datadir": datadir}
    return {"store": "rocksdb://", "datadir": part.path}


def _web_arguments(settings: Settings) -> dict[str, Any]:
    return {
        "web_bind": settings.ops_host,
        "web_host": settings.ops_host,
        "web_port": settings.ops_port or _free_port(settings.ops_host),
        # Faust's own pages would show table contents and settings to whoever reaches the port.
        "web_router_enabled": False,
        "web_tables_enabled": False,
        "web_graph_enabled": False,
        "web_stats_enabled": False,
        "web_metrics_enabled": False,
    }


def _free_port(host: str) -> int:
    """Faust refuses port 0, so one is asked for and given back: another process could take it in between."""
    with socket.create_server((host, 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def add_agent(app: MillraceApp, agent: Agent[S], listener: LaneListener[S]) -> Engine[S]:
    """Adds the agent, its topic and its table to the app. To be called before the app starts."""
    settings = app.settings
    source_name = topics.topic_name(settings, agent.source)
    partitions = topics.partitions_of(settings, agent.source)
    table = app.Table(
        agent.table,
        key_type=bytes,
        value_type=bytes,
        partitions=partitions,
        help=agent.help,
        options=dict(ROCKSDB_OPTIONS) if settings.store == "rocksdb" else None,
    )
    engine = Engine(
        agent,
        source_name,
        listener,
        transactions=app.transactions,
        store=lambda: table_store(table.data),
        consumer=lambda: app.consumer,
        partition_of=lambda topic, key: topics.partition_of(key, topics.partitions_of(settings, topic)),
        fail=app.crash,
    )
    app.engines[agent.name] = engine
    app.our_agents[agent.name] = agent
    app.source_names.add(source_name)

    async def hand_over(stream: Any) -> None:
        async for event in stream.noack().events():
            await engine.submit(event.message)

    hand_over.__doc__, hand_over.__qualname__ = agent.help, agent.name  # what Faust shows operators
    source = app.topic(
        source_name,
        key_type=bytes,
        value_type=bytes,
        key_serializer="raw",
        value_serializer="raw",
        partitions=partitions,
        acks=False,  # the transactions commit the offsets
    )
    app.agent(source, name=agent.name)(hand_over)
    return engine
