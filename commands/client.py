"""The producers' client: payment commands to Kafka, and the replies to them.

Invariant: whatever fails here, sending the same idempotency key with the same content again is safe.
Published as `aegispay_client`, together with messages.py; it imports nothing else of AegisPay.
"""

import asyncio
import uuid
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any, Final, Self
from uuid import UUID

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from .messages import CreatePayment, InvalidMessage, Reply, parse_command, parse_reply, payment_id

COMMANDS: Final = "payments.commands"
REPLIES: Final = "payments.replies"
SETTLED: Final = frozenset({"CAPTURED", "FAILED", "REJECTED", "REQUIRES_ACTION"})
"""Nothing more happens to such a payment by itself. IN_DOUBT is not among them: the PSP is still being asked."""

_REQUEST_TIMEOUT_MS: Final = 10_000
_WAITING_MAX: Final = 1_000
_WATCHED_MAX: Final = 10_000


class ClientError(Exception):
    """Of this client. Its text says what to do next."""


class Refused(ClientError):
    """AegisPay will not do it, however often it is sent. Correct what `path` names, and use a new key."""

    def __init__(self, code: str, path: str | None, detail: str | None, reply: Reply | None) -> None:
        super().__init__(f"refused: {code}{f' at {path}' if path else ''}: {detail or 'no detail was given'}")
        self.code = code
        self.path = path
        self.detail = detail
        self.reply = reply


class NoAnswer(ClientError):
    """It is not known whether the command was taken. Sending it again with the same key is safe."""


class NotSettled(ClientError):
    """The payment is taken and goes on by itself; it had not ended when the time was up. `status` is the last known."""

    def __init__(self, reply: Reply, timeout_s: float) -> None:
        super().__init__(
            f"payment {reply.payment_id} is {reply.status} after {timeout_s:g} s. It goes on by itself: wait again, "
            "ask the query API, or create it again with the same key, which only answers how it stands"
        )
        self.status = reply.status


