"""The reader of a compacted topic, on a real Kafka."""

import asyncio
import json
import signal
from pathlib import Path
from typing import Any

import pytest
import structlog

from commands.messages import InvalidMessage
from infra.kafka import topic_admin, topics
from infra.kafka.compacted import SKIPPED, CompactedTopic
from infra.kafka.producers import producing
from infra.settings import KafkaSettings
from infra.tools.local.kafka import Kafka, new_cluster_id
from infra.tools.local.subprocesses import Child
from tests.support import ports
from tests.support.environment import Environment
from tests.support.until import until
from tests.system.clients.foreign import Librdkafka

pytestmark = pytest.mark.stack

_JAVA_OPTIONS = "-XX:TieredStopAtLevel=1"


def read(raw: bytes) -> Any:
    found = json.loads(raw)
    if found == "not mine":
        raise InvalidMessage("field_invalid", None, "of another kind")
    return found


def settings_of(environment: Environment) -> KafkaSettings:
    return environment.settings(KafkaSettings, "admin")


def topic_of(environment: Environment, **more: Any) -> CompactedTopic[Any]:
    return CompactedTopic(settings_of(environment), topics.HEALTH, read, **{"key_of": lambda _: None} | more)


async def write(environment: Environment, *pairs: tuple[str, Any]) -> None:
    await write_by(settings_of(environment), *pairs)


async def write_by(settings: KafkaSettings, *pairs: tuple[str, Any]) -> None:
    async with producing(settings, "test") as producer:
        for key, value in pairs:
            raw = value if value is None or isinstance(value, bytes) else json.dumps(value).encode()
            await producer.send_and_wait(settings.topic_prefix + topics.HEALTH, raw, key=key.encode())


async def test_it_knows_the_latest_value_of_each_key_at_the_start_and_follows(environment: Environment):
    await write(environment, ("a", 1), ("b", 1), ("gone", 1), ("a", 2), ("gone", None))

    async with topic_of(environment) as topic:
        assert topic.whole
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


async def test_a_record_under_a_key_that_is_not_its_contents_own_is_skipped_counted_and_logged(
    environment: Environment,
):
    named = [{"name": "a", "is": "mine"}, {"name": "b", "is": "forged"}, {"is": "without a name"}]
    await write(environment, ("a", named[0]), ("a", named[1]), ("c", named[1]), ("d", named[2]))
    before = SKIPPED.labels(topics.HEALTH)._value.get()

    with structlog.testing.capture_logs() as logs:
        async with topic_of(environment, key_of=lambda one: one.get("name")) as topic:
            assert topic.now() == {"a": named[0], "d": named[2]}

    assert SKIPPED.labels(topics.HEALTH)._value.get() == before + 2
    assert [one["reason"] for one in logs if one["event"] == "a record cannot be used"] == ["wrong_key"] * 2


async def test_after_a_forged_change_that_holds_all_later_ones_off_a_deletion_lets_them_in(
    environment: Environment,
):
    await write(environment, ("a", 7), ("a", 2**31 - 1), ("a", 8))
    newest = {"replaces": lambda read_, held: read_ >= held}

    async with topic_of(environment, **newest) as topic:
        assert topic.now() == {"a": 2**31 - 1}
        await write(environment, ("a", None), ("a", 8))
        await until(lambda: topic.now() == {"a": 8}, "the policy of the relay")


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

    async with CompactedTopic(
        settings, topics.HEALTH, read, key_of=lambda _: None, first_within_s=0.2
    ) as topic:
        assert topic.now() == {}
        assert not topic.whole


async def test_a_bug_in_reading_is_raised_to_who_asks(environment: Environment):
    await write(environment, ("a", 1))

    def fails(raw: bytes) -> Any:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        async with CompactedTopic(
            settings_of(environment), topics.HEALTH, fails, key_of=lambda _: None
        ) as topic:
            topic.now()


async def test_while_its_broker_is_away_the_last_values_stay_and_later_ones_come_when_it_is_back(
    tmp_path: Path,
):
    """A Kafka of the test's own, killed and started again on its data."""
    port, controller_port = ports.free(2)
    kafka = Kafka(tmp_path / "kafka", port, controller_port, new_cluster_id(), tmp_path / "kafka.log")
    await kafka.prepare()
    broker = Child(kafka.program(_JAVA_OPTIONS))
    await broker.ready_within(60)
    settings = KafkaSettings(kafka=kafka.bootstrap, topic_prefix="own.", partitions=1, one_node=True)
    try:
        await topic_admin.create(settings)
        await write_by(settings, ("a", 1))
        async with CompactedTopic(settings, topics.HEALTH, read, key_of=lambda _: None) as topic:
            assert topic.now() == {"a": 1}
            broker.signal(signal.SIGKILL)
            await broker.ended()
            assert topic.now() == {"a": 1}

            broker = Child(kafka.program(_JAVA_OPTIONS))
            await broker.ready_within(60)
            await write_by(settings, ("a", 2))
            await until(lambda: topic.now() == {"a": 2}, "the value of after the restart")
    finally:
        await broker.stop()
