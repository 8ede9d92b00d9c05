"""A real Kafka for tests, found or started when the first test asks for it, and gone when the run ends.

In this order: `MILLRACE_TEST_KAFKA_BOOTSTRAP` (host:port), Docker, Apache Kafka's jars with a local Java, the same with
a Java from PyPI. Where none works, the tests that ask are skipped and counted; `MILLRACE_TEST_KAFKA=required` makes
that an error. tests/conftest.py hands these fixtures to every test:

- `kafka_bootstrap`: one broker for the whole run, `host:port`.
- `kafka_broker`: a broker of the test's own, which it may stop and start (they block: `asyncio.to_thread`).
- `log_url`, `topic_prefix`: a fresh log, once embedded and once on Kafka; `log_settings` has both for `Settings`.
"""

import contextlib
import os
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NoReturn, Protocol, TypeVar

import pytest

from tests.kafka_jars import Distribution, NoKafka, distribution
from tests.kafka_process import DidNotStart, JarBroker
from tests.parts import skip_without

REMEDY = "start Docker, or install Java and Maven, or set MILLRACE_TEST_KAFKA_BOOTSTRAP"
START_TRIES = 3


class Broker(Protocol):
    """A running broker. `stop` and `start` keep its port and its data, and return when it is down or up."""

    @property
    def bootstrap(self) -> str: ...

    def start(self) -> None: ...

    def stop(self) -> None: ...

    def close(self) -> None: ...


@pytest.fixture(scope="session")
def kafka_bootstrap() -> Iterator[str]:
    given = os.environ.get("MILLRACE_TEST_KAFKA_BOOTSTRAP")
    if given:
        yield given
        return
    broker = _started_broker()
    yield broker.bootstrap
    broker.close()


@pytest.fixture
def kafka_broker() -> Iterator[Broker]:
    broker = _started_broker()
    yield broker
    broker.close()


@pytest.fixture(scope="session")
def kafka_jars() -> Distribution:
    """For a broker with listeners of its own (kafka_process.JarBroker)."""
    try:
        return distribution()
    except NoKafka as error:
        without_kafka([str(error)])


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.kafka)])
def log_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A value for MILLRACE_BROKER; a test that takes it runs on both logs. On Kafka it goes with `topic_prefix`."""
    if request.param == "kafka":
        return f"kafka://{request.getfixturevalue('kafka_bootstrap')}"
    return f"sqlite:///{tmp_path / 'log.db'}"


@pytest.fixture
def topic_prefix() -> str:
    """A value for MILLRACE_TOPIC_PREFIX that no other test has: tests share one broker."""
    return f"t{uuid.uuid4().hex[:10]}."


@pytest.fixture
def log_settings(log_url: str, topic_prefix: str, tmp_path: Path) -> dict[str, Any]:
    """The part of `Settings(...)` that gives a test a log and a data directory of its own."""
    return {"broker": log_url, "topic_prefix": topic_prefix, "data_dir": tmp_path / "data"}


def without_kafka(reasons: list[str]) -> NoReturn:
    """Skips the test that asked, or fails it where Kafka is required."""
    found = ", ".join(reasons)
    if os.environ.get("MILLRACE_TEST_KAFKA") == "required":
        pytest.fail(f"MILLRACE_TEST_KAFKA=required, but there is no Kafka for tests: {found}. {REMEDY}.", pytrace=False)
    skip_without("Kafka", f"{REMEDY} ({found})")


def _started_broker() -> Broker:
    from tests.kafka_docker import DockerBroker  # noqa: PLC0415 - Docker's client takes half a second to import

    if _failed_before:
        without_kafka(_failed_before)
    reasons: list[str] = []
    for way in (lambda: _started(DockerBroker()), lambda: started_jar_broker(distribution())):
        try:
            return way()
        except NoKafka as error:
            reasons.append(str(error))
    _failed_before.extend(reasons)
    without_kafka(reasons)


_failed_before: list[str] = []
"""Why no broker could be had: found out once in a run, not by every test that asks."""


def started_jar_broker(kafka: Distribution, **arguments: Any) -> JarBroker:
    """A broker on other ports where the first ones were taken in between. Raises DidNotStart: no part is missing then,
    so that is an error and no reason to skip.
    """
    for _ in range(START_TRIES - 1):
        with contextlib.suppress(DidNotStart):
            return _started(JarBroker(kafka, **arguments))
    return _started(JarBroker(kafka, **arguments))


B = TypeVar("B", bound=Broker)


def _started(broker: B) -> B:
    try:
        broker.start()
    except BaseException:
        broker.close()
        raise
    return broker
