"""The reader of a compacted topic, on a real Kafka."""

import asyncio
import json
from typing import Any

import pytest

from commands.messages import InvalidMessage
from infra.kafka import topics
from infra.kafka.compacted import CompactedTopic
from infra.kafka.producers import producing
from infra.settings import KafkaSettings
from tests.support.environment import Environment
from tests.support.until import until
from tests.system.clients.foreign import Librdkafka

pytestmark = pytest.mark.stack


def read(raw: bytes) -> Any:
    found = json.loads(raw)
    if found == "not mine":
        raise InvalidMessage("field_invalid", None, "of another kind")
    return found


def settings_of(environment: Environment) -> KafkaSettings:
    return environment.settings(KafkaSettings, "admin")


def topic_of(environment: Environment, **more: Any) -> CompactedTopic[Any]:
    return CompactedTopic(settings_of(environment), topics.HEALTH, read, **more)


async def write(environment: Environment, *pairs: tuple[str, Any]) -> None:
    async with producing(settings_of(environment), "test") as producer:
        for key, value in pairs:
            raw = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
            await producer.send_and_wait(environment.prefix + topics.HEALTH, raw, key=key.encode())


async def test_it_knows_the_latest_value_of_each_key_at_the_start_and_follows(environment: Environment):
    await write(environment, ("a", 1), ("b", 1), ("gone", 1), ("a", 2), ("gone", None))

    async with topic_of(environment) as topic:
        at_first = topic.now()
        assert at_first == {"a": 2, "b": 1}
        await write(environment, ("b", 3), ("a", None))
        await until(lambda: topic.now() == {"b": 3}, "the change")

    assert at_first == {"a": 2, "b": 1}, "what a caller holds does not change under it"


async def test_an_empty_topic_does_not_hold_the_start_up(environment: Environment):
    async with asyncio.timeout(4), topic_of(environment) as topic:
        assert topic.now() == {}


async def test_a_record_without_use_changes_nothing_and_what_follows_it_is_read(environment: Environment):
    await write(environment, ("a", 1), ("a", b"{"), ("a", "not mine"), ("b", 2))

    async with topic_of(environment) as topic:
        assert topic.now() == {"a": 1, "b": 2}


async def test_what_a_transaction_has_aborted_is_no_value(environment: Environment):
    await write(environment, ("a", 1))
    await Librdkafka().send(
        environment.kafka, environment.prefix + topics.HEALTH, "snappy", "aborted", [("a", b"2")]
    )

    async with topic_of(environment) as topic:
        await write(environment, ("b", 3))
        await until(lambda: "b" in topic.now(), "the record behind it")
        assert topic.now() == {"a": 1, "b": 3}


async def test_no_more_keys_are_held_than_allowed(environment: Environment):
    await write(environment, ("a", 1), ("b", 1), ("c", 1), ("b", 2))

    async with topic_of(environment, keys_max=2) as topic:
        assert topic.now() == {"a": 1, "b": 2}


async def test_without_kafka_the_start_goes_on_with_nothing(environment: Environment):
    settings = environment.settings(KafkaSettings, "admin", kafka="127.0.0.1:9")

    async with CompactedTopic(settings, topics.HEALTH, read, first_within_s=0.2) as topic:
        assert topic.now() == {}


async def test_a_bug_in_reading_is_raised_to_who_asks(environment: Environment):
    await write(environment, ("a", 1))

    def fails(raw: bytes) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with CompactedTopic(settings_of(environment), topics.HEALTH, fails) as topic:
            topic.now()
