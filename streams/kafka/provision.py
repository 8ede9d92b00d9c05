"""The topics as they must be before anything starts: missing ones are created, existing ones are held to the settings.

Called by `KafkaLog.start`, at once by several processes if need be.
"""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import InvalidReplicationFactorError, NoError, TopicAlreadyExistsError, for_code

from streams.errors import LogUnusable, Unreachable, WrongSettings
from streams.settings import Settings
from streams.topics import TopicSpec, all_topics
from streams.transactions.batch import VALUE_BYTES_MAX

VALUE_BYTES_MIN = 2 * VALUE_BYTES_MAX
"""A smaller body limit must not cut what the agents write, nor the dead letter of a record as large as that: it holds
the bytes as base64 (4/3 of them).
"""
BODIES_IN_A_RECORD = 3
"""A dead letter holds the body as base64 (4/3 of it) and its key; a state record holds more than one event's part."""
RECORD_EXTRA_BYTES = 65_536
"""Headers, names and reasons around the body."""
READY_SECONDS_MAX = 15.0
"""New partitions have a leader within a second on a healthy cluster."""
READY_POLL_SECONDS = 0.05
KEPT_BY = ("cleanup.policy", "retention.ms", "retention.bytes")


async def ensure_topics(admin: AIOKafkaAdminClient, settings: Settings) -> None:
    """Raises WrongSettings (partitions, replication), LogUnusable (not allowed to, an existing topic that would lose
    records), Unreachable (no leader).
    """
    wanted = all_topics(settings)
    existing = {topic["topic"]: len(topic["partitions"]) for topic in await _describe(admin)}
    for spec in wanted:
        if spec.name in existing:
            _check_partitions(settings, spec, existing[spec.name])
    missing = [spec for spec in wanted if spec.name not in existing]
    if missing:
        await _create(admin, settings, missing)
        await _wait_until_ready(admin, settings, missing)
    await _check_kept(admin, wanted)


def topic_configuration(settings: Settings, spec: TopicSpec) -> dict[str, str]:
    """What the broker keeps, said in full: its own defaults would delete after seven days."""
    retention_ms = -1 if spec.retention_ms is None else spec.retention_ms
    return {
        # A changelog that is also deleted from can end up empty but not from 0, which Faust waits on for ever.
        "cleanup.policy": "compact" if spec.compacted else "delete",
        "retention.ms": str(retention_ms),
        "retention.bytes": "-1",
        "max.message.bytes": str(record_bytes_max(settings)),
        # The broker's clock, one for all workers: `Log.since` and the retention go by it.
        "message.timestamp.type": "LogAppendTime",
        # Acknowledged means held by two where there are three; with fewer, waiting for two would halt on one failure.
        "min.insync.replicas": "2" if settings.replication >= 3 else "1",
    }


def record_bytes_max(settings: Settings) -> int:
    """The largest record, and the largest batch of records, that a topic takes."""
    return max(VALUE_BYTES_MIN, BODIES_IN_A_RECORD * settings.edge_body_bytes_max) + RECORD_EXTRA_BYTES


async def _create(admin: AIOKafkaAdminClient, settings: Settings, missing: Sequence[TopicSpec]) -> None:
    topics = [
        NewTopic(spec.name, spec.partitions, settings.replication, topic_configs=topic_configuration(settings, spec))
        for spec in missing
    ]
    response = await admin.create_topics(topics)
    for name, code, *message in response.topic_errors:
        error = for_code(code)
        if error is InvalidReplicationFactorError:
            raise WrongSettings(
                f"MILLRACE_REPLICATION is {settings.replication}, but the cluster cannot keep that many copies of"
                f" {name!r} ({_said(message)}): set it to at most the number of its brokers."
            )
        if error not in (NoError, TopicAlreadyExistsError):  # another process of ours may be starting too
            raise LogUnusable(
                f"Kafka does not let us create the topic {name!r} ({error.__name__}: {_said(message)}): allow it to"
                " MILLRACE_BROKER_USERNAME, or create the topics beforehand."
            )


async def _wait_until_ready(admin: AIOKafkaAdminClient, settings: Settings, created: Sequence[TopicSpec]) -> None:
    """Faust with a source topic that has no leader yet says Ready and receives nothing."""
    deadline = asyncio.get_running_loop().time() + READY_SECONDS_MAX
    while True:
        topics = {topic["topic"]: topic["partitions"] for topic in await _describe(admin)}
        ready = {name: sum(p["leader"] >= 0 for p in partitions) for name, partitions in topics.items()}
        waiting = [spec for spec in created if ready.get(spec.name, 0) < spec.partitions]
        if not waiting:
            break
        if asyncio.get_running_loop().time() > deadline:
            raise Unreachable(
                f"Kafka has created {waiting[0].name!r}, but its partitions have no leader after"
                f" {READY_SECONDS_MAX:.0f} s: see the brokers' logs, then start again."
            )
        await asyncio.sleep(READY_POLL_SECONDS)
    for spec in created:  # another process may have created them with other settings
        _check_partitions(settings, spec, len(topics[spec.name]))


def _check_partitions(settings: Settings, spec: TopicSpec, found: int) -> None:
    if found == spec.partitions:
        return
    remedy = "MILLRACE_TOPIC_PREFIX to a free one"
    if spec.partitions == settings.partitions:
        remedy = f"MILLRACE_PARTITIONS to {found}, or {remedy}"
    raise WrongSettings(
        f"the topic {spec.name!r} has {found} partitions, but it must have {spec.partitions}: a topic's partitions are"
        f" fixed once it is created. Set {remedy}."
    )


async def _check_kept(admin: AIOKafkaAdminClient, wanted: Sequence[TopicSpec]) -> None:
    """A topic that someone else created, with a broker's defaults, would lose the truth after seven days. Where we
    may not look, the topic is taken as it is.
    """
    specs = {spec.name: spec for spec in wanted}
    keys = dict.fromkeys(KEPT_BY)
    resources = [ConfigResource(ConfigResourceType.TOPIC, name, configs=keys) for name in specs]
    for response in await admin.describe_configs(resources):
        for code, _, _, name, entries in response.resources:
            if for_code(code) is NoError:
                _check_retention(specs[name], {entry[0]: entry[1] for entry in entries})


def _check_retention(spec: TopicSpec, found: Mapping[str, str]) -> None:
    wanted = {"cleanup.policy": "compact"} if spec.compacted else {"cleanup.policy": "delete"}
    if not spec.compacted and spec.retention_ms is None:
        wanted |= {"retention.ms": "-1", "retention.bytes": "-1"}
    wrong = [
        f"{name}={found.get(name)} instead of {value}" for name, value in wanted.items() if found.get(name) != value
    ]
    if wrong:
        raise LogUnusable(
            f"the topic {spec.name!r} would lose records ({', '.join(wrong)}): change its configuration on the broker"
            " (kafka-configs --alter), then start again."
        )


async def _describe(admin: AIOKafkaAdminClient) -> list[dict[str, Any]]:
    # All topics at once: naming a missing one would make some brokers create it, with their own defaults.
    topics: list[dict[str, Any]] = await admin.describe_topics()
    return topics


def _said(message: Sequence[Any]) -> str:
    return next((str(part) for part in message if part), "no reason given")
