"""What stands behind a producer's open transaction, on a real Kafka."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError

from infra.kafka import open_transactions, reader, topics
from infra.kafka.open_transactions import PATIENCE_S, SECONDS, OpenTransactions
from infra.process.runtime import Process
from infra.settings import CommandWorkerSettings
from infra.workers import command
from tests.support.environment import Environment
from tests.support.until import until

pytestmark = pytest.mark.stack


@dataclass
class Hands:
    now_s: float = 0.0

    def __call__(self) -> float:
        return self.now_s


def transactional(environment: Environment, timeout_ms: int = 60_000) -> AIOKafkaProducer:
    return AIOKafkaProducer(
        bootstrap_servers=environment.kafka,
        transactional_id=f"shop-{uuid4()}",
        transaction_timeout_ms=timeout_ms,
    )


async def test_a_worker_behind_an_open_transaction_is_not_ready_and_says_where_until_it_has_ended(
    environment: Environment,
):
    topic = environment.prefix + topics.COMMANDS
    commands = TopicPartition(topic, 0)
    process, clock = Process("command"), Hands()
    process.ready()
    async with reader.consumer(environment.kafka) as consumer, transactional(environment) as shop:
        consumer.assign([commands])
        consumer.seek(commands, 0)
        transactions = OpenTransactions(consumer, process, clock)

        async def look(stable: int, end: int) -> bool:
            await consumer.getmany(timeout_ms=100)
            return (consumer.last_stable_offset(commands), consumer.highwater(commands)) == (stable, end)

        await shop.begin_transaction()
        await shop.send_and_wait(topic, b"{}", key=b"k", partition=0)
        await until(lambda: look(0, 1), "the consumer sees an open transaction")
        transactions.look()
        assert process.state == "ready"

        clock.now_s = PATIENCE_S
        transactions.look()
        assert process.state == "ready"

        clock.now_s = PATIENCE_S + 1
        transactions.look()
        assert f"open transaction: {topic}/0/0" in process.state
        assert SECONDS._value.get() == PATIENCE_S + 1

        await shop.abort_transaction()
        await until(lambda: look(2, 2), "the consumer sees its end")
        transactions.look()
        assert (process.state, SECONDS._value.get()) == ("ready", 0.0)

        # Another transaction has its own time.
        await shop.begin_transaction()
        await shop.send_and_wait(topic, b"{}", key=b"k", partition=0)
        await until(lambda: look(2, 3), "the consumer sees the next one")
        transactions.look()
        assert process.state == "ready"
        await shop.commit_transaction()


async def test_a_client_that_wants_its_transactions_open_for_longer_than_a_minute_is_refused(
    environment: Environment,
):
    async with transactional(environment):
        pass

    shop = transactional(environment, timeout_ms=900_000)
    with pytest.raises(KafkaError):
        await shop.start()
    await shop.stop()


async def test_the_command_worker_looks_for_them_while_it_reads_nothing(
    environment: Environment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(open_transactions, "PATIENCE_S", 0.0)
    (tmp_path / "accounts.toml").write_text("[merchants]\n[accounts]\n")
    settings = environment.settings(
        CommandWorkerSettings, "command", accounts_file=tmp_path / "accounts.toml"
    )
    process = Process("command")
    async with transactional(environment) as shop, asyncio.TaskGroup() as tasks:
        await shop.begin_transaction()
        await shop.send_and_wait(environment.prefix + topics.COMMANDS, b"{}", key=b"k", partition=0)
        tasks.create_task(command.main(process, settings))
        await until(lambda: "open transaction" in process.state, "the worker reports it")

        await shop.abort_transaction()
        await until(lambda: process.state == "ready", "the worker is ready again")
        process.stop.set()
