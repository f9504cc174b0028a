"""The topics, on a real Kafka."""

import asyncio

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from infra import topic_admin
from infra.misconfigured import Misconfigured
from infra.settings import KafkaSettings
from infra.topics import COMMANDS, EVENTS, declared
from tests.place import Place, Servers, new_place

pytestmark = pytest.mark.stack


def _settings(place: Place, **more: int) -> KafkaSettings:
    return place.settings(KafkaSettings, "admin", **more)


async def test_creating_twice_creates_nothing_the_second_time(place: Place):
    assert await topic_admin.create(_settings(place)) == ()


async def test_created_topics_are_as_declared(place: Place):
    await topic_admin.check(_settings(place))


async def test_another_partition_count_is_refused_with_both_numbers(place: Place):
    with pytest.raises(Misconfigured, match=r"payments\.commands has 4 partitions, not 12"):
        await topic_admin.check(_settings(place, partitions=12))


async def test_creating_does_not_change_the_partition_count_of_what_is_there(place: Place):
    with pytest.raises(Misconfigured, match="has 4 partitions, not 12"):
        await topic_admin.create(_settings(place, partitions=12))

    await topic_admin.check(_settings(place))


async def test_another_cleanup_policy_is_refused(place: Place):
    admin = AIOKafkaAdminClient(bootstrap_servers=place.kafka)
    await admin.start()
    try:
        compacted = {"cleanup.policy": "compact"}
        await admin.alter_configs(
            [ConfigResource(ConfigResourceType.TOPIC, place.prefix + EVENTS, compacted)]
        )
    finally:
        await admin.close()

    async def check_until_refused() -> None:
        # The broker learns of it a little later than the controller.
        async with asyncio.timeout(30):
            while True:
                await topic_admin.check(_settings(place))

    with pytest.raises(Misconfigured, match=r"payments\.events has cleanup\.policy=compact, not delete"):
        await check_until_refused()


async def test_missing_topics_are_named_with_what_to_do(servers: Servers):
    nowhere = new_place(servers, partitions=4)

    with pytest.raises(
        Misconfigured, match=r"Kafka lacks the topics .*payments\.commands.*`aegispay topics`"
    ):
        await topic_admin.check(_settings(nowhere))


async def test_only_what_is_missing_is_created(servers: Servers):
    place = new_place(servers, partitions=4)
    admin = AIOKafkaAdminClient(bootstrap_servers=servers.kafka)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(place.prefix + COMMANDS, 4, 1)])

        created = await topic_admin.create(_settings(place))

        everything = {topic.name for topic in declared(4, place.prefix)}
        assert set(created) == everything - {place.prefix + COMMANDS}
        await admin.delete_topics(list(everything))
    finally:
        await admin.close()
