"""Sends payments on schedule whatever the responses do (open loop). A payment's latency counts from when it
was *due*, so a system that falls behind cannot hide it. The next command of a payment's life is sent when the
step before has ended.

It is cheap on purpose, because it runs beside what it measures: one producer, one consumer, no object per
reply.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID, uuid4

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from commands.client import ENDED, SETTLED
from commands.ids import payment_id
from infra.kafka import reader, topics
from infra.kafka.producers import producer
from infra.settings import KafkaSettings
from infra.tools.traffic.orders import Order

Mix = Literal["sale", "life"]
_LATE_S: Final = 0.05
_ONE_IN_REFUNDED: Final = 5


@dataclass(frozen=True, slots=True)
class Next:
    """A command about an existing payment. `step`: its name in the figures."""

    step: str
    command: str
    raw: bytes


@dataclass(frozen=True, slots=True)
class Due:
    """A create, made before the clock starts, and the commands that follow once it has led to an
    authorization."""

    at_s: float
    payment: str
    raw: bytes
    then: tuple[Next, ...] = ()


@dataclass(slots=True)
class Run:
    """The raw result. `offered_s`: when the last payment was due; `settled_s`: when the last one had
    settled; both in seconds from the start. `late`: sends that the generator itself made more than 50 ms
    late. `steps_ms`: the duration of each step of a life, from when it could be sent to its end; the first
    counts from when it was due."""

    offered: int = 0
    late: int = 0
    offered_s: float = 0.0
    settled_s: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    steps_ms: dict[str, list[float]] = field(default_factory=dict)
    by_status: Counter[str] = field(default_factory=Counter)
    own_cpu_s: float = 0.0
    unsettled: list[str] = field(default_factory=list)


def prepared(
    orders: Sequence[Order], merchant_id: str, expires_in: timedelta, mix: Mix = "sale"
) -> list[Due]:
    """Returns the creates with what follows. `life`: each is authorized, then captured, and every fifth is
    refunded; `sale`: each is captured at once."""
    expires_at = datetime.now(UTC) + expires_in
    return [_due(number, order, merchant_id, expires_at, mix) for number, order in enumerate(orders)]


def _due(number: int, order: Order, merchant_id: str, expires_at: datetime, mix: Mix) -> Due:
    payment = payment_id(merchant_id, order.idempotency_key)
    content = {
        "type": "create_payment.v1",
        "command_id": uuid4(),
        "payment_id": payment,
        "merchant_id": merchant_id,
        "idempotency_key": order.idempotency_key,
        "amount_minor": order.amount_minor,
        "currency": order.currency,
        "payment_method": order.token,
        "customer_id": order.customer_id,
        "country": order.country,
        "description": order.description,
        "metadata": {},
        "expires_at": expires_at,
    }
    if mix == "sale":
        return Due(order.arrives_s, str(payment), orjson.dumps(content))
    steps = ("capture", "refund") if number % _ONE_IN_REFUNDED == 0 else ("capture",)
    then = tuple(_next(step, payment, merchant_id) for step in steps)
    return Due(order.arrives_s, str(payment), orjson.dumps(content | {"capture": "manual"}), then)


def _next(step: str, payment: UUID, merchant_id: str) -> Next:
    command_id = uuid4()
    content = {
        "type": f"{step}_payment.v1",
        "command_id": command_id,
        "payment_id": payment,
        "merchant_id": merchant_id,
    }
    return Next(step, str(command_id), orjson.dumps(content))


@dataclass(slots=True)
class _Lived:
    """The progress of a payment. `step`, `command`: which one's end is waited for; the create's has no
    command here."""

    due_at: float
    since: float
    left: list[Next]
    step: str = "authorize"
    command: str | None = None

    def ended_by(self, reply: dict[str, Any]) -> bool:
        if self.command is None:
            return reply["status"] in SETTLED
        if reply["command_id"] != self.command:
            return False
        # A refused command starts nothing that could end.
        return reply["operation_state"] in ENDED or reply["result"] == "refused"

    def goes_on(self, reply: dict[str, Any]) -> bool:
        if self.command is None:
            return bool(self.left) and reply["status"] == "AUTHORIZED"
        return bool(self.left) and reply["operation_state"] == "APPROVED"

    def begin_next(self, now: float) -> Next:
        following = self.left.pop(0)
        self.step, self.command, self.since = following.step, following.command, now
        return following


class OpenLoop:
    """Sends and measures. `settled` receives each settled payment's id and version."""

    def __init__(
        self,
        settings: KafkaSettings,
        settled: Callable[[UUID, int], None],
        progress: Callable[[int], None],
    ) -> None:
        self._settings = settings
        self._settled = settled
        self._progress = progress
        self._living: dict[str, _Lived] = {}
        self._sent_all = False
        self._began = 0.0

    async def run(self, dues: Sequence[Due], drain_s: float) -> Run:
        """Sends all payments on schedule, then waits up to `drain_s` until each has settled."""
        result = Run(offered=len(dues), offered_s=dues[-1].at_s)
        broker = producer(self._settings, "bench")
        consumer = reader.consumer(
            self._settings.kafka,
            self._settings.topic_prefix + topics.REPLIES,
            client_id="aegispay-bench",
            group_id=None,
            auto_offset_reset="latest",
        )
        await broker.start()
        await consumer.start()
        try:
            for place, end in (await consumer.end_offsets(consumer.assignment())).items():
                consumer.seek(place, end)
            own_s = time.process_time()
            began = self._began = time.monotonic()
            reading = asyncio.create_task(self._read(consumer, broker, result))
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
        result.unsettled = list(self._living)
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
            due_at = began + due.at_s
            self._living[due.payment] = _Lived(due_at, due_at, list(due.then))
            acknowledged = await broker.send(topic, due.raw, key=due.payment.encode())
        await broker.flush()
        if acknowledged is not None:
            await acknowledged

    async def _read(self, consumer: AIOKafkaConsumer, broker: AIOKafkaProducer, result: Run) -> None:
        topic = self._settings.topic_prefix + topics.COMMANDS
        while self._living or not self._sent_all:
            for records in (await consumer.getmany(timeout_ms=200)).values():
                now = time.monotonic()
                for record in records:
                    following = self._take(orjson.loads(record.value), now, result)
                    if following is not None:
                        await broker.send(topic, following.raw, key=record.key)
            self._progress(len(result.latencies_ms))

    def _take(self, reply: dict[str, Any], now: float, result: Run) -> Next | None:
        """Returns the command to send after this reply; None: there is none."""
        payment = reply["payment_id"]
        life = self._living.get(payment) if payment is not None else None
        if life is None or not life.ended_by(reply):
            return None
        if life.left or life.command is not None:
            result.steps_ms.setdefault(life.step, []).append((now - life.since) * 1000)
        if life.goes_on(reply):
            return life.begin_next(now)
        del self._living[payment]
        result.settled_s = now - self._began
        result.latencies_ms.append((now - life.due_at) * 1000)
        result.by_status[reply["status"]] += 1
        self._settled(UUID(payment), reply["version"])
        return None