@dataclass(slots=True)
class _Watch:
    """What this client waits for about one payment."""

    last: Reply | None = None
    asking: int = 0
    settled: "asyncio.Future[Reply]" = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Client:
    """One per process and merchant; used by any number of tasks at once.

    `kafka`: further settings of aiokafka for both connections, e.g. security_protocol and ssl_context.
    `answer_timeout_s` bounds a create, from its send to its answer.
    """

    def __init__(
        self,
        bootstrap: str,
        *,
        merchant_id: str,
        topic_prefix: str = "",
        answer_timeout_s: float = 10.0,
        kafka: Mapping[str, Any] | None = None,
    ) -> None:
        self._bootstrap = bootstrap
        self._merchant_id = merchant_id
        self._commands = topic_prefix + COMMANDS
        self._replies = topic_prefix + REPLIES
        self._answer_timeout_s = answer_timeout_s
        self._kafka = dict(kafka or {})
        self._answers: dict[UUID, asyncio.Future[Reply]] = {}
        self._watches: OrderedDict[UUID, _Watch] = OrderedDict()
        self._slots = asyncio.Semaphore(_WAITING_MAX)

    async def __aenter__(self) -> Self:
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            **self._kafka,
        )
        # Without a group, every partition: any client's replies may be in any of them.
        self._consumer = AIOKafkaConsumer(
            self._replies,
            bootstrap_servers=self._bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            fetch_max_wait_ms=100,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            **self._kafka,
        )
        try:
            await self._producer.start()
            await self._consumer.start()
            # Positioned before the first send: an answer that comes at once is not behind us.
            for place, end in (await self._consumer.end_offsets(self._consumer.assignment())).items():
                self._consumer.seek(place, end)
        except UnknownTopicOrPartitionError as error:
            await self._stop()
            raise ClientError(
                f"Kafka at {self._bootstrap} has no topic {self._replies}: check topic_prefix"
            ) from error
        except (KafkaError, OSError) as error:
            await self._stop()
            raise ClientError(
                f"Kafka at {self._bootstrap} does not answer: {error}. Nothing was sent"
            ) from error
        self._reader = asyncio.create_task(self._read())
        self._reader.add_done_callback(lambda _: self._give_up())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._reader.cancel()
        await asyncio.wait({self._reader})
        await self._stop()

    async def create_payment(
        self,
        *,
        idempotency_key: str,
        amount_minor: int,
        currency: str,
        payment_method: str,
        customer_id: str | None = None,
        country: str | None = None,
        description: str | None = None,
        metadata: Mapping[str, str] | None = None,
        expires_in: timedelta = timedelta(minutes=15),
        correlation_id: str | None = None,
        traceparent: str | None = None,
    ) -> Reply:
        """Returns once it is decided; the money moves after that (`wait_settled`). Raises `Refused`, `NoAnswer`.

        One key names one payment for ever: a repeat is answered with how that payment stands. `payment_method` is
        a PSP's token. No call that moves money is sent later than `expires_in` from now.
        """
        content = {
            "type": "create_payment.v1",
            "command_id": uuid.uuid4(),
            "payment_id": payment_id(self._merchant_id, idempotency_key),
            "merchant_id": self._merchant_id,
            "idempotency_key": idempotency_key,
            "amount_minor": amount_minor,
            "currency": currency,
            "payment_method": payment_method,
            "customer_id": customer_id,
            "country": country,
            "description": description,
            "metadata": dict(metadata or {}),
            "expires_at": datetime.now(UTC) + expires_in,
        }
        raw = orjson.dumps(content)
        try:
            command = parse_command(raw)
        except InvalidMessage as invalid:
            raise Refused(invalid.code, invalid.path, invalid.detail, None) from None
        assert isinstance(command, CreatePayment)
        headers = [("correlation_id", (correlation_id or str(command.command_id)).encode())]
        if traceparent is not None:
            headers.append(("traceparent", traceparent.encode()))
        async with self._slots:
            reply = await self._ask(command, raw, headers)
        if reply.result == "refused":
            raise Refused(reply.code or "refused", reply.path, reply.detail, reply)
        return reply

    async def wait_settled(self, reply: Reply, timeout_s: float = 30.0) -> Reply:
        """The reply that says how the payment ended: one of `SETTLED`. Raises `NotSettled`, `NoAnswer`."""
        assert reply.payment_id is not None, "only an accepted reply has a payment to wait for"
        if reply.status in SETTLED:
            return reply
        watch = self._watch(reply.payment_id)
        await asyncio.wait({watch.settled}, timeout=timeout_s)
        if watch.settled.cancelled():
            raise NoAnswer(f"{self._lost()}; create the payment again with the same key to see how it stands")
        if not watch.settled.done():
            raise NotSettled(watch.last or reply, timeout_s)
        return watch.settled.result()

    async def pay(self, *, timeout_s: float = 30.0, **create: Any) -> Reply:
        """`create_payment`, which takes `create`, and `wait_settled`."""
        return await self.wait_settled(await self.create_payment(**create), timeout_s)

    async def _ask(self, command: CreatePayment, raw: bytes, headers: list[tuple[str, bytes]]) -> Reply:
        watch = self._watch(command.payment_id)
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._answers[command.command_id] = answer
        watch.asking += 1
        again = "It is safe to send it again with the same key and content"
        try:
            async with asyncio.timeout(self._answer_timeout_s):
                await self._send(command, raw, headers, answer)
                await asyncio.wait({answer})
        except TimeoutError:
            waited = f"no answer within {self._answer_timeout_s:g} s about payment {command.payment_id}"
            raise NoAnswer(f"{waited}. {again}") from None
        except KafkaError as error:
            raise NoAnswer(f"Kafka did not acknowledge the command: {error}. {again}") from error
        finally:
            del self._answers[command.command_id]
            watch.asking -= 1
        if answer.cancelled():
            raise NoAnswer(f"{self._lost()}. {again}")
        return answer.result()

    async def _send(
        self,
        command: CreatePayment,
        raw: bytes,
        headers: list[tuple[str, bytes]],
        answer: "asyncio.Future[Reply]",
    ) -> None:
        """Until the broker has it, or there is nothing left to wait for: a producer that was stopped never says so."""
        key = str(command.payment_id).encode()
        sending = asyncio.create_task(
            self._producer.send_and_wait(self._commands, raw, key=key, headers=headers)
        )
        try:
            await asyncio.wait({sending, answer}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            sending.cancel()

    def _watch(self, payment: UUID) -> _Watch:
        if self._reader.done():
            raise NoAnswer(f"{self._lost()}; open a new client")
        watch = self._watches.get(payment)
        if watch is None:
            watch = self._watches[payment] = _Watch()
            if len(self._watches) > _WATCHED_MAX:
                idle = next(name for name, other in self._watches.items() if not other.asking)
                self._watches.pop(idle).settled.cancel()
        return watch

    async def _read(self) -> None:
        while True:
            for records in (await self._consumer.getmany(timeout_ms=1000)).values():
                for record in records:
                    self._take(record.value)

    def _take(self, raw: bytes) -> None:
        try:
            content = orjson.loads(raw)
            # Most replies are for others: their ids are all that is looked at. Where a command was not even read,
            # its reply names no payment.
            answer = self._answers.get(UUID(content["command_id"]))
            watch = self._watches.get(UUID(content["payment_id"])) if content["payment_id"] else None
            reply = parse_reply(raw) if answer or watch else None
        except (InvalidMessage, ValueError, KeyError, TypeError, AttributeError):
            return  # of a later version than this client
        if reply is None:
            return
        if answer is not None and reply.kind == "answer" and not answer.done():
            answer.set_result(reply)
        if watch is not None:
            watch.last = reply
            if reply.status in SETTLED and not watch.settled.done():
                watch.settled.set_result(reply)

    def _give_up(self) -> None:
        """No reply will be read any more: nobody may wait for one."""
        for future in (*self._answers.values(), *(watch.settled for watch in self._watches.values())):
            future.cancel()

    def _lost(self) -> str:
        if self._reader.cancelled() or not self._reader.done():
            return "the client was closed, or waits for too many payments at once"
        return f"the replies can no longer be read: {self._reader.exception()!r}"

    async def _stop(self) -> None:
        await self._consumer.stop()
        await self._producer.stop()
