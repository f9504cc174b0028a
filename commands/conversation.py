"""The client's side of Kafka: a command out, the replies to it in.

Invariant: a reply to what was sent here is not missed, since the replies are read from before the first command on.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from uuid import UUID

import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from .messages import CreatePayment, InvalidMessage, MerchantCommand, Reply, fingerprint, parse_reply

COMMANDS: Final = "payments.commands"
REPLIES: Final = "payments.replies"

_REQUEST_TIMEOUT_MS: Final = 10_000
_WAITING_MAX: Final = 1_000
_WATCHED_MAX: Final = 10_000


class ClientError(Exception):
    """Of this client. Its text says what to do next."""


class Refused(ClientError):
    """AegisPay will not do it, however often it is sent. Correct what `path` names, and use a new key.

    `amounts`: in minor units, what was asked for, what stands and what is left, where the rule is about amounts.
    """

    def __init__(self, code: str, path: str | None, detail: str | None, reply: Reply | None) -> None:
        super().__init__(f"refused: {code}{f' at {path}' if path else ''}: {detail or 'no detail was given'}")
        self.code = code
        self.path = path
        self.detail = detail
        self.reply = reply
        self.amounts = dict((reply.amounts if reply is not None else None) or {})


class NoAnswer(ClientError):
    """It is not known whether the command was taken. Sending it again with the same key is safe."""


class NotSettled(ClientError):
    """The command is taken and goes on by itself; it had not ended when the time was up. `status` is the last known."""

    def __init__(self, reply: Reply, timeout_s: float) -> None:
        super().__init__(
            f"payment {reply.payment_id} is {reply.status} after {timeout_s:g} s. It goes on by itself: wait again, "
            "ask the query API, or send it again with the same key, which only answers how it stands"
        )
        self.status = reply.status


@dataclass(slots=True)
class _Watch:
    """What this client has heard of one payment. `ended`: of operations, by the command that started them."""

    last: Reply | None = None
    ended: dict[UUID, Reply] = field(default_factory=dict)
    asking: int = 0
    news: "asyncio.Future[None]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def hear(self, reply: Reply) -> None:
        if reply.result == "accepted":
            self.last = reply
            if reply.kind == "update" and reply.operation_id is not None:
                self.ended[reply.command_id] = reply
        heard, self.news = self.news, asyncio.get_running_loop().create_future()
        if not heard.done():
            heard.set_result(None)


class Conversation:
    def __init__(
        self, bootstrap: str, topic_prefix: str, answer_timeout_s: float, kafka: Mapping[str, Any]
    ) -> None:
        self._bootstrap = bootstrap
        self._commands = topic_prefix + COMMANDS
        self._replies = topic_prefix + REPLIES
        self._answer_timeout_s = answer_timeout_s
        self._kafka = dict(kafka)
        # Several, where one key is used again while the first waits: the same id, perhaps for other content.
        self._answers: dict[UUID, list[tuple[str, asyncio.Future[Reply]]]] = {}
        self._watches: OrderedDict[UUID, _Watch] = OrderedDict()
        self._slots = asyncio.Semaphore(_WAITING_MAX)

    async def start(self) -> None:
        """Raises `ClientError`: then nothing was sent."""
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

    async def stop(self) -> None:
        """Ends every wait."""
        self._reader.cancel()
        await asyncio.wait({self._reader})
        await self._stop()

    async def ask(
        self, command: CreatePayment | MerchantCommand, raw: bytes, headers: list[tuple[str, bytes]]
    ) -> Reply:
        watch = self._watch(command.payment_id)
        waiting = self._answers.setdefault(command.command_id, [])
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        waiting.append(own := (fingerprint(command), answer))
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
            waiting.remove(own)
            if not waiting:
                self._answers.pop(command.command_id, None)
            watch.asking -= 1
        if answer.cancelled():
            raise NoAnswer(f"{self._lost()}. {again}")
        return answer.result()

    async def until(self, reply: Reply, timeout_s: float, ended: Callable[[Reply], bool]) -> Reply:
        """The first of the payment's news, `reply` among them, for which `ended` holds."""
        assert reply.payment_id is not None, "only an accepted reply has a payment to wait for"
        if ended(reply):
            return reply
        watch = self._watch(reply.payment_id)
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    for heard in (watch.ended.get(reply.command_id), watch.last):
                        if heard is not None and ended(heard):
                            return heard
                    if self._reader.done() or self._watches.get(reply.payment_id) is not watch:
                        raise NoAnswer(
                            f"{self._lost()}; send it again with the same key to see how it stands"
                        )
                    await asyncio.wait({watch.news})
        except TimeoutError:
            raise NotSettled(watch.last or reply, timeout_s) from None

    async def _send(
        self,
        command: CreatePayment | MerchantCommand,
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
                self._watches.pop(idle).news.cancel()
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
            asking = self._answers.get(UUID(content["command_id"]), [])
            watch = self._watches.get(UUID(content["payment_id"])) if content["payment_id"] else None
            reply = parse_reply(raw) if asking or watch else None
        except (InvalidMessage, ValueError, KeyError, TypeError, AttributeError):
            return  # of a later version than this client
        if reply is None:
            return
        for given, answer in asking:
            if reply.kind == "answer" and reply.fingerprint in {None, given} and not answer.done():
                answer.set_result(reply)
        if watch is not None:
            watch.hear(reply)

    def _give_up(self) -> None:
        """No reply will be read any more: nobody may wait for one."""
        for asking in self._answers.values():
            for _, answer in asking:
                answer.cancel()
        for watch in self._watches.values():
            watch.news.cancel()

    def _lost(self) -> str:
        if self._reader.cancelled() or not self._reader.done():
            return "the client was closed, or waits for too many payments at once"
        return f"the replies can no longer be read: {self._reader.exception()!r}"

    async def _stop(self) -> None:
        await self._consumer.stop()
        await self._producer.stop()
