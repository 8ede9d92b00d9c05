"""Events a second of the customers agent, beside an agent with an empty core and beside a plain Faust agent.

`python -m bench.agents [--quick]`. The empty core has the same engine and makes the same reads, writes and sends, so
its ratio is what the core costs; the plain agent is at least once only. One worker process at a time, alternating, each
with a topic and group of its own, filled before it starts. What each contender is: bench/agent_worker.py.
"""

from collections.abc import Mapping, Sequence

from bench.agent_worker import EMBEDDED, PARTITIONS, Speed
from bench.child import child
from bench.figures import left_out, report, spread
from bench.kafka import kafka_url
from bench.options import is_quick
from tests.kafka_jars import NoKafka

FIGURE = "customers_agent_events_per_second"
EVENTS, ROUNDS = 5000, 3
QUICK_EVENTS, QUICK_ROUNDS = 1000, 1
GOALS = {"empty": 0.8, "plain": 1.0}


def main() -> None:
    events, rounds = (QUICK_EVENTS, QUICK_ROUNDS) if is_quick(__doc__) else (EVENTS, ROUNDS)
    _compare("embedded", EMBEDDED, ("millrace", "empty"), events, rounds)
    try:
        with kafka_url() as url:
            _compare("kafka", url, ("millrace", "empty", "plain"), events, rounds)
    except NoKafka as missing:
        left_out(f"{FIGURE} on Kafka", str(missing))


def _compare(log: str, where: str, kinds: Sequence[str], events: int, rounds: int) -> None:
    played = [{kind: _speed(kind, where, events) for kind in kinds} for _ in range(rounds)]
    ratios = {
        f"ratio_to_{kind}": spread(
            [each["millrace"].events_per_second / each[kind].events_per_second for each in played]
        )
        for kind in kinds[1:]
    }
    cpu = {
        f"cpu_to_{kind}": spread([each["millrace"].cpu_us / each[kind].cpu_us for each in played]) for kind in kinds[1:]
    }
    goals = {f"goal_ratio_to_{kind}": GOALS[kind] for kind in kinds[1:]}
    report(
        FIGURE,
        log=log,
        events=events,
        partitions=PARTITIONS,
        rounds=rounds,
        **ratios,
        **goals,
        **cpu,
        **{kind: _spreads([each[kind] for each in played]) for kind in kinds},
    )


def _speed(kind: str, where: str, events: int) -> Speed:
    with child("bench.agent_worker", kind, where, str(events)) as worker:
        return Speed(*worker.heard())


def _spreads(speeds: Sequence[Speed]) -> Mapping[str, Mapping[str, float]]:
    return {name: spread([getattr(speed, name) for speed in speeds], 0) for name in Speed._fields}


if __name__ == "__main__":
    main()
