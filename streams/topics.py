"""Every topic and changelog, with its partitions and its retention; how a key finds its partition.

`MILLRACE_TOPIC_PREFIX` goes before every name and group here, and only here.
"""

from dataclasses import dataclass
from functools import lru_cache

from aiokafka.partitioner import murmur2

from processors.record import Topic
from streams.settings import Settings

GROUP = "millrace"
RETENTION_DAYS_OTHER = 35
"""Stripe lists events for 30 days; what bears on no customer is kept a little longer."""

PARTITIONED = frozenset(
    {
        Topic.CUSTOMER_EVENTS,
        Topic.PAYMENT_EVENTS,
        Topic.SUBSCRIBER_EVENTS,
        Topic.CUSTOMER_CHANGES,
        Topic.CUSTOMER_MONTHS,
        Topic.STRIPE_COMMANDS,
        Topic.POOL_EVENTS,
        Topic.STRIPE_OTHER,
        Topic.DEAD_LETTERS,
    }
)
"""These have MILLRACE_PARTITIONS partitions; the others have one."""

CUSTOMERS_TABLE = "customers"
SUBSCRIBERS_TABLE = "subscribers"
TABLES = (CUSTOMERS_TABLE, SUBSCRIBERS_TABLE)
"""The tables of our agents; each has a changelog beside its topic, partition by partition."""

TABLE_SOURCES = {CUSTOMERS_TABLE: Topic.CUSTOMER_EVENTS, SUBSCRIBERS_TABLE: Topic.SUBSCRIBER_EVENTS}
"""The topic that a table is made from."""


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as it is created. `retention_ms` None: kept forever; `compacted`: only the last value of each key."""

    name: str
    partitions: int
    compacted: bool = False
    retention_ms: int | None = None


def topic_name(settings: Settings, topic: Topic) -> str:
    return settings.topic_prefix + topic


def group_name(settings: Settings) -> str:
    """The consumer group of the workers, and Faust's app id."""
    return settings.topic_prefix + GROUP


def changelog_name(settings: Settings, table: str) -> str:
    """As Faust names it: app id, table, `changelog`."""
    return f"{group_name(settings)}-{table}-changelog"


def partitions_of(settings: Settings, topic: Topic) -> int:
    return settings.partitions if topic in PARTITIONED else 1


def all_topics(settings: Settings) -> list[TopicSpec]:
    """All that must exist before anything starts: Faust with a missing source topic says Ready and receives nothing."""
    day_ms = 24 * 3600 * 1000
    plain = [
        TopicSpec(
            name=topic_name(settings, topic),
            partitions=partitions_of(settings, topic),
            compacted=topic is Topic.CUSTOMER_MONTHS,
            retention_ms=RETENTION_DAYS_OTHER * day_ms if topic is Topic.STRIPE_OTHER else None,
        )
        for topic in Topic
    ]
    changelogs = [
        TopicSpec(name=changelog_name(settings, table), partitions=settings.partitions, compacted=True)
        for table in TABLES
    ]
    return plain + changelogs


@lru_cache(maxsize=65_536)
def partition_of(key: bytes, partitions: int) -> int:
    """Kafka's own default (murmur2), so that other producers agree; the same on the embedded log."""
    return int((murmur2(key) & 0x7FFFFFFF) % partitions)
