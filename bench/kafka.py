"""A real Kafka for a benchmark, found as the tests find theirs (tests/broker.py), and gone when the benchmark ends.

The same broker properties as in the tests: one node, loopback, flushed as Kafka flushes by default.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.broker import REMEDY, Broker, started_jar_broker
from tests.kafka_docker import DockerBroker
from tests.kafka_jars import NoKafka, distribution


@contextmanager
def kafka_url() -> Iterator[str]:
    """A value for MILLRACE_BROKER. Raises NoKafka, which says what would bring one."""
    given = os.environ.get("MILLRACE_TEST_KAFKA_BOOTSTRAP")
    if given:
        yield f"kafka://{given}"
        return
    broker = _started_broker()
    try:
        yield f"kafka://{broker.bootstrap}"
    finally:
        broker.close()


def _started_broker() -> Broker:
    ways: tuple[Callable[[], Broker], ...] = (_in_docker, lambda: started_jar_broker(distribution()))
    reasons = []
    for way in ways:
        try:
            return way()
        except NoKafka as error:
            reasons.append(str(error))
    raise NoKafka(f"no Kafka: {', '.join(reasons)}; {REMEDY}")


def _in_docker() -> Broker:
    broker = DockerBroker()
    try:
        broker.start()
    except BaseException:
        broker.close()
        raise
    return broker
