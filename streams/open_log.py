"""The log that MILLRACE_BROKER names: called once by each role and by every command that reads or writes the log."""

from streams.embedded.log import EmbeddedLog
from streams.errors import WrongSettings
from streams.kafka.connection import SCHEME as KAFKA_SCHEME
from streams.kafka.log import KafkaLog
from streams.log import Log
from streams.settings import Settings

EMBEDDED_SCHEME = "sqlite:///"


def open_log(settings: Settings, *, read_only: bool = False) -> Log:
    """Not started yet. `read_only`: beside the process that owns an embedded log; Kafka has no owner, and ignores it.

    Raises WrongSettings.
    """
    if settings.broker.startswith(KAFKA_SCHEME):
        return KafkaLog(settings)
    if settings.broker.startswith(EMBEDDED_SCHEME):
        return EmbeddedLog(settings, read_only=read_only)
    raise WrongSettings(
        f"MILLRACE_BROKER is {settings.broker!r}: write sqlite:///PATH (relative to the working directory; four"
        " slashes: absolute) for the embedded log, or kafka://host:port[;host:port]."
    )
