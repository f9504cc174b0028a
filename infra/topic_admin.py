"""The declared topics on the cluster: created by one command, checked by every process, never changed.

A consumer that made a missing topic would fix its partition count by accident, for ever.
"""

import asyncio
from typing import Any, Final

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import TopicAlreadyExistsError, for_code

from infra.misconfigured import Misconfigured
from infra.settings import KafkaSettings
from infra.topics import Topic, declared

_NONE: Final = 0
_VISIBLE_WITHIN_S: Final = 30
_REPLICATION: Final = -1  # the cluster's default.replication.factor


async def create(settings: KafkaSettings) -> tuple[str, ...]:
    """Creates what is missing, and leaves alone what is there. Returns the names of the new ones."""
    wanted = declared(settings.partitions, settings.topic_prefix)
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka)
    await admin.start()
    try:
        answer = await admin.create_topics([_new(topic) for topic in wanted])
        created = []
        for name, code, *_ in answer.topic_errors:
            if code == _NONE:
                created.append(name)
            elif code != TopicAlreadyExistsError.errno:
                raise for_code(code)(name)
        # The broker that is asked next learns of them a little later than the controller.
        async with asyncio.timeout(_VISIBLE_WITHIN_S):
            while _missing(await _found(admin, wanted), wanted):  # noqa: ASYNC110  # another process is waited for
                await asyncio.sleep(0.02)
        await _check(admin, wanted)
    finally:
        await admin.close()
    return tuple(created)


async def check(settings: KafkaSettings) -> None:
    """Raises `Misconfigured` where a topic is missing or differs; a Kafka error where the cluster is away."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka, request_timeout_ms=5000)
    await admin.start()
    try:
        await _check(admin, declared(settings.partitions, settings.topic_prefix))
    finally:
        await admin.close()


async def _check(admin: AIOKafkaAdminClient, wanted: tuple[Topic, ...]) -> None:
    found = await _found(admin, wanted)
    missing = _missing(found, wanted)
    if missing:
        raise Misconfigured(f"Kafka lacks the topics {', '.join(missing)}: run `aegispay topics`")
    cleanups = await _cleanup_policies(admin, wanted)
    counts = {name: len(topic["partitions"]) for name, topic in found.items()}
    miscounted = [
        f"{topic.name} has {counts[topic.name]} partitions, not {topic.partitions}"
        for topic in wanted
        if counts[topic.name] != topic.partitions
    ]
    if miscounted:
        raise Misconfigured(
            f"{'; '.join(miscounted)}: set AEGISPAY_PARTITIONS to what the topics were created with, "
            "it cannot be changed without breaking the order per payment"
        )
    mistreated = [
        f"{topic.name} has cleanup.policy={cleanups[topic.name]}, not {topic.cleanup}"
        for topic in wanted
        if cleanups[topic.name] != topic.cleanup
    ]
    if mistreated:
        raise Misconfigured(f"{'; '.join(mistreated)}: set it back with kafka-configs.sh --alter")


async def _found(admin: AIOKafkaAdminClient, wanted: tuple[Topic, ...]) -> dict[str, dict[str, Any]]:
    answer = await admin.describe_topics([topic.name for topic in wanted])
    return {topic["topic"]: topic for topic in answer}


def _missing(found: dict[str, dict[str, Any]], wanted: tuple[Topic, ...]) -> list[str]:
    return [topic.name for topic in wanted if found[topic.name]["error_code"] != _NONE]


async def _cleanup_policies(admin: AIOKafkaAdminClient, wanted: tuple[Topic, ...]) -> dict[str, str]:
    resources = [
        ConfigResource(ConfigResourceType.TOPIC, topic.name, configs={"cleanup.policy": ""})
        for topic in wanted
    ]
    policies = {}
    for answer in await admin.describe_configs(resources):
        for code, text, _, name, entries in answer.resources:
            if code != _NONE:
                raise for_code(code)(text)
            policies[name] = next(value for key, value, *_ in entries if key == "cleanup.policy")
    return policies


def _new(topic: Topic) -> NewTopic:
    return NewTopic(
        topic.name,
        topic.partitions,
        _REPLICATION,
        replica_assignments={},  # aiokafka wants it where a count is -1
        topic_configs={"cleanup.policy": topic.cleanup, "retention.ms": str(topic.retention_ms)},
    )
