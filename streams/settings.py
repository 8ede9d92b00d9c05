"""Settings from the environment or an env file: every name of INTERFACES §3, with its meaning and its limits.

A value that cannot be right, an unknown MILLRACE_ name and a missing required one stop the start; the error names each
of them with the remedy. docs/settings.md is generated from the descriptions here.
"""

from pathlib import Path
from typing import Literal

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="MILLRACE_", frozen=True, extra="forbid")

    broker: str = Field("sqlite:///millrace-data/log.db", description="the log")
    broker_username: str | None = None
    broker_password: SecretStr | None = None
    broker_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] | None = None
    broker_tls: bool = False
    broker_ca_file: Path | None = None
    partitions: int = Field(8, ge=1, le=1024)
    replication: int = Field(1, ge=1)
    topic_prefix: str = ""
    data_dir: Path = Path("millrace-data")
    store: Literal["memory", "rocksdb"] = "memory"
    catalogue: Path = Path("catalogue.toml")
    catalogue_auto_apply: bool = False
    stripe_webhook_secrets: str = ""
    stripe_livemode: bool = True
    stripe_api_key: SecretStr | None = None
    stripe_api_base: str = "https://api.stripe.com"
    stripe_accounts: str = ""
    kit_api_key: SecretStr | None = None
    kit_api_base: str = "https://api.kit.com"
    kit_requests_per_minute: int | None = Field(None, ge=1)
    edge_host: str = "127.0.0.1"
    edge_port: int = 8080
    edge_body_bytes_max: int = 1_048_576
    ops_host: str = "127.0.0.1"
    ops_port: int = 6066
    ops_tokens: str = ""
    reorder_grace_seconds: float = 5
    log_format: Literal["text", "json"] = "text"
