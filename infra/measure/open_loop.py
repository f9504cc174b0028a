"""Payments on schedule, whatever the answers do: open loop. A payment's latency counts from when it was *due*, so that a
system that falls behind cannot hide it.

Cheap on purpose, since it runs beside what it measures: one producer, one consumer, no object per reply.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID, uuid4

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from commands.client import SETTLED
from commands.messages import payment_id
from infra import topics
from infra.broker import producer
from infra.settings import KafkaSettings
from infra.shop import Order

_LATE_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class Due:
    """A command, made before the clock starts."""

    at_s: float
    payment: str
    raw: bytes


@dataclass(slots=True)
class Run:
    """`offered_s`: when the last payment was due, `settled_s`: when the last one had settled; both from the start.
    `late`: sends that the generator itself was more than 50 ms late with.
    """

    offered: int = 0
    late: int = 0
    offered_s: float = 0.0
    settled_s: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    by_status: Counter[str] = field(default_factory=Counter)
    own_cpu_s: float = 0.0
    unsettled: list[str] = field(default_factory=list)


def prepared(orders: Sequence[Order], merchant_id: str, expires_in: timedelta) -> list[Due]:
    expires_at = datetime.now(UTC) + expires_in
    return [_due(order, merchant_id, expires_at) for order in orders]


def _due(order: Order, merchant_id: str, expires_at: datetime) -> Due:
    payment = payment_id(merchant_id, order.idempotency_key)
    content = {
        "type": "create_payment.v1",
        "command_id": uuid4(),
        "payment_id": payment,
        "merchant_id": merchant_id,
        "idempotency_key": order.idempotency_key,
        "amount_minor": order.amount_minor,
        "currency": order.currency,
        "payment_method": order.payment_method,
        "customer_id": order.customer_id,
        "country": order.country,
        "description": order.description,
        "metadata": {},
        "expires_at": expires_at,
    }
    return Due(order.arrives_s, str(payment), orjson.dumps(content))


class OpenLoop:
    """`settled` is called with each settled payment's id and version."""

    def __init__(
        self,
        settings: KafkaSettings,
        settled: Callable[[UUID, int], None],
        progress: Callable[[int], None],
    ) -> None:
        self._settings = settings
        self._settled = settled
        self._progress = progress
        self._due_at: dict[str, float] = {}
        self._sent_all = False
        self._began = 0.0

    async def run(self, dues: Sequence[Due], drain_s: float) -> Run:
        """Sends all of them on schedule, then waits until each has settled, at most `drain_s`."""
        result = Run(offered=len(dues), offered_s=dues[-1].at_s)
        broker = producer(self._settings, "bench")
        consumer = AIOKafkaConsumer(
            self._settings.topic_prefix + topics.REPLIES,
            bootstrap_servers=self._settings.kafka,
            client_id="aegispay-bench",
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="latest",
        )
        await broker.start()
        await consumer.start()
        try:
            for place, end in (await consumer.end_offsets(consumer.assignment())).items():
                consumer.seek(place, end)
            own_s = time.process_time()
            began = self._began = time.monotonic()
            reading = asyncio.create_task(self._read(consumer, result))
            await self._send(broker, dues, began, result)
            self._sent_all = True
            await asyncio.wait({reading}, timeout=drain_s)
            if reading.done():
                reading.result()
            reading.cancel()
            await asyncio.wait({reading})
            result.own_cpu_s = time.process_time() - own_s
        finally:
            await consumer.stop()
            await broker.stop()
        result.unsettled = list(self._due_at)
        return result

    async def _send(self, broker: AIOKafkaProducer, dues: Sequence[Due], began: float, result: Run) -> None:
        topic = self._settings.topic_prefix + topics.COMMANDS
        acknowledged: asyncio.Future[Any] | None = None
        for due in dues:
            ahead_s = began + due.at_s - time.monotonic()
            if ahead_s > 0:
                await asyncio.sleep(ahead_s)
            elif ahead_s < -_LATE_S:
                result.late += 1
            self._due_at[due.payment] = began + due.at_s
            acknowledged = await broker.send(topic, due.raw, key=due.payment.encode())
        await broker.flush()
        if acknowledged is not None:
            await acknowledged

    async def _read(self, consumer: AIOKafkaConsumer, result: Run) -> None:
        while self._due_at or not self._sent_all:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                now = time.monotonic()
                for record in records:
                    self._take(orjson.loads(record.value), now, result)
            self._progress(len(result.latencies_ms))

    def _take(self, reply: dict[str, Any], now: float, result: Run) -> None:
        if reply["status"] not in SETTLED or reply["payment_id"] is None:
            return
        due_at = self._due_at.pop(reply["payment_id"], None)
        if due_at is not None:
            result.settled_s = now - self._began
            result.latencies_ms.append((now - due_at) * 1000)
            result.by_status[reply["status"]] += 1
            self._settled(UUID(reply["payment_id"]), reply["version"])
