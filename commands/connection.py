"""The client's connection to Kafka: it sends commands, and keeps the newest replies about their payments.

Invariant: nobody waits for a reply that cannot come: every wait ends with its timeout, with the reader of the
replies, or when the client is closed.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, Final
from uuid import UUID

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError, UnknownTopicOrPartitionError

from .messages import CreatePayment, MerchantCommand
from .reply import Reply
from .reply_stream import Receiver, ReplyListener

COMMANDS: Final = "payments.commands"
REPLIES: Final = "payments.replies"

_REQUEST_TIMEOUT_MS: Final = 10_000
_WATCHED_MAX: Final = 10_000  # payments


class ClientError(Exception):
    """Base of this client's errors. Its text names the next thing to do."""


class Refused(ClientError):
    """AegisPay refuses the command, however often it is sent. Correct the field that `path` names, and use a
    new key.

    `amounts`: in minor units, what was requested, what was done before and what is left, if the rule is about
    amounts.
    """

    def __init__(self, code: str, path: str | None, detail: str | None, reply: Reply | None) -> None:
        super().__init__(f"refused: {code}{f' at {path}' if path else ''}: {detail or 'no detail was given'}")
        self.code = code
        self.path = path
        self.detail = detail
        self.reply = reply
        self.amounts = dict((reply.amounts if reply is not None else None) or {})


class NoReply(ClientError):
    """No reply came, so AegisPay may have the command or not. Sending it again with the same key is safe."""


class NotSettled(ClientError):
    """The command was accepted, but had not ended in time. `status`: the payment's last known one. In
    REQUIRES_ACTION it waits for the customer; in any other it goes on by itself."""

    def __init__(self, reply: Reply, timeout_s: float) -> None:
        if reply.status == "REQUIRES_ACTION":
            where = (
                f"at {reply.action_url}" if reply.action_url else "at the action_url that the query API shows"
            )
            remedy = f"It waits for the customer to act {where}: wait again after that, or cancel the payment"
        else:
            remedy = (
                "It goes on by itself: wait again, read the query API, or send it again with the same key, "
                "which only returns its status"
            )
        super().__init__(f"payment {reply.payment_id} is {reply.status} after {timeout_s:g} s. {remedy}")
        self.status = reply.status


class _Watch(Receiver):
    """The replies that this client has received about one payment. `pending`: how many of its commands wait
    for their decision."""

    def __init__(self) -> None:
        super().__init__()
        self.last: Reply | None = None
        self.pending = 0
        self._ended: dict[UUID, Reply] = {}  # ends of operations, by the command that started them

    def receive(self, reply: Reply) -> None:
        """Keeps the newest accepted reply, and the end of each operation."""
        if reply.result != "accepted":
            return
        self.last = reply
        if reply.kind == "update" and reply.operation_id is not None:
            self._ended[reply.command_id] = reply
        self.wake()

    def about(self, command_id: UUID) -> list[Reply]:
        """Returns the end of the operation that the command started, then the newest reply of all; either may
        lack."""
        return [reply for reply in (self._ended.get(command_id), self.last) if reply is not None]


