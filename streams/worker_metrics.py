"""What Prometheus sees of a worker: lanes, transactions, work for Kit. Read at each scrape, kept nowhere."""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.app import MillraceApp
from streams.kit.dispatcher import Dispatcher


class WorkerMetrics(Collector):
    def __init__(self, app: MillraceApp, dispatcher: Dispatcher) -> None:
        self._app = app
        self._dispatcher = dispatcher

    def collect(self) -> Iterator[Metric]:
        yield from self._of_agents()
        yield from self._of_kit()

    def _of_agents(self) -> Iterator[Metric]:
        by_agent = ["agent"]
        partitions = GaugeMetricFamily("millrace_agent_partitions", "Partitions held by this worker.", labels=by_agent)
        records = CounterMetricFamily("millrace_agent_records", "Records committed.", labels=by_agent)
        transactions = CounterMetricFamily("millrace_agent_transactions", "Transactions committed.", labels=by_agent)
        stale = CounterMetricFamily("millrace_agent_stale", "Records fetched under a former hold.", labels=by_agent)
        repeated = CounterMetricFamily("millrace_agent_repeated", "Records delivered again.", labels=by_agent)
        refetched = CounterMetricFamily("millrace_agent_refetched", "Times a lost record was sought.", labels=by_agent)
        letters = CounterMetricFamily(
            "millrace_agent_dead_letters", "Records buried as dead letters.", labels=["agent"]
        )
        for name, engine in self._app.engines.items():
            counts = engine.counts
            partitions.add_metric([name], len(engine.partitions))
            records.add_metric([name], counts.records)
            transactions.add_metric([name], counts.transactions)
            stale.add_metric([name], counts.stale)
            repeated.add_metric([name], counts.repeated)
            refetched.add_metric([name], counts.refetched)
            letters.add_metric([name], counts.dead_letters)
        yield from (partitions, records, transactions, stale, repeated, refetched, letters)

    def _of_kit(self) -> Iterator[Metric]:
        now = self._dispatcher.status()
        yield CounterMetricFamily("millrace_kit_requests", "Requests made to Kit.", value=now.requests)
        yield CounterMetricFamily("millrace_kit_refused", "Requests Kit refused with 429.", value=now.refused_429)
        yield GaugeMetricFamily("millrace_kit_waiting", "Subscribers whose work waits.", value=now.waiting)
        yield GaugeMetricFamily(
            "millrace_kit_oldest_waiting_seconds", "How long the oldest has waited.", value=now.oldest_waiting_seconds
        )
        yield GaugeMetricFamily("millrace_kit_line_stopped", "1 while Kit refuses the key.", value=int(now.stopped))
        yield GaugeMetricFamily(
            "millrace_kit_budget_per_minute", "Requests allowed in any minute.", value=now.budget_per_minute
        )
