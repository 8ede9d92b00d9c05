"""Settings from the environment and an env file: every name of docs/interfaces.md §3, with its meaning and its limits.

`load_settings` is called once by the command line. A value that cannot be right, an unknown MILLRACE_ name and a
missing required one stop the start with every such name and the remedy at once. docs/settings.md is held to the
descriptions here by a test.
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from dotenv import dotenv_values
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from streams.errors import WrongSettings

PREFIX = "MILLRACE_"
TEST_PREFIX = "MILLRACE_TEST_"
KIT_REQUESTS_PER_MINUTE_KEY = 120
"""Kit's limit for an API key (docs/facts/kit.md §1)."""


def _listed(value: object) -> object:
    """Comma-separated text as a tuple, blanks dropped."""
    return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value


Listed = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class Settings(BaseModel):
    """One field per variable; the name is the variable's without MILLRACE_, in lower case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    broker: str = Field(
        "sqlite:///millrace-data/log.db",
        pattern=r"^(sqlite:///.+|kafka://[^\s/]+)$",
        description="the log: `sqlite:///PATH` (relative to the working directory; four slashes: absolute) or "
        "`kafka://host:port[;host:port]`",
    )
    broker_username: str | None = Field(None, description="SASL user name")
    broker_password: str | None = Field(None, repr=False, description="SASL password")
    broker_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = Field(
        None, description="SASL mechanism: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
    )
    broker_tls: bool = Field(default=False, description="TLS to the broker")
    broker_ca_file: Path | None = Field(None, description="certificates that the broker's is checked against")
    partitions: int = Field(
        8, ge=1, le=1024, description="partitions of every customer- and subscriber-keyed topic; fixed once created"
    )
    replication: int = Field(1, ge=1, le=32_767, description="replication factor of created topics")
    topic_prefix: str = Field(
        "", pattern=r"^[A-Za-z0-9._-]{0,100}$", description="put before every topic and group name"
    )
    data_dir: Path = Field(
        Path("millrace-data"),
        description="state stores; each process keeps to its own part, so roles may share it",
    )
    store: Literal["memory", "rocksdb"] = Field("memory", description="table store: `memory` or `rocksdb`")
    catalogue: Path = Field(
        Path("catalogue.toml"),
        description="the catalogue file; applied by the first start, after that by `millrace apply`",
    )
    catalogue_auto_apply: bool = Field(default=False, description="apply a changed file at start and while running")
    stripe_webhook_secrets: Listed = Field(
        (), repr=False, description="comma-separated `whsec_…`; any may match. Required where the edge runs"
    )
    stripe_livemode: bool = Field(default=True, description="events of the other mode are refused into dead letters")
    stripe_accounts: Listed = Field(
        (), description="comma-separated connected accounts (`acct_…`) whose events are accepted besides the own"
    )
    stripe_api_key: str | None = Field(
        None, repr=False, description="for look-ups, backfill and the reverse direction; not used by this version yet"
    )
    stripe_api_base: str = Field(
        "https://api.stripe.com", description="without `/v1`; for tests; not used by this version yet"
    )
    kit_api_key: str | None = Field(None, repr=False, description="v4 key. Required where a worker runs")
    kit_oauth_client_id: str | None = Field(None, description="OAuth for Kit; refused by this version")
    kit_oauth_client_secret: str | None = Field(None, repr=False, description="OAuth for Kit; refused by this version")
    kit_oauth_refresh_token: str | None = Field(None, repr=False, description="OAuth for Kit; refused by this version")
    kit_api_base: str = Field(
        "https://api.kit.com", pattern=r"^https?://\S+$", description="without `/v4`; for tests and the simulator"
    )
    kit_requests_per_minute: int = Field(
        KIT_REQUESTS_PER_MINUTE_KEY, ge=1, description="never more than this across all workers"
    )
    kit_webhook_secrets: Listed = Field(
        (), repr=False, description="comma-separated secrets of Kit's webhooks; not used by this version yet"
    )
    edge_host: str = Field("127.0.0.1", description="where the public edge listens")
    edge_port: int = Field(8080, ge=0, le=65_535, description="port of the public edge; 0 takes a free one")
    public_url: str | None = Field(
        None, description="how the world reaches the edge; base of signed links; not used by this version yet"
    )
    edge_body_bytes_max: int = Field(1_048_576, ge=1024, le=64 * 1024 * 1024, description="larger requests get 413")
    ops_host: str = Field("127.0.0.1", description="where Faust web (health, metrics, status) listens")
    ops_port: int = Field(
        6066, ge=0, le=65_535, description="its port; on one machine give each role its own, 0 takes a free one"
    )
    ops_tokens: Listed = Field(
        (), repr=False, description="comma-separated bearer tokens; required when the ops host is not loopback"
    )
    mcp_port: int = Field(6067, ge=0, le=65_535, description="the MCP gateway; not used by this version yet")
    mcp_tokens_file: Path | None = Field(
        None, description="TOML: token hash → name, allowed tools, calls a minute; not used by this version yet"
    )
    reorder_grace_seconds: float = Field(
        5, ge=0, le=3600, description="how long a gap holds an event back; not used by this version yet"
    )
    encryption_key_file: Path | None = Field(
        None, description="32 bytes, base64: keyed hashes and encryption in the log; refused by this version"
    )
    log_format: Literal["text", "json"] = Field("text", description="`text` or `json`")

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        faults = [fault for wrong, fault in self._combinations() if wrong]
        if faults:
            raise ValueError("\n".join(faults))
        return self

    def _combinations(self) -> list[tuple[bool, str]]:
        oauth = (self.kit_oauth_client_id, self.kit_oauth_client_secret, self.kit_oauth_refresh_token)
        return [
            (
                self.ops_host not in LOOPBACK and not self.ops_tokens,
                (
                    f"MILLRACE_OPS_HOST is {self.ops_host}, which others can reach: "
                    "set MILLRACE_OPS_TOKENS, or keep the host 127.0.0.1"
                ),
            ),
            (
                (self.broker_username is None) != (self.broker_password is None),
                "MILLRACE_BROKER_USERNAME and MILLRACE_BROKER_PASSWORD go together: set both or neither",
            ),
            (
                any(oauth),
                "MILLRACE_KIT_OAUTH_… is not supported by this version: unset it and set MILLRACE_KIT_API_KEY",
            ),
            (
                self.encryption_key_file is not None,
                (
                    "MILLRACE_ENCRYPTION_KEY_FILE is not supported by this version, which would write emails' plain "
                    "hashes all the same: unset it"
                ),
            ),
        ]

    @property
    def embedded(self) -> bool:
        return self.broker.startswith("sqlite:")


LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})


def http_url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def variable(field: str) -> str:
    """`edge_port` → `MILLRACE_EDGE_PORT`."""
    return PREFIX + field.upper()


def load_settings(environ: Mapping[str, str] | None = None, env_file: Path | None = None) -> Settings:
    """From the environment, over an env file's values. Raises WrongSettings naming every fault and its remedy."""
    given = dict(os.environ if environ is None else environ)
    if env_file is not None:
        if not env_file.is_file():
            raise WrongSettings(f"--env-file {env_file}: no such file; create it or leave the option out")
        given = {name: value or "" for name, value in dotenv_values(env_file).items()} | given
    ours = {n: v for n, v in given.items() if n.startswith(PREFIX) and not n.startswith(TEST_PREFIX)}
    faults: list[str] = []
    values = _by_field(ours, faults)
    try:
        settings = Settings.model_validate(values)
    except ValidationError as error:
        faults += [_explained(dict(fault), values) for fault in error.errors()]
    if faults:
        raise WrongSettings("\n".join(faults))
    return settings


