"""The stream of replies: each process that sends commands reads all of `payments.replies` and hands every
reply to those of its tasks that wait for it.

Invariant: no reply to a command that this process sends is missed. `ReplyListener.start` puts the consumer at
the end of every partition before the first command is sent, and `expect` is entered before its command is
sent.

Nothing here imports the rest of AegisPay: the producers' client is cut from this file too.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, Protocol

import orjson

from .ids import fingerprint
from .messages import CreatePayment, MerchantCommand, RetryParked
from .parsing import parse_reply
from .reply import Reply

DecidedCommand = CreatePayment | MerchantCommand | RetryParked
"""The commands to which the command worker replies with a decision."""

_POLL_MS: Final = 1_000


class Consumer(Protocol):
    """The part of aiokafka's `AIOKafkaConsumer` that the listener uses."""

    def assignment(self) -> Collection[Any]: ...

    async def end_offsets(self, partitions: Collection[Any], /) -> Mapping[Any, int]: ...

    def seek(self, partition: Any, offset: int, /) -> None: ...

    async def getmany(self, *, timeout_ms: int) -> Mapping[Any, Collection[Any]]: ...


class Receiver(ABC):
    """Takes the replies that a `ReplyListener` hands to it, and wakes the tasks that wait for one of them.

    `stopped`: no further reply comes.
    """

    def __init__(self) -> None:
        self.stopped = False
        self._changed = asyncio.Event()

    @abstractmethod
    def receive(self, reply: Reply) -> None:
        """Keeps the reply if anybody may wait for it, and calls `wake`."""

    def stop(self) -> None:
        """Ends every wait: no further reply comes."""
        self.stopped = True
        self.wake()

    def wake(self) -> None:
        """Lets each waiting task look again."""
        self._changed.set()

    async def first(self, find: Callable[[], Reply | None]) -> Reply | None:
        """Returns what `find` finds, now or after a later reply. None: it stopped without one."""
        while (found := find()) is None and not self.stopped:
            # No await between the search and the clear: a reply in between would be missed.
            self._changed.clear()
            await self._changed.wait()
        return found


class PendingReply(Receiver):
    """The replies to one command, and the updates of its payment.

    `decision` has the reply of this kind as its result, or None once no reply comes any more. One task awaits
    it: a cancelled wait cancels the future.
    """

    def __init__(self, command: DecidedCommand) -> None:
        super().__init__()
        self._command = command
        self._received: list[Reply] = []
        self.decision: asyncio.Future[Reply | None] = asyncio.get_running_loop().create_future()

    def receive(self, reply: Reply) -> None:
        """Keeps the decision on this command, and every update of its payment.

        An update may be for another's command with the same key; it counts once this command was accepted
        too.
        """
        if reply.kind == "decision":
            if not self._is_ours(reply):
                return
            if not self.decision.done():
                self.decision.set_result(reply)
        self._received.append(reply)
        self.wake()

    def stop(self) -> None:
        """Ends every wait, with None."""
        if not self.decision.done():
            self.decision.set_result(None)
        super().stop()

    async def until(self, ended: Callable[[Reply], bool]) -> Reply | None:
        """Returns the newest reply for which `ended` holds, those before the decision included. None: it
        stopped first."""
        return await self.first(lambda: next(filter(ended, reversed(self._received)), None))

    def _is_ours(self, reply: Reply) -> bool:
        # The same key with other content gives another command the same id: only the fingerprint
        # distinguishes them.
        return reply.command_id == self._command.command_id and (
            reply.fingerprint is None or reply.fingerprint == fingerprint(self._command)
        )


class ReplyListener:
    """Reads the replies with a consumer that its owner starts, assigns and stops.

    The owner awaits `start` before it sends a command, and runs `receive` as a task.
    """

    def __init__(self, consumer: Consumer) -> None:
        self._consumer = consumer
        self._receivers: dict[str, list[Receiver]] = {}
        self._stopped = False

    async def start(self) -> None:
        """Goes to the end of every assigned partition. Raises aiokafka's `KafkaError`."""
        ends = await self._consumer.end_offsets(self._consumer.assignment())
        for partition, end in ends.items():
            self._consumer.seek(partition, end)

    @contextmanager
    def expect(self, command: DecidedCommand) -> Iterator[PendingReply]:
        """Collects the replies to a command. Enter it before the command is sent."""
        pending = PendingReply(command)
        # A refusal of a command that could not be read names no payment.
        ids = (str(command.command_id), str(command.payment_id))
        for id_ in ids:
            self.add(id_, pending)
        try:
            yield pending
        finally:
            for id_ in ids:
                self.remove(id_, pending)

    def add(self, id_: str, receiver: Receiver) -> None:
        """Hands the receiver, from now on, every reply with this command id or payment id, which is a UUID as
        text."""
        self._receivers.setdefault(id_, []).append(receiver)
        if self._stopped:
            receiver.stop()

    def remove(self, id_: str, receiver: Receiver) -> None:
        """Undoes one `add`."""
        receivers = self._receivers[id_]
        receivers.remove(receiver)
        if not receivers:
            del self._receivers[id_]

    def stop_waiting(self) -> None:
        """Stops every receiver, now and from now on."""
        self._stopped = True
        for receivers in self._receivers.values():
            for receiver in receivers:
                receiver.stop()

    async def receive(self) -> None:
        """Hands out replies until it is cancelled or raises aiokafka's `KafkaError`; then nobody waits any
        longer."""
        try:
            while True:
                fetched = await self._consumer.getmany(timeout_ms=_POLL_MS)
                for records in fetched.values():
                    for record in records:
                        if self._receivers:
                            self._dispatch(record.value)
        finally:
            self.stop_waiting()

    def _dispatch(self, raw: bytes | None) -> None:
        try:
            # Most replies are for other processes: two lookups by id are all that these cost.
            content = orjson.loads(raw or b"")
            receivers = [
                *self._receivers.get(content["command_id"], ()),
                *self._receivers.get(content["payment_id"], ()),
            ]
            if not receivers:
                return
            reply = parse_reply(raw or b"")
        except (ValueError, KeyError, TypeError):
            return  # unreadable, or of a later version: a reply is repeated when its command is
        for receiver in dict.fromkeys(receivers):
            receiver.receive(reply)
