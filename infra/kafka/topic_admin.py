"""Creates the declared topics that are missing, and checks the others; never changes one.

A consumer that made a missing topic would fix its partition count by accident, for ever.
"""

import asyncio
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import InvalidReplicationFactorError, TopicAlreadyExistsError, for_code

from commands.wording import counted
from infra.errors import Misconfigured
from infra.kafka.topics import Topic, declared
from infra.settings import KafkaSettings

_NONE: Final = 0
_VISIBLE_WITHIN_S: Final = 30
# A record that two brokers have outlives one; of three, one may be away meanwhile.
_REPLICAS_MIN: Final = 3
_IN_SYNC_MIN: Final = 2
# Kafka deletes by a record's timestamp. By the producer's, one that is stamped 30 days back would be
# acknowledged and gone at the next retention check, and one more than an hour ahead would be refused.
_STAMPED_BY: Final = "LogAppendTime"
# Kafka compacts closed segments only, and closes one after 7 days or 1 GiB: a process would read that much at
# its start, to learn a few values.
_COMPACTED_SOON: Final = {
    "segment.ms": str(10 * 60 * 1000),
    "segment.bytes": str(8 * 1024 * 1024),
    "min.cleanable.dirty.ratio": "0.1",
}


async def create(settings: KafkaSettings) -> tuple[str, ...]:
    """Creates what is missing, and leaves alone what is there. Returns the names of the new ones."""
    wanted = declared(settings.partitions, settings.topic_prefix)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    try:
        await admin.start()
        response = await admin.create_topics([new_topic(topic, settings) for topic in wanted])
        created = []
        for name, code, *_ in response.topic_errors:
            if code == _NONE:
                created.append(name)
            elif code == InvalidReplicationFactorError.errno:
                raise Misconfigured(
                    f"Kafka has too few brokers for {settings.copies[0]} replicas of {name}: add brokers, or set "
                    "AEGISPAY_ONE_NODE=true where it is one node and may lose what it acknowledged"
                )
            elif code != TopicAlreadyExistsError.errno:
                raise for_code(code)(name)
        # The broker that is queried next learns of them a little later than the controller.
        async with asyncio.timeout(_VISIBLE_WITHIN_S):
            while _missing(await _found(admin, wanted), wanted):  # noqa: ASYNC110  # another process is waited for
                await asyncio.sleep(0.02)
        await _check(admin, wanted, settings)
    finally:
        await admin.close()
    return tuple(created)


async def check(settings: KafkaSettings) -> None:
    """Raises `Misconfigured` where a topic is missing or differs; a Kafka error where the cluster is away."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka, request_timeout_ms=5000)
    try:
        await admin.start()
        await _check(admin, declared(settings.partitions, settings.topic_prefix), settings)
    finally:
        await admin.close()


async def _check(admin: AIOKafkaAdminClient, wanted: tuple[Topic, ...], settings: KafkaSettings) -> None:
    found = await _found(admin, wanted)
    missing = _missing(found, wanted)
    if missing:
        raise Misconfigured(f"Kafka lacks the topics {', '.join(missing)}: run `aegispay topics`")
    configs = await _configs(admin, wanted)
    counts = {name: len(topic["partitions"]) for name, topic in found.items()}
    miscounted = [
        f"{topic.name} has {counted(counts[topic.name], 'partition')}, not {topic.partitions}"
        for topic in wanted
        if counts[topic.name] != topic.partitions
    ]
    if miscounted:
        raise Misconfigured(
            f"{'; '.join(miscounted)}: set AEGISPAY_PARTITIONS to what the topics were created with, "
            "it cannot be changed without breaking the order per payment"
        )
    mistreated = [
        f"{topic.name} has {name}={configs[topic.name][name]}, not {right}"
        for topic in wanted
        for name, right in (("cleanup.policy", topic.cleanup), ("message.timestamp.type", _STAMPED_BY))
        if configs[topic.name][name] != right
    ]
    if mistreated:
        raise Misconfigured(f"{'; '.join(mistreated)}: set it back with kafka-configs.sh --alter")
    if settings.environment == "production" and not settings.one_node:
        _refuse_few_copies(found, configs)


def _refuse_few_copies(found: dict[str, dict[str, Any]], configs: dict[str, dict[str, str]]) -> None:
    """Raises if a topic has too few replicas, or acknowledges with too few. Both are read: Kafka 4
    acknowledges acks=all on one replica where min.insync.replicas is 2."""
    few = []
    for name, topic in found.items():
        replicas = min(len(partition["replicas"]) for partition in topic["partitions"])
        in_sync = int(configs[name]["min.insync.replicas"])
        if replicas < _REPLICAS_MIN:
            few.append(f"{name} has {replicas} replicas, fewer than {_REPLICAS_MIN}")
        if in_sync < _IN_SYNC_MIN:
            few.append(f"{name} has min.insync.replicas={in_sync}, less than {_IN_SYNC_MIN}")
    if few:
        raise Misconfigured(
            f"{'; '.join(few)}: an acknowledged payment could be lost with one disk. Raise them with "
            "kafka-reassign-partitions.sh and kafka-configs.sh --alter, or say with AEGISPAY_ONE_NODE=true that Kafka "
            "is one node and may lose what it acknowledged"
        )


async def _found(admin: AIOKafkaAdminClient, wanted: tuple[Topic, ...]) -> dict[str, dict[str, Any]]:
    response = await admin.describe_topics([topic.name for topic in wanted])
    return {topic["topic"]: topic for topic in response}


def _missing(found: dict[str, dict[str, Any]], wanted: tuple[Topic, ...]) -> list[str]:
    return [topic.name for topic in wanted if found[topic.name]["error_code"] != _NONE]


async def _configs(admin: AIOKafkaAdminClient, wanted: tuple[Topic, ...]) -> dict[str, dict[str, str]]:
    """Returns the settings that hold for each topic, set there or by the broker's default."""
    wanted_settings = dict.fromkeys(("cleanup.policy", "message.timestamp.type", "min.insync.replicas"), "")
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, topic.name, configs=wanted_settings) for topic in wanted
    ]
    configs = {}
    for response in await admin.describe_configs(resources):
        for code, text, _, name, entries in response.resources:
            if code != _NONE:
                raise for_code(code)(text)
            configs[name] = {key: value for key, value, *_ in entries}
    return configs


def new_topic(topic: Topic, settings: KafkaSettings) -> NewTopic:
    """Returns the request that creates a topic with the copies and the time stamps that money needs."""
    replicas, in_sync = settings.copies
    return NewTopic(
        topic.name,
        topic.partitions,
        replicas,
        topic_configs={
            "cleanup.policy": topic.cleanup,
            "retention.ms": str(topic.retention_ms),
            "message.timestamp.type": _STAMPED_BY,
            "min.insync.replicas": str(in_sync),
            **(_COMPACTED_SOON if topic.cleanup == "compact" else {}),
        },
    )
