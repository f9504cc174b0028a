"""What becomes of a compacted topic: its records deleted, as a lost segment is."""

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, RecordsToDelete
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import PolicyViolationError

from infra.kafka import reader, topics
from tests.support.environment import Environment
from tests.support.until import until


async def empty(environment: Environment, name: str) -> None:
    """Deletes all records of the topic; Kafka allows it only while the topic is not compacted."""
    topic = next(
        one for one in topics.declared(1, environment.prefix) if one.name == environment.prefix + name
    )
    places = [TopicPartition(topic.name, number) for number in range(topic.partitions)]
    admin = AIOKafkaAdminClient(bootstrap_servers=environment.kafka)
    await admin.start()
    try:
        async with reader.consumer(environment.kafka) as consumer:
            ends = await consumer.end_offsets(places)
        await _treat(admin, topic.name, "delete")

        async def deleted() -> bool:
            try:
                await admin.delete_records(
                    {place: RecordsToDelete(before_offset=ends[place]) for place in places}
                )
            except PolicyViolationError:  # the broker learns of the other policy a little later
                return False
            return True

        await until(deleted, "the records to be deleted")
        await _treat(admin, topic.name, topic.cleanup)
    finally:
        await admin.close()


async def _treat(admin: AIOKafkaAdminClient, topic: str, cleanup: str) -> None:
    config = {"message.timestamp.type": "LogAppendTime", "cleanup.policy": cleanup}
    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, config)])
