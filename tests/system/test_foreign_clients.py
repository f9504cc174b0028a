"""Commands by producers that are not ours: every codec, in transactions and out of them, with other
partitioners."""

import struct
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaProducer
from aiokafka.record.util import calc_crc32c

from commands.messages import CreatePayment, dump
from commands.parsing import parse_reply
from infra.kafka import dead_letters, topics
from infra.settings import KafkaSettings
from tests.relay.history import records_of
from tests.support.builders import create_payment
from tests.support.environment import Environment
from tests.support.until import until
from tests.system.clients.foreign import HOWS, Batch, Foreign, Go, Java, KafkaJs, Librdkafka, NotAtHand

pytestmark = pytest.mark.stack

_CLIENTS: dict[str, Callable[[Path], Foreign]] = {
    "librdkafka": lambda _: Librdkafka(),
    "librdkafka as Java": lambda _: Librdkafka(partitioner="murmur2_random"),
    "java": Java,
    "franz-go": Go,
    "kafkajs": KafkaJs,
}
_NOT_MURMUR2 = {"librdkafka"}


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[pytest.mark.soak] * (name == "franz-go")) for name in _CLIENTS]
)
async def test_commands_of_every_codec_are_paid_and_those_of_an_aborted_transaction_are_not(
    stack, tmp_path, name
):
    try:
        client = _CLIENTS[name](tmp_path)
    except NotAtHand as why:
        pytest.skip(str(why))
    topic = f"{stack.environment.prefix}payments.commands"
    wanted, never, batches = [], [], []
    for codec, how in product(client.codecs, HOWS):
        orders = [_order() for _ in range(3)]
        (never if how == "aborted" else wanted).extend(orders)
        batches.append(Batch(codec, how, [(str(order.payment_id), dump(order)) for order in orders]))

    await client.send_all(stack.environment.kafka, topic, batches)

    for order in wanted:
        await stack.has_status(order.payment_id, "CAPTURED")
    ids = [order.payment_id for order in never]
    assert await stack.rows("SELECT 1 FROM payment_events WHERE originator_id = ANY(%s)", ids) == []
    assert all(len(stack.charges(order.payment_id)) == 1 for order in wanted)
    hints = await _hints(stack.environment, {order.payment_id for order in wanted})
    assert hints == ({None, "wrong_partition"} if name in _NOT_MURMUR2 else {None})


@pytest.mark.parametrize(
    "topic", ["payments.commands", "gateways.outcomes", "gateways.stripe.requests", "payments.events"]
)
async def test_transactions_and_a_record_that_the_client_cannot_read_stop_no_topic(stack, topic):
    """Kafka takes any bytes as a header's name; aiokafka raises for what is no UTF-8. Aborted poison is never
    seen."""
    environment = stack.environment
    name = f"{environment.prefix}{topic}"
    before = await _letters(environment, name)
    await Librdkafka().send(
        environment.kafka, name, "lz4", "aborted", [(f"k{n}", b"aborted") for n in range(20)]
    )
    await Librdkafka().send(
        environment.kafka, name, "zstd", "committed", [(f"k{n}", b"poison") for n in range(20)]
    )
    beside = [_order() for _ in range(environment.partitions if topic == "payments.commands" else 0)]
    for partition in range(environment.partitions):
        await _send_with_a_name_that_is_no_text(
            environment, name, partition, beside[partition : partition + 1]
        )

    async def all_of_them() -> bool:
        return len(await _letters(environment, name)) - len(before) == 20 + environment.partitions

    await until(all_of_them, "a dead letter of each")
    codes = [one.letter.code for one in (await _letters(environment, name))[len(before) :]]
    assert codes.count("unreadable") == environment.partitions
    for order in beside:
        await stack.has_status(order.payment_id, "CAPTURED")
    order = _order()
    await Librdkafka(partitioner="murmur2_random").send(
        environment.kafka,
        f"{environment.prefix}payments.commands",
        "none",
        "plain",
        [(str(order.payment_id), dump(order))],
    )
    await stack.has_status(order.payment_id, "CAPTURED")


async def _send_with_a_name_that_is_no_text(
    environment: Environment, topic: str, partition: int, beside: Sequence[CreatePayment]
) -> None:
    """One batch: that record, and then the commands."""
    async with AIOKafkaProducer(bootstrap_servers=environment.kafka) as producer:
        batch = producer.create_batch()
        batch.append(key=b"k", value=b"v", timestamp=None, headers=[("zz", b"")])
        for order in beside:
            batch.append(key=str(order.payment_id).encode(), value=dump(order), timestamp=None)
        raw = bytearray(batch._build())
        at = raw.index(b"zz")
        raw[at : at + 2] = b"\xff\xfe"
        struct.pack_into(">I", raw, 17, calc_crc32c(bytes(raw[21:])))
        batch._buffer = bytes(raw)
        await (await producer.send_batch(batch, topic, partition=partition))


def _order() -> CreatePayment:
    return create_payment(
        command_id=uuid4(),
        idempotency_key=f"order-{uuid4()}",
        expires_at=datetime.now(UTC) + timedelta(hours=1),
    )


async def _hints(environment: Environment, payments: set[UUID]) -> set[str | None]:
    """Of the replies to these payments' commands."""
    replies = [parse_reply(record.value) for record in await records_of(environment, topics.REPLIES)]
    return {one.hint for one in replies if one.payment_id in payments and one.kind == "decision"}


async def _letters(environment: Environment, topic: str) -> list[dead_letters.Letter]:
    found = await dead_letters.read(environment.settings(KafkaSettings, "audit"), 10_000)
    return [one for one in found if one.letter.topic == topic]
