"""A payment command on Kafka becomes a captured payment, with every process real."""

import asyncio

import pytest
from aiokafka import AIOKafkaProducer

from infra.kafka import dead_letters
from infra.kafka.dead_letters import Letter
from infra.settings import KafkaSettings
from tests.support.movements import minor
from tests.support.until import until

pytestmark = pytest.mark.stack


async def test_a_command_becomes_a_captured_payment_with_one_charge(stack):
    async with stack.client() as client:
        reply = await client.pay(
            idempotency_key="order-1",
            amount_minor=1099,
            currency="GBP",
            payment_method="pm_card_visa",
            customer_id="customer-1",
        )

        await stack.has_status(reply.payment_id, "CAPTURED")
        rows = await stack.rows(
            "SELECT payment_id, status, captured_minor, version FROM payments WHERE currency = 'GBP'"
        )
        assert reply.status == "CAPTURED"
        assert rows == [(reply.payment_id, "CAPTURED", 1099, reply.version)]
        assert _charged(stack, "GBP") == [1099]


async def test_fifty_creates_with_one_key_at_once_are_one_payment_and_one_response(stack):
    async with stack.client() as client:
        replies = await asyncio.gather(
            *(
                client.create_payment(
                    idempotency_key="order-2", amount_minor=500, currency="JPY", payment_method="pm_card_visa"
                )
                for _ in range(50)
            )
        )

        assert {(reply.payment_id, reply.result) for reply in replies} == {
            (replies[0].payment_id, "accepted")
        }
        await stack.has_status(replies[0].payment_id, "CAPTURED")
        assert await stack.rows("SELECT count(*) FROM payments WHERE currency = 'JPY'") == [(1,)]
        assert _charged(stack, "JPY") == [500]


async def test_poison_on_every_topic_stops_nothing_and_is_listed(stack):
    poisoned = ("payments.commands", "gateways.outcomes", "payments.events", "gateways.stripe.requests")
    environment = stack.environment
    async with stack.client() as client:
        producer = AIOKafkaProducer(bootstrap_servers=environment.kafka)
        await producer.start()
        sent = [
            await producer.send_and_wait(environment.prefix + topic, b"\x00 no message", partition=partition)
            for topic in poisoned
            for partition in range(environment.partitions)
        ]
        await producer.stop()

        for number in range(8):
            paid = await client.pay(
                idempotency_key=f"poisoned-{number}",
                amount_minor=1099,
                currency="USD",
                payment_method="pm_card_visa",
            )
            assert paid.status == "CAPTURED"

        settings = environment.settings(KafkaSettings, "audit")
        places = [f"{one.topic}/{one.partition}/{one.offset}" for one in sent]

        async def letters() -> list[Letter]:
            return [one for one in await dead_letters.read(settings, 10_000) if one.place in places]

        async def all_of_them() -> bool:
            return len(await letters()) >= len(places)

        await until(all_of_them, "a dead letter of each poisoned record")
        read = await letters()
        assert sorted(one.place for one in read) == sorted(places)
        assert not any("no message" in str(one.letter) for one in read)


def _charged(stack, currency: str) -> list[int | None]:
    """The currency tells the payments of one test from those of the other."""
    return [minor(charge) for charge in stack.charges() if charge.currency == currency]
