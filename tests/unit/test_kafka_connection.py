"""How settings become arguments of aiokafka and Faust, and what is refused before anything connects."""

from pathlib import Path

import faust
import pytest
from aiokafka.errors import KafkaConnectionError

from streams.errors import Unreachable, WrongSettings
from streams.kafka.connection import bootstrap_servers, client_arguments, faust_arguments, unreachable
from streams.settings import Settings

SASL = {"broker_username": "app", "broker_password": "s3cret", "broker_mechanism": "SCRAM-SHA-256"}


def settings(broker: str = "kafka://one:9092", **more: object) -> Settings:
    return Settings.model_validate({"broker": broker, **more})


@pytest.mark.parametrize(
    ("broker", "servers"),
    [
        ("kafka://one:9093", ["one:9093"]),
        ("kafka://one", ["one:9092"]),
        ("kafka://one:9092;two:9094", ["one:9092", "two:9094"]),
        ("kafka://[::1]:9092", ["[::1]:9092"]),
    ],
)
def test_servers_are_separated_by_semicolons(broker: str, servers: list[str]) -> None:
    assert bootstrap_servers(settings(broker)) == servers


@pytest.mark.parametrize("broker", ["kafka://:9092", "kafka://one:port", "kafka://one:99999", "kafka://one;"])
def test_an_address_that_is_none_is_refused_with_the_form(broker: str) -> None:
    with pytest.raises(WrongSettings, match=r"MILLRACE_BROKER .* write kafka://host:port"):
        bootstrap_servers(settings(broker))


def test_a_password_in_the_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(WrongSettings) as refused:
        bootstrap_servers(settings("kafka://app:s3cret@one:9092"))
    assert "s3cret" not in str(refused.value)
    assert "MILLRACE_BROKER_USERNAME" in str(refused.value)


def test_without_user_or_tls_the_connection_is_plain() -> None:
    assert client_arguments(settings()) == {"bootstrap_servers": ["one:9092"], "security_protocol": "PLAINTEXT"}
    assert faust_arguments(settings()) == {"broker": ["kafka://one:9092"]}


def test_a_user_logs_in_with_the_mechanism_given() -> None:
    arguments = client_arguments(settings(**SASL))
    assert arguments["security_protocol"] == "SASL_PLAINTEXT"
    assert arguments["sasl_mechanism"] == "SCRAM-SHA-256"
    assert (arguments["sasl_plain_username"], arguments["sasl_plain_password"]) == ("app", "s3cret")
    credentials = faust_arguments(settings(**SASL))["broker_credentials"]
    assert isinstance(credentials, faust.SASLCredentials)
    assert credentials.mechanism.value == "SCRAM-SHA-256"


def test_tls_checks_the_brokers_certificate_and_name() -> None:
    arguments = client_arguments(settings(broker_tls=True))
    assert arguments["security_protocol"] == "SSL"
    assert arguments["ssl_context"].check_hostname
    assert isinstance(faust_arguments(settings(broker_tls=True))["broker_credentials"], faust.SSLCredentials)
    assert client_arguments(settings(broker_tls=True, **SASL))["security_protocol"] == "SASL_SSL"


def test_a_user_without_a_mechanism_is_refused() -> None:
    with pytest.raises(WrongSettings, match="MILLRACE_BROKER_MECHANISM must be set too"):
        client_arguments(settings(broker_username="app", broker_password="s3cret"))


def test_an_authority_without_tls_is_refused() -> None:
    with pytest.raises(WrongSettings, match="MILLRACE_BROKER_TLS"):
        client_arguments(settings(broker_ca_file="ca.pem"))


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_an_authority_that_cannot_be_read_is_refused(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    with pytest.raises(WrongSettings, match="MILLRACE_BROKER_CA_FILE"):
        client_arguments(settings(broker_tls=True, broker_ca_file=file))


def test_a_failed_connection_says_what_to_check() -> None:
    plain = unreachable(settings(), KafkaConnectionError("Unable to bootstrap"))
    assert isinstance(plain, Unreachable)
    assert "one:9092" in str(plain)
    assert "password" not in str(plain)
    with_user = str(unreachable(settings(**SASL), KafkaConnectionError("Unable to bootstrap")))
    assert "user name or password may also be wrong" in with_user
    assert "s3cret" not in with_user
