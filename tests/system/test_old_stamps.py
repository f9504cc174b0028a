"""Records whose producer's clock is wrong. Kafka deletes by the stamp that a topic keeps: it must be the
broker's own."""

import shutil
import tempfile
import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from commands.messages import dump
from infra.kafka import topic_admin
from infra.settings import KafkaSettings
from infra.tools.local.kafka import Kafka, new_cluster_id
from infra.tools.local.subprocesses import Child
from tests.support import ports
from tests.support.builders import create_payment
from tests.support.environment import Environment, Servers, new_environment
from tests.support.processes import running
from tests.support.until import until

pytestmark = pytest.mark.stack

_LOOKS_OFTEN = "log.initial.task.delay.ms=100\nlog.retention.check.interval.ms=200\n"


@pytest.fixture
async def environment_that_deletes(servers: Servers) -> AsyncIterator[Environment]:
    """On a broker of its own, which looks for old records five times a second."""
    folder = Path(tempfile.mkdtemp(prefix="aegispay-test-kafka-"))
    port, controller_port = ports.free(2)
    kafka = Kafka(folder / "kafka", port, controller_port, new_cluster_id(), folder / "kafka.log")
    await kafka.prepare()
    with (kafka.folder / "server.properties").open("a") as properties:
        properties.write(_LOOKS_OFTEN)
    child = Child(kafka.program())
    await child.ready_within(60)
    environment = new_environment(Servers(kafka.bootstrap, servers.admin_dsn), partitions=1)
    environment.make_schema()
    await topic_admin.create(environment.settings(KafkaSettings, "admin"))
    yield environment
    environment.remove_schema()
    await child.stop()
    shutil.rmtree(folder)


async def test_commands_with_a_wrong_stamp_outlive_a_retention_check_and_are_paid(
    environment_that_deletes, tmp_path
):
    """A backfill, a clock of 1970, and one two hours ahead. The worker is down until Kafka has looked for old
    records."""
    environment = environment_that_deletes
    now_ms = int(time.time() * 1000)
    stamps_ms = (now_ms - 30 * 86_400_000, 1000, now_ms + 2 * 3_600_000)
    commands = [
        create_payment(
            command_id=uuid4(),
            idempotency_key=f"order-{number}",
            expires_at=datetime.now(UTC) + timedelta(hours=1),
        )
        for number in range(len(stamps_ms))
    ]

    async with AIOKafkaProducer(bootstrap_servers=environment.kafka, acks="all") as producer:
        for command, stamp_ms in zip(commands, stamps_ms, strict=True):
            await producer.send_and_wait(
                f"{environment.prefix}payments.commands",
                dump(command),
                key=str(command.payment_id).encode(),
                timestamp_ms=stamp_ms,
            )
    await _a_retention_check(environment)

    async with running(environment, tmp_path) as stack:
        for command in commands:
            await stack.has_status(command.payment_id, "CAPTURED")
            assert len(stack.charges(command.payment_id)) == 1


async def _a_retention_check(environment: Environment) -> None:
    """Returns when one has run that began after this: it deletes an old record of a topic that keeps
    producers' stamps."""
    name = f"control-{uuid4().hex}"
    admin = AIOKafkaAdminClient(bootstrap_servers=environment.kafka)
    await admin.start()
    await admin.create_topics(
        [
            NewTopic(
                name, 1, 1, topic_configs={"message.timestamp.type": "CreateTime", "retention.ms": "3600000"}
            )
        ]
    )
    await admin.close()
    control = TopicPartition(name, 0)
    async with (
        AIOKafkaProducer(bootstrap_servers=environment.kafka) as producer,
        AIOKafkaConsumer(bootstrap_servers=environment.kafka) as consumer,
    ):
        # Twice: the first check after the first record may have begun before the command was there.
        for number in (1, 2):
            long_ago_ms = int((time.time() - 30 * 86_400) * 1000)
            await producer.send_and_wait(name, b"old", timestamp_ms=long_ago_ms)

            async def deleted(number: int = number) -> bool:
                return (await consumer.beginning_offsets([control]))[control] == number

            await until(deleted, "a retention check")
