"""User names, passwords and TLS against a real broker with such listeners."""

import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from processors.record import Source, Topic
from streams.errors import Unreachable
from streams.kafka.log import KafkaLog
from streams.log import NewRecord
from streams.settings import Settings
from tests.broker import started_jar_broker
from tests.kafka_jars import Distribution
from tests.parts import skip_without

pytestmark = pytest.mark.kafka

USER = {"broker_username": "app", "broker_password": "s3cret"}
SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
PLAIN = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_app="s3cret";'


@dataclass(frozen=True, slots=True)
class SecuredBroker:
    ports: dict[str, int]
    authority: Path
    other_authority: Path


@pytest.fixture(scope="module")
def secured(kafka_jars: Distribution, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredBroker]:
    directory = tmp_path_factory.mktemp("certificates")
    authority = _certificates(directory)
    properties = {
        "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
        "ssl.keystore.type": "PEM",
        "ssl.keystore.location": str(directory / "broker.pem"),
        "ssl.client.auth": "none",
    }
    for listener in ("sasl", "sasl_tls"):
        properties |= {
            f"listener.name.{listener}.scram-sha-256.sasl.jaas.config": SCRAM,
            f"listener.name.{listener}.scram-sha-512.sasl.jaas.config": SCRAM,
            f"listener.name.{listener}.plain.sasl.jaas.config": PLAIN,
        }
    users = [f"{mechanism}=[name=app,password=s3cret]" for mechanism in ("SCRAM-SHA-256", "SCRAM-SHA-512")]
    broker = started_jar_broker(
        kafka_jars,
        listeners={"SASL": "SASL_PLAINTEXT", "TLS": "SSL", "SASL_TLS": "SASL_SSL"},
        properties=properties,
        format_arguments=[part for user in users for part in ("--add-scram", user)],
    )
    yield SecuredBroker(broker.ports, authority, directory / "other.pem")
    broker.close()


def _certificates(directory: Path) -> Path:
    """`broker.pem` (key and certificate for 127.0.0.1), the authority that signed it, and one that did not."""
    for name in ("authority", "other"):
        _openssl(
            f"req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN={name} -keyout {name}.key -out {name}.pem", directory
        )
    _openssl("req -newkey rsa:2048 -nodes -subj /CN=broker -keyout broker.key -out broker.csr", directory)
    (directory / "names").write_text("subjectAltName=IP:127.0.0.1")
    _openssl(
        "x509 -req -in broker.csr -CA authority.pem -CAkey authority.key -CAcreateserial -days 2 -extfile names"
        " -out broker.crt",
        directory,
    )
    (directory / "broker.pem").write_text(
        (directory / "broker.key").read_text() + (directory / "broker.crt").read_text()
    )
    return directory / "authority.pem"


def _openssl(arguments: str, directory: Path) -> None:
    try:
        subprocess.run(["openssl", *arguments.split()], cwd=directory, check=True, capture_output=True)
    except FileNotFoundError:
        skip_without("OpenSSL", "install openssl, which makes the test broker's certificates")


@asynccontextmanager
async def connected(broker: SecuredBroker, listener: str, topic_prefix: str, **more: object) -> AsyncIterator[KafkaLog]:
    address = f"kafka://127.0.0.1:{broker.ports[listener]}"
    settings = {"broker": address, "partitions": 1, "topic_prefix": topic_prefix, **more}
    log = KafkaLog(Settings.model_validate(settings))
    await log.start()
    try:
        yield log
    finally:
        await log.stop()


async def assert_appends(log: KafkaLog) -> None:
    record = NewRecord(Topic.CUSTOMER_EVENTS, b"cus_1", b"paid", Source.WEBHOOK, 1)
    await log.append(record)
    await log.append_all([record])
    assert [read.value async for read in log.read(Topic.CUSTOMER_EVENTS, 0)] == [b"paid", b"paid"]


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
async def test_a_user_logs_in_with_each_mechanism(secured: SecuredBroker, topic_prefix: str, mechanism: str) -> None:
    async with connected(secured, "SASL", topic_prefix, **USER, broker_mechanism=mechanism) as log:
        await assert_appends(log)


async def test_tls_alone_and_with_a_user(secured: SecuredBroker, topic_prefix: str) -> None:
    tls = {"broker_tls": True, "broker_ca_file": secured.authority}
    async with connected(secured, "TLS", topic_prefix, **tls) as log:
        await assert_appends(log)
    user = {**USER, "broker_mechanism": "SCRAM-SHA-512"}
    async with connected(secured, "SASL_TLS", topic_prefix + "user.", **tls, **user) as log:
        await assert_appends(log)


async def test_a_wrong_password_is_named_as_what_may_be_wrong(secured: SecuredBroker, topic_prefix: str) -> None:
    wrong = {**USER, "broker_password": "guessed", "broker_mechanism": "SCRAM-SHA-256"}
    with pytest.raises(Unreachable, match="user name or password may also be wrong"):
        async with connected(secured, "SASL", topic_prefix, **wrong):
            pass


async def test_a_certificate_of_another_authority_is_refused(secured: SecuredBroker, topic_prefix: str) -> None:
    tls = {"broker_tls": True, "broker_ca_file": secured.other_authority}
    with pytest.raises(Unreachable, match="MILLRACE_BROKER_CA_FILE"):
        async with connected(secured, "TLS", topic_prefix, **tls):
            pass