class Connection:
    """One producer, and one consumer of all replies."""

    def __init__(
        self, bootstrap: str, topic_prefix: str, reply_timeout_s: float, kafka: Mapping[str, Any]
    ) -> None:
        self._bootstrap = bootstrap
        self._commands = topic_prefix + COMMANDS
        self._replies = topic_prefix + REPLIES
        self._reply_timeout_s = reply_timeout_s
        self._kafka = dict(kafka)
        self._watches: OrderedDict[UUID, _Watch] = OrderedDict()

    async def start(self) -> None:
        """Connects. Raises `ClientError`: then nothing was sent."""
        self._producer = AIOKafkaProducer(
            bootstrap_servers=self._bootstrap,
            acks="all",
            enable_idempotence=True,
            linger_ms=0,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            **self._kafka,
        )
        # Without a group it reads every partition: this client's replies may be in any of them.
        self._consumer = AIOKafkaConsumer(
            self._replies,
            bootstrap_servers=self._bootstrap,
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="latest",
            isolation_level="read_committed",
            fetch_max_wait_ms=100,
            request_timeout_ms=_REQUEST_TIMEOUT_MS,
            **self._kafka,
        )
        self._listener = ReplyListener(self._consumer)
        try:
            await self._producer.start()
            await self._consumer.start()
            await self._listener.start()
        except UnknownTopicOrPartitionError as error:
            await self._disconnect()
            raise ClientError(
                f"Kafka at {self._bootstrap} has no topic {self._replies}: check topic_prefix"
            ) from error
        except (KafkaError, OSError) as error:
            await self._disconnect()
            raise ClientError(
                f"Kafka at {self._bootstrap} does not respond: {error}. Nothing was sent"
            ) from error
        self._reader = asyncio.create_task(self._listener.receive())

    async def stop(self) -> None:
        """Ends every wait, and disconnects."""
        self._listener.stop_waiting()
        self._reader.cancel()
        await asyncio.wait({self._reader})
        await self._disconnect()

    async def send(
        self, command: CreatePayment | MerchantCommand, raw: bytes, headers: list[tuple[str, bytes]]
    ) -> Reply:
        """Sends `raw`, the JSON of `command`, and returns the decision on it, accepted or refused. Raises
        `NoReply`."""
        watch = self._watch(command.payment_id)
        watch.pending += 1
        again = "It is safe to send it again with the same key and content"
        try:
            with self._listener.expect(command) as pending:
                async with asyncio.timeout(self._reply_timeout_s):
                    await self._send(command, raw, headers, pending.decision)
                    await asyncio.wait({pending.decision})
        except TimeoutError:
            waited = f"no reply within {self._reply_timeout_s:g} s about payment {command.payment_id}"
            raise NoReply(f"{waited}. {again}") from None
        except KafkaError as error:
            raise NoReply(f"Kafka did not acknowledge the command: {error}. {again}") from error
        finally:
            watch.pending -= 1
        decision = pending.decision.result()
        if decision is None:
            raise NoReply(f"{self._lost()}. {again}")
        return decision

    async def until(self, reply: Reply, timeout_s: float, ended: Callable[[Reply], bool]) -> Reply:
        """Returns the first reply about the payment, `reply` included, for which `ended` holds. Raises
        `NotSettled` after `timeout_s`, and `NoReply` when the client cannot receive it any more."""
        assert reply.payment_id is not None, "only an accepted reply has a payment to wait for"
        if ended(reply):
            return reply
        watch = self._watch(reply.payment_id)
        try:
            async with asyncio.timeout(timeout_s):
                end = await watch.first(lambda: next(filter(ended, watch.about(reply.command_id)), None))
        except TimeoutError:
            raise NotSettled(watch.last or reply, timeout_s) from None
        if end is None:
            raise NoReply(f"{self._lost()}; send it again with the same key to get its status")
        return end

    async def _send(
        self,
        command: CreatePayment | MerchantCommand,
        raw: bytes,
        headers: list[tuple[str, bytes]],
        decision: "asyncio.Future[Reply | None]",
    ) -> None:
        """Returns when the broker has it, or `decision` is done: a producer that was stopped never
        acknowledges."""
        key = str(command.payment_id).encode()
        sending = asyncio.create_task(
            self._producer.send_and_wait(self._commands, raw, key=key, headers=headers)
        )
        try:
            await asyncio.wait({sending, decision}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            sending.cancel()

    def _watch(self, payment: UUID) -> _Watch:
        """Returns the payment's watch, and forgets the oldest idle one where there are too many."""
        if self._reader.done():
            raise NoReply(f"{self._lost()}; open a new client")
        watch = self._watches.get(payment)
        if watch is None:
            watch = self._watches[payment] = _Watch()
            self._listener.add(str(payment), watch)
            if len(self._watches) > _WATCHED_MAX:
                idle = next(name for name, other in self._watches.items() if not other.pending)
                evicted = self._watches.pop(idle)
                self._listener.remove(str(idle), evicted)
                evicted.stop()
        return watch

    def _lost(self) -> str:
        if self._reader.cancelled() or not self._reader.done():
            return "the client was closed, or waits for too many payments at once"
        return f"the replies can no longer be read: {self._reader.exception()!r}"

    async def _disconnect(self) -> None:
        await self._consumer.stop()
        await self._producer.stop()
