"""The topics, on a real Kafka."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from infra.errors import Misconfigured
from infra.kafka import topic_admin
from infra.kafka.topics import COMMANDS, EVENTS, declared
from infra.settings import KafkaSettings
from tests.support.environment import Environment, Servers, new_environment

pytestmark = pytest.mark.stack


def _settings(env: Environment, **more: object) -> KafkaSettings:
    return env.settings(KafkaSettings, "admin", **more)


async def test_creating_twice_creates_nothing_the_second_time(environment: Environment):
    assert await topic_admin.create(_settings(environment)) == ()


async def test_created_topics_are_as_declared(environment: Environment):
    await topic_admin.check(_settings(environment))


async def test_another_partition_count_is_refused_with_both_numbers(environment: Environment):
    with pytest.raises(Misconfigured, match=r"payments\.commands has 4 partitions, not 12"):
        await topic_admin.check(_settings(environment, partitions=12))


async def test_creating_does_not_change_the_partition_count_of_what_is_there(environment: Environment):
    with pytest.raises(Misconfigured, match="has 4 partitions, not 12"):
        await topic_admin.create(_settings(environment, partitions=12))

    await topic_admin.check(_settings(environment))


@pytest.mark.parametrize(
    ("name", "wrong", "right"),
    [("cleanup.policy", "compact", "delete"), ("message.timestamp.type", "CreateTime", "LogAppendTime")],
)
async def test_another_cleanup_policy_or_the_producers_timestamps_are_refused(
    environment: Environment, name, wrong, right
):
    admin = AIOKafkaAdminClient(bootstrap_servers=environment.kafka)
    await admin.start()
    try:
        config = {"message.timestamp.type": "LogAppendTime"} | {name: wrong}
        await admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, environment.prefix + EVENTS, config)]
        )
    finally:
        await admin.close()

    async def check_until_refused() -> None:
        # The broker learns of it a little later than the controller.
        async with asyncio.timeout(30):
            while True:
                await topic_admin.check(_settings(environment))

    with pytest.raises(Misconfigured, match=rf"payments\.events has {name}={wrong}, not {right}"):
        await check_until_refused()


async def test_missing_topics_are_named_with_what_to_do(servers: Servers):
    nowhere = new_environment(servers, partitions=4)

    with pytest.raises(
        Misconfigured, match=r"Kafka lacks the topics .*payments\.commands.*`aegispay topics`"
    ):
        await topic_admin.check(_settings(nowhere))


async def test_only_what_is_missing_is_created(servers: Servers):
    environment = new_environment(servers, partitions=4)
    admin = AIOKafkaAdminClient(bootstrap_servers=servers.kafka)
    await admin.start()
    try:
        (there,) = (topic for topic in declared(4, environment.prefix) if topic.name.endswith(COMMANDS))
        await admin.create_topics([topic_admin.new_topic(there, _settings(environment))])

        created = await topic_admin.create(_settings(environment))

        everything = {topic.name for topic in declared(4, environment.prefix)}
        assert set(created) == everything - {environment.prefix + COMMANDS}
        await admin.delete_topics(list(everything))
    finally:
        await admin.close()


async def test_production_refuses_fewer_than_three_replicas_and_two_in_sync(environment: Environment):
    production = _settings(environment, environment="production", one_node=False)

    with pytest.raises(
        Misconfigured, match=r"has 1 replicas, fewer than 3.*min\.insync.replicas=1, less than 2"
    ):
        await topic_admin.check(production)
    with pytest.raises(Misconfigured, match="has 1 replicas, fewer than 3"):
        await topic_admin.create(production)


async def test_production_takes_one_replica_of_a_kafka_that_is_said_to_be_one_node(environment: Environment):
    await topic_admin.check(_settings(environment, environment="production", one_node=True))


async def test_a_cluster_with_too_few_brokers_for_the_replicas_is_named(servers: Servers):
    environment = new_environment(servers, partitions=1)

    with pytest.raises(Misconfigured, match=r"too few brokers for 3 replicas.*AEGISPAY_ONE_NODE"):
        await topic_admin.create(_settings(environment, one_node=False))


@pytest.mark.parametrize(
    ("settings", "copies"),
    [({}, (3, 2)), ({"replication_factor": 5}, (5, 2)), ({"one_node": True}, (1, 1))],
)
def test_topics_are_made_with_three_copies_of_which_two_are_in_sync_unless_set_otherwise(settings, copies):
    assert KafkaSettings(kafka="broker:9092", **settings).copies == copies
