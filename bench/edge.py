"""Requests a second of the edge, beside a bare aiohttp handler and a naive one that does the same, on both logs.

`python -m bench.edge [--quick]`. All servers run at the same time, one is loaded at a time, in alternating rounds, over
50 connections, with signed events of distinct ids. Ratios are of one and the same round. `cpu_us` is what the server's
process used for one request: steadier than requests a second where others use the machine too.
"""

import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from bench.child import Child, child
from bench.edge_server import PATH, SECRET
from bench.events import Body, customer_events
from bench.figures import left_out, report, spread
from bench.kafka import kafka_url
from bench.options import is_quick
from bench.vegeta import CONNECTIONS, NoVegeta, attack, vegeta, write_targets
from tests.kafka_jars import NoKafka

FIGURE = "edge_requests_per_second"
EVENTS = 2000
ROUNDS, ROUND_SECONDS = 10, 1.2
"""Many and short: what else a machine does comes and goes, and what is compared should see the same of it."""
WARM_UP_SECONDS = 1.0
GOAL_OF_BARE = 0.55
"""Named for Kafka; the embedded log is measured beside it."""
GOAL_OF_NAIVE = 6.0

Contender = tuple[str, str]
"""Kind of server and log; the bare one has none."""
BARE: Contender = ("bare", "")


class Server(NamedTuple):
    process: Child
    targets: Path


class Round(NamedTuple):
    """What one load on one server gave; `cpu_us` is the server's own, for one request."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us: float


def main() -> None:
    rounds, seconds = (1, 1.0) if is_quick(__doc__) else (ROUNDS, ROUND_SECONDS)
    try:
        program = vegeta()
    except NoVegeta as missing:
        left_out(FIGURE, str(missing))
        return
    with ExitStack() as parts:
        folder = Path(parts.enter_context(tempfile.TemporaryDirectory(prefix="millrace-bench-")))
        brokers = _brokers(folder, parts)
        contenders = [("naive", "embedded"), ("millrace", "embedded"), BARE]
        if "kafka" in brokers:
            contenders += [("millrace", "kafka"), ("naive", "kafka")]
        bodies = customer_events(EVENTS)
        servers = {one: _started(one, brokers, bodies, folder, parts) for one in contenders}
        for server in servers.values():
            attack(program, server.targets, WARM_UP_SECONDS)
        played = [{one: _loaded(program, server, seconds) for one, server in servers.items()} for _ in range(rounds)]
    for log in brokers:
        _report(log, played)


def _brokers(folder: Path, parts: ExitStack) -> dict[str, str]:
    """By the log's name; each embedded server gets a file of its own."""
    brokers = {"embedded": f"sqlite:///{folder}/{{kind}}.db"}
    try:
        brokers["kafka"] = parts.enter_context(kafka_url())
    except NoKafka as missing:
        left_out(f"{FIGURE} on Kafka", str(missing))
    return brokers


def _started(
    contender: Contender, brokers: Mapping[str, str], bodies: Sequence[Body], folder: Path, parts: ExitStack
) -> Server:
    kind, log = contender
    broker = brokers.get(log, brokers["embedded"]).format(kind=kind)
    process = parts.enter_context(child("bench.edge_server", kind, broker))
    url = f"http://127.0.0.1:{process.heard()}{PATH}"
    targets = folder / f"{kind}-{log}.json"
    write_targets(targets, url, SECRET, bodies)
    return Server(process, targets)


def _loaded(program: str, server: Server, seconds: float) -> Round:
    before = server.process.cpu_seconds()
    load = attack(program, server.targets, seconds)
    used = server.process.cpu_seconds() - before
    return Round(load.requests_per_second, load.p50_ms, load.p99_ms, used / load.requests * 1e6)


def _report(log: str, played: Sequence[Mapping[Contender, Round]]) -> None:
    of_kind = {"millrace": ("millrace", log), "naive": ("naive", log), "bare": BARE}
    rounds = {kind: [each[contender] for each in played] for kind, contender in of_kind.items()}

    def ratio(kind: str, value: str) -> dict[str, float]:
        pairs = zip(rounds["millrace"], rounds[kind], strict=True)
        return spread([getattr(ours, value) / getattr(theirs, value) for ours, theirs in pairs])

    report(
        FIGURE,
        log=log,
        connections=CONNECTIONS,
        rounds=len(played),
        ratio_to_bare=ratio("bare", "requests_per_second"),
        goal_ratio_to_bare=GOAL_OF_BARE,
        ratio_to_naive=ratio("naive", "requests_per_second"),
        goal_ratio_to_naive=GOAL_OF_NAIVE,
        cpu_to_bare=ratio("bare", "cpu_us"),
        cpu_to_naive=ratio("naive", "cpu_us"),
        **{
            kind: {name: spread([getattr(one, name) for one in of_it], 1) for name in Round._fields}
            for kind, of_it in rounds.items()
        },
    )


if __name__ == "__main__":
    main()
