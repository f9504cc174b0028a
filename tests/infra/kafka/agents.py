"""Agents under test: run in this process, and given records."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from infra.kafka.faust_runtime import Agent, run_agents
from infra.process.runtime import Process
from infra.settings import KafkaSettings
from tests.support.until import until


@asynccontextmanager
async def running(
    settings: KafkaSettings, group: str, agents: Sequence[Agent]
) -> AsyncIterator["asyncio.Task[None]"]:
    """From its first partitions to its orderly end; the task raises what a handler raised."""
    process = Process("test")
    task = asyncio.create_task(run_agents(process, settings, group, agents))
    try:
        await until(lambda: process.state == "ready" or task.done())
        yield task
    finally:
        process.stop.set()
        await asyncio.wait([task])
    task.result()


@asynccontextmanager
async def sending(kafka: str) -> AsyncIterator[AIOKafkaProducer]:
    producer = AIOKafkaProducer(bootstrap_servers=kafka, enable_idempotence=True)
    await producer.start()
    try:
        yield producer
    finally:
        await producer.stop()


async def send(kafka: str, topic: str, values: Sequence[bytes], partition: int = 0) -> None:
    """Each with a key of its own."""
    async with sending(kafka) as producer:
        for number, value in enumerate(values):
            await producer.send_and_wait(
                topic, value, key=b"%d/%d" % (partition, number), partition=partition
            )


async def committed(kafka: str, group: str, topic: str, partition: int = 0) -> int:
    """0 where nothing was."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(group)
    finally:
        await admin.close()
    found = offsets.get(TopicPartition(topic, partition))
    return 0 if found is None else max(found.offset, 0)
