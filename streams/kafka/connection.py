"""How every Kafka client of Millrace connects: address, user name and TLS from the settings.

`client_arguments` for aiokafka's clients, `faust_arguments` for Faust's settings; `unreachable` turns what aiokafka
says about a failed connection ("Unable to bootstrap", also for a wrong password) into what the user can do about it.
"""

import ssl
from typing import Any
from urllib.parse import SplitResult, urlsplit

import faust

from streams.errors import Unreachable, WrongSettings
from streams.settings import Settings

SCHEME = "kafka://"
PORT_DEFAULT = 9092


def client_arguments(settings: Settings) -> dict[str, Any]:
    """Keyword arguments for an aiokafka producer, consumer or admin client. Raises WrongSettings."""
    tls = _tls_context(settings)
    arguments: dict[str, Any] = {"bootstrap_servers": bootstrap_servers(settings)}
    if _uses_sasl(settings):
        arguments |= {
            "security_protocol": "SASL_PLAINTEXT" if tls is None else "SASL_SSL",
            "sasl_mechanism": settings.broker_mechanism,
            "sasl_plain_username": settings.broker_username,
            "sasl_plain_password": settings.broker_password,
        }
    else:
        arguments["security_protocol"] = "PLAINTEXT" if tls is None else "SSL"
    if tls is not None:
        arguments["ssl_context"] = tls
    return arguments


def faust_arguments(settings: Settings) -> dict[str, Any]:
    """Keyword arguments for `faust.App`: `broker` and, where they are set, `broker_credentials`. Raises
    WrongSettings.
    """
    arguments: dict[str, Any] = {"broker": [SCHEME + server for server in bootstrap_servers(settings)]}
    tls = _tls_context(settings)
    if _uses_sasl(settings):
        arguments["broker_credentials"] = faust.SASLCredentials(
            username=settings.broker_username,
            password=settings.broker_password,
            mechanism=settings.broker_mechanism,
            ssl_context=tls,
        )
    elif tls is not None:
        arguments["broker_credentials"] = faust.SSLCredentials(tls)
    return arguments


def bootstrap_servers(settings: Settings) -> list[str]:
    """`host:port` of each server in `kafka://host:port[;host:port]`. Raises WrongSettings."""
    if not settings.broker.startswith(SCHEME):
        raise _wrong_broker(settings, "it does not start with kafka://")
    return [_server(settings, part) for part in settings.broker.removeprefix(SCHEME).rstrip("/").split(";")]


def unreachable(settings: Settings, error: Exception) -> Unreachable:
    """The same failure in words that end with what to do; raise it from `error`."""
    servers = ", ".join(bootstrap_servers(settings))
    remedy = "check that the broker runs and that MILLRACE_BROKER names its host and port"
    if _uses_sasl(settings):
        remedy += (
            f"; user name or password may also be wrong, or {settings.broker_mechanism} not enabled there"
            " (MILLRACE_BROKER_USERNAME, MILLRACE_BROKER_PASSWORD, MILLRACE_BROKER_MECHANISM)"
        )
    if settings.broker_tls:
        remedy += "; or its certificate is not signed by an authority known here (MILLRACE_BROKER_CA_FILE)"
    else:
        remedy += "; a broker that expects TLS needs MILLRACE_BROKER_TLS=true"
    return Unreachable(f"Kafka at {servers} cannot be reached ({error}): {remedy}.")


def _server(settings: Settings, part: str) -> str:
    address = urlsplit("//" + part)
    try:
        port = address.port or PORT_DEFAULT
    except ValueError:
        raise _wrong_broker(settings, f"the port of {_shown(part)!r} is no number up to 65535") from None
    if not address.hostname or _has_more_than_an_address(address):
        raise _wrong_broker(settings, f"{_shown(part)!r} is not host:port")
    host = f"[{address.hostname}]" if ":" in address.hostname else address.hostname
    return f"{host}:{port}"


def _has_more_than_an_address(address: SplitResult) -> bool:
    return "@" in address.netloc or bool(address.path or address.query or address.fragment)


def _wrong_broker(settings: Settings, fault: str) -> WrongSettings:
    return WrongSettings(
        f"MILLRACE_BROKER is {_shown(settings.broker)!r}, but {fault}: write kafka://host:port, several servers as"
        " kafka://host:port;host:port. User name and password go to MILLRACE_BROKER_USERNAME and _PASSWORD."
    )


def _shown(address: str) -> str:
    """Without what stands before the last `@`: a password there must not reach a log line."""
    return "…@" + address.rpartition("@")[2] if "@" in address else address


def _uses_sasl(settings: Settings) -> bool:
    """All three or none: a user name alone would connect without it, and say so nowhere. Raises WrongSettings."""
    given = {
        "MILLRACE_BROKER_USERNAME": bool(settings.broker_username),
        "MILLRACE_BROKER_PASSWORD": bool(settings.broker_password),
        "MILLRACE_BROKER_MECHANISM": settings.broker_mechanism is not None,
    }
    missing = [name for name, is_given in given.items() if not is_given]
    if missing and len(missing) < len(given):
        raise WrongSettings(f"{' and '.join(missing)} must be set too: user name, password and mechanism go together.")
    return not missing


def _tls_context(settings: Settings) -> ssl.SSLContext | None:
    """Verifies the broker's certificate and host name; None where TLS is off. Raises WrongSettings."""
    if not settings.broker_tls:
        if settings.broker_ca_file is not None:
            raise WrongSettings("MILLRACE_BROKER_CA_FILE is set, but MILLRACE_BROKER_TLS is not: set it to true.")
        return None
    try:
        return ssl.create_default_context(cafile=settings.broker_ca_file)
    except (OSError, ssl.SSLError) as error:
        raise WrongSettings(
            f"MILLRACE_BROKER_CA_FILE {settings.broker_ca_file} cannot be read ({error}): it must be a PEM file with"
            " the certificate of the authority that signed the broker's."
        ) from error
