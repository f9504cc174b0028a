"""Several workers, dead workers, and servers that are away."""

import asyncio
import signal
import zlib
from collections.abc import Iterator
from uuid import uuid4

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.partitioner import murmur2

from commands.client import NoReply
from commands.ids import payment_id
from commands.messages import RefundPayment, dump
from commands.reply import Reply
from infra.tools.traffic.orders import orders
from tests.support.environment import Environment
from tests.support.processes import ALL, Running, running, shared, shop
from tests.support.until import until
from tests.system.clients.foreign import Librdkafka

pytestmark = pytest.mark.stack


@pytest.fixture
def wide(environment_of):
    return environment_of(12)


@pytest.fixture(scope="module")
def pairs(shared_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Two command workers and two gateway workers."""
    names = (*ALL, "command-2", "gateway-2")
    with shared(shared_environment, tmp_path_factory.mktemp("pairs"), *names) as made:
        yield made


@pytest.mark.soak
async def test_twelve_partitions_and_three_command_workers_one_of_them_killed(wide, tmp_path):
    wanted = list(orders(seed=3, count=300, rate=60, run="twelve", conditions="calm"))
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
        "read-models",
    ) as stack:
        shopping = asyncio.create_task(shop(stack, wanted))
        await until(lambda: stack.rows("SELECT 1 FROM payments OFFSET 100"), "a third of the payments")
        await stack.kill("command-2")
        await shopping

        verdict = await stack.verdict()
        assert verdict.ok, verdict.as_json()
        assert sum(verdict.by_status[status] for status in ("CAPTURED", "FAILED")) == 300


async def test_new_payments_wait_while_the_gateway_is_behind_and_none_fails_for_that(environment, tmp_path):
    async with running(environment, tmp_path, "simulator", "relay", "timers", "read-models") as stack:
        await stack.start("command", pause_when_requests_wait_s=1)
        async with stack.client(reply_timeout_s=4) as client:
            first = await client.create_payment(**_order("order-1"))

            async def held_back() -> bool:
                return "held back" in (tmp_path / "command.log").read_text()

            await until(held_back, "new payments held back")
            with pytest.raises(NoReply):
                await client.create_payment(**_order("order-2"))
            assert (await stack.rows("SELECT count(DISTINCT originator_id) FROM payment_events")) == [(1,)]

            await stack.start("gateway")
            await client.create_payment(**_order("order-2"))
            assert first.status == "PROCESSING"
        await stack.settled(2)
        assert len(stack.charges()) == 2


async def test_a_worker_that_was_stopped_for_a_while_changes_nothing_when_it_goes_on(pairs):
    """SIGSTOP until another has taken its partitions, SIGCONT: what it still holds conflicts or repeats."""
    wanted = list(orders(seed=5, count=200, rate=40, run="zombies", conditions="calm"))
    shopping = asyncio.create_task(shop(pairs, wanted))
    for name in ("command", "gateway"):
        pairs.children[name].signal(signal.SIGSTOP)
    await until(lambda: pairs.rows("SELECT 1 FROM payments OFFSET 100"), "the others have taken over")
    for name in ("command", "gateway"):
        pairs.children[name].signal(signal.SIGCONT)
    await shopping

    verdict = await pairs.verdict()
    assert verdict.ok, verdict.as_json()
    payments = [payment_id("demo", order.idempotency_key) for order in wanted]
    ended = dict(
        await pairs.rows(
            "SELECT status, count(*) FROM payments WHERE payment_id = ANY(%s) GROUP BY status", payments
        )
    )
    assert ended.keys() <= {"CAPTURED", "FAILED"}
    assert sum(ended.values()) == 200
    assert sum(len(pairs.charges(payment)) for payment in payments) == ended["CAPTURED"]


def _order(key: str) -> dict:
    return {"idempotency_key": key, "amount_minor": 1099, "currency": "EUR", "payment_method": "pm_card_visa"}


async def test_two_partitioners_end_no_worker_and_their_commands_take_effect_once(pairs):
    """Each refund comes by CRC-32 of the key, librdkafka's default, and by murmur2: two workers decide it at
    once."""
    environment = pairs.environment
    async with pairs.client() as client:
        paid = await asyncio.gather(*[client.pay(**_order(f"order-{number}")) for number in range(10)])
    refunds = [
        RefundPayment(command_id=uuid4(), payment_id=payment.payment_id, merchant_id="demo", amount_minor=10)
        for payment in paid
        for _ in range(60)
    ]
    records = [(str(refund.payment_id), dump(refund)) for refund in refunds]
    topic = f"{environment.prefix}payments.commands"
    await asyncio.gather(
        Librdkafka().send(environment.kafka, topic, "none", "plain", records),
        Librdkafka(partitioner="murmur2_random").send(environment.kafka, topic, "snappy", "plain", records),
    )

    for payment in paid:
        assert payment.payment_id is not None

        async def all_of_them(payment_id=payment.payment_id) -> bool:
            return sum(one.kind == "refunded" for one in pairs.movements(payment_id)) == 60

        await until(all_of_them, "60 refunds", 120)
    assert all(pairs.children[name].exit_code is None for name in ("command", "command-2"))
    strays = {
        id_ for id_, _ in records if zlib.crc32(id_.encode()) % 4 != (murmur2(id_.encode()) & 0x7FFFFFFF) % 4
    }
    assert strays
    hinted = {
        str(reply.payment_id) for reply in await _replies(environment) if reply.hint == "wrong_partition"
    }
    assert hinted == strays
    for name in ("command", "command-2"):
        assert (pairs.folder / f"{name}.log").read_text().count(
            "a producer's partitioner is not murmur2"
        ) <= 1
    verdict = await pairs.verdict()
    assert verdict.ok, verdict.as_json()


async def _replies(environment: Environment) -> list[Reply]:
    """All that stand on the topic."""
    async with AIOKafkaConsumer(
        f"{environment.prefix}payments.replies",
        bootstrap_servers=environment.kafka,
        auto_offset_reset="earliest",
    ) as consumer:
        ends = await consumer.end_offsets(consumer.assignment())
        found = []
        while any([await consumer.position(one) < end for one, end in ends.items()]):
            for records in (await consumer.getmany(timeout_ms=500)).values():
                found += [Reply.model_validate_json(record.value) for record in records]
    return [reply for reply in found if reply.kind == "decision"]