def _by_field(ours: Mapping[str, str], faults: list[str]) -> dict[str, str]:
    """Variables to fields; `…_FILE` reads the value from that file, unless it is a setting of its own."""
    values: dict[str, str] = {}
    for name, text in ours.items():
        field = name.removeprefix(PREFIX).lower()
        if field in Settings.model_fields:
            if text.strip():  # an empty variable is as good as none: compose files pass those
                values[field] = text.strip()
        elif field.endswith("_file") and field.removesuffix("_file") in Settings.model_fields:
            try:
                values[field.removesuffix("_file")] = Path(text).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                faults.append(f"{name}: cannot read {text}: {error}; point it at a readable text file")
        else:
            faults.append(f"{name}: there is no such setting; see docs/settings.md for all of them")
    return values


def _explained(fault: Mapping[str, object], values: Mapping[str, str]) -> str:
    location = fault["loc"]
    if not isinstance(location, tuple) or not location:
        return str(fault["msg"]).removeprefix("Value error, ")
    field = str(location[0])
    description = Settings.model_fields[field].description
    shown = values.get(field, "") if Settings.model_fields[field].repr else "…"
    return f"{variable(field)}={shown}: {fault['msg']}; it is {description}"


def require(settings: Settings, *fields: str) -> None:
    """Raises WrongSettings naming every one of these that is not set: what a role cannot do without."""
    missing = [field for field in fields if not getattr(settings, field)]
    if missing:
        lines = [f"{variable(f)} is required here: {Settings.model_fields[f].description}" for f in missing]
        raise WrongSettings("\n".join(lines))
