"""The client beside no service: what it refuses before it sends, and how its waits end."""

import asyncio
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer

from commands.client import Client, ClientError, NoReply, Refused
from infra.kafka import topics
from tests.commands.client_orders import ORDER, refused_by
from tests.support import ports

pytestmark = pytest.mark.stack


async def test_a_key_that_may_give_a_card_away_is_refused_before_it_is_hashed(environment):
    async with Client(environment.kafka, merchant_id="demo", topic_prefix=environment.prefix) as client:
        refused = await refused_by(client.void(uuid4(), idempotency_key="4242424242424242"))

    assert (refused.code, refused.path) == ("sensitive_data", "idempotency_key")
    assert await _commands_sent(environment) == []


@pytest.mark.parametrize("name", ["correlation_id", "traceparent"])
async def test_a_header_with_a_card_number_is_refused_before_it_is_sent(environment, name):
    async with Client(environment.kafka, merchant_id="demo", topic_prefix=environment.prefix) as client:
        with pytest.raises(Refused, match=f"sensitive_data at {name}"):
            await client.create_payment(idempotency_key="order-1", **{name: "4242-4242-4242-4242"}, **ORDER)

    assert await _commands_sent(environment) == []


async def test_a_card_number_is_refused_before_it_leaves_the_process(environment):
    async with Client(environment.kafka, merchant_id="demo", topic_prefix=environment.prefix) as client:
        with pytest.raises(Refused, match="sensitive_data at description"):
            await client.create_payment(idempotency_key="order-1", description="4242 4242 4242 4242", **ORDER)

    assert await _commands_sent(environment) == []


async def test_without_a_reply_it_says_that_sending_again_is_safe_and_the_command_stands(environment):
    async with Client(
        environment.kafka, merchant_id="demo", topic_prefix=environment.prefix, reply_timeout_s=1
    ) as client:
        with pytest.raises(NoReply, match="safe to send it again with the same key"):
            await client.create_payment(
                idempotency_key="order-1", correlation_id="c-1", traceparent="00-1-2-01", **ORDER
            )

    (record,) = await _commands_sent(environment)
    assert dict(record.headers) == {"correlation_id": b"c-1", "traceparent": b"00-1-2-01"}
    assert record.key.decode() in record.value.decode()


async def test_closing_the_client_ends_every_wait(environment):
    async with Client(environment.kafka, merchant_id="demo", topic_prefix=environment.prefix) as client:
        waiting = [
            asyncio.create_task(client.create_payment(idempotency_key=f"order-{n}", **ORDER))
            for n in range(3)
        ]
        await asyncio.sleep(0)
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes] == [NoReply] * 3
    with pytest.raises(NoReply, match="open a new client"):
        await client.create_payment(idempotency_key="order-9", **ORDER)


async def test_a_wrong_prefix_and_an_absent_kafka_are_named_and_nothing_is_sent(environment):
    with pytest.raises(ClientError, match="check topic_prefix"):
        async with Client(environment.kafka, merchant_id="demo", topic_prefix="nowhere."):
            pass
    (port,) = ports.free(1)
    with pytest.raises(ClientError, match="Nothing was sent"):
        async with Client(f"127.0.0.1:{port}", merchant_id="demo"):
            pass


async def _commands_sent(environment) -> list:
    topic = environment.prefix + topics.COMMANDS
    async with AIOKafkaConsumer(
        topic, bootstrap_servers=environment.kafka, auto_offset_reset="earliest"
    ) as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        found = []
        while len(found) < sum(ends.values()):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += records
    return found
