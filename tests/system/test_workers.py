"""Several workers, dead workers, and servers that are away."""

import asyncio
import signal

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from commands.client import NoAnswer
from infra.shop import orders
from tests.system.running import running, shop
from tests.until import until

pytestmark = pytest.mark.stack


@pytest.fixture
def wide(place_of):
    return place_of(12)


async def test_twelve_partitions_and_three_command_workers_one_of_them_killed(wide, tmp_path):
    wanted = list(orders(seed=3, count=300, rate=60, run="twelve", weather="calm"))
    async with running(
        wide,
        tmp_path,
        "simulator",
        "command",
        "command-2",
        "command-3",
        "relay",
        "gateway",
        "timers",
        "views",
    ) as stack:
        shopping = asyncio.create_task(shop(stack, wanted))
        await until(lambda: stack.rows("SELECT 1 FROM payments OFFSET 100"), "a third of the payments")
        await stack.kill("command-2")
        await shopping

        verdict = await stack.verdict()
        assert verdict.ok, verdict.as_json()
        assert sum(verdict.by_status[status] for status in ("CAPTURED", "FAILED")) == 300


async def test_new_payments_wait_while_the_gateway_is_behind_and_none_fails_for_that(place, tmp_path):
    async with running(place, tmp_path, "simulator", "relay", "timers", "views") as stack:
        await stack.start("command", pause_when_requests_wait_s=1)
        async with stack.client(answer_timeout_s=4) as client:
            first = await client.create_payment(**_order("order-1"))

            async def held_back() -> bool:
                return "held back" in (tmp_path / "command.log").read_text()

            await until(held_back, "new payments held back")
            with pytest.raises(NoAnswer):
                await client.create_payment(**_order("order-2"))
            assert (await stack.rows("SELECT count(DISTINCT originator_id) FROM payment_events")) == [(1,)]

            await stack.start("gateway")
            await client.create_payment(**_order("order-2"))
            assert first.status == "PROCESSING"
        await stack.settled(2)
        assert len(stack.charges()) == 2


async def test_a_worker_that_was_stopped_for_a_while_changes_nothing_when_it_goes_on(place, tmp_path):
    """SIGSTOP until another has taken its partitions, SIGCONT: what it still holds conflicts or repeats."""
    wanted = list(orders(seed=5, count=200, rate=40, run="zombies", weather="calm"))
    async with running(place, tmp_path) as stack:
        await stack.start("command-2", "gateway-2")
        shopping = asyncio.create_task(shop(stack, wanted))
        for name in ("command", "gateway"):
            stack.children[name].signal(signal.SIGSTOP)
        await until(lambda: stack.rows("SELECT 1 FROM payments OFFSET 100"), "the others have taken over")
        for name in ("command", "gateway"):
            stack.children[name].signal(signal.SIGCONT)
        await shopping

        verdict = await stack.verdict()
        assert verdict.ok, verdict.as_json()
        assert len(stack.charges()) == verdict.by_status["CAPTURED"]
        assert sum(verdict.by_status[status] for status in ("CAPTURED", "FAILED")) == 200


async def test_poison_on_every_topic_stops_nothing_and_is_listed(place, tmp_path):
    poisoned = ("payments.commands", "gateways.outcomes", "payments.events", "gateways.stripe.requests")
    async with running(place, tmp_path) as stack, stack.client() as client:
        producer = AIOKafkaProducer(bootstrap_servers=place.kafka)
        await producer.start()
        for topic in poisoned:
            for partition in range(place.partitions):
                await producer.send_and_wait(place.prefix + topic, b"\x00 no message", partition=partition)
        await producer.stop()

        for number in range(8):
            assert (await client.pay(**_order(f"order-{number}"))).status == "CAPTURED"

        letters = AIOKafkaConsumer(
            f"{place.prefix}dead.letters", bootstrap_servers=place.kafka, auto_offset_reset="earliest"
        )
        await letters.start()
        read: list[bytes] = []

        async def all_of_them() -> bool:
            for records in (await letters.getmany(timeout_ms=500)).values():
                read.extend(record.value for record in records)
            return len(read) >= len(poisoned) * place.partitions

        await until(all_of_them, "a dead letter of each poisoned record")
        await letters.stop()
        assert len(read) == len(poisoned) * place.partitions
        assert not any(b"no message" in letter for letter in read)


def _order(key: str) -> dict:
    return {"idempotency_key": key, "amount_minor": 1099, "currency": "EUR", "payment_method": "pm_card_visa"}
