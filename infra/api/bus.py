"""The API's side of Kafka: commands out, replies in. Invariant: a reply to a command that was sent here is not missed,
since the replies are read from before the first command on.

Every process reads all replies, in no group, and keeps those that somebody waits for.
"""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError

from commands.messages import (
    CreatePayment,
    InvalidMessage,
    MerchantCommand,
    Reply,
    dump,
    fingerprint,
    parse_reply,
)
from infra import broker, topics
from infra.settings import KafkaSettings

Ask = CreatePayment | MerchantCommand

_ACKNOWLEDGED_WITHIN_S: Final = 5.0
_REACHED_WITHIN_S: Final = 3.0


class Unreachable(Exception):
    """Kafka did not acknowledge the command in time. It may still get it: only a repeat with the same key is safe."""


class Expected:
    """The replies to one command, and the news of its payment."""

    def __init__(self, command: Ask) -> None:
        self._command_id = command.command_id
        self._fingerprint = fingerprint(command)
        self._replies: asyncio.Queue[Reply | None] = asyncio.Queue()
        self._early: list[Reply] = []

    def hear(self, reply: Reply) -> None:
        # Another command may have the same id: the same key was used for other content.
        ours = reply.command_id == self._command_id and reply.fingerprint in {None, self._fingerprint}
        if ours or reply.kind == "update":
            self._replies.put_nowait(reply)

    def stop(self) -> None:
        self._replies.put_nowait(None)

    async def answer(self) -> Reply | None:
        """What was decided. None: nobody will tell here."""
        while (reply := await self._replies.get()) is not None:
            if reply.kind == "answer":
                return reply
            # An update may be for the command of another, with the same key: it holds once ours was accepted.
            self._early.append(reply)
        return None

    async def until(self, ended: Callable[[Reply], bool]) -> Reply | None:
        """The first news for which `ended` holds, of those before the answer too. None: nobody will tell here."""
        for early in reversed(self._early):
            if ended(early):
                return early
        while (reply := await self._replies.get()) is not None:
            if ended(reply):
                return reply
        return None


class Bus:
    def __init__(self, settings: KafkaSettings, process: str) -> None:
        self._settings = settings
        self._process = process
        self._expected: dict[UUID, list[Expected]] = defaultdict(list)
        self._closing = False
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.reachable = True

    async def start(self) -> None:
        self._producer: AIOKafkaProducer = broker.producer(self._settings, self._process)
        self._consumer = AIOKafkaConsumer(
            bootstrap_servers=self._settings.kafka,
            client_id=f"aegispay-{self._process}",
            group_id=None,
            enable_auto_commit=False,
            auto_offset_reset="latest",
        )
        await self._producer.start()
        await self._consumer.start()
        topic = self._settings.topic_prefix + topics.REPLIES
        partitions = [TopicPartition(topic, number) for number in range(self._settings.partitions)]
        self._consumer.assign(partitions)
        await self._consumer.seek_to_end(*partitions)
        for partition in partitions:
            await self._consumer.position(partition)  # known from here on, not from the first fetch on

    async def stop(self) -> None:
        await self._consumer.stop()
        await self._producer.stop()

    @contextmanager
    def expect(self, command: Ask) -> Iterator[Expected]:
        """Enter it before the command is sent."""
        expected = Expected(command)
        if self._closing:
            expected.stop()
        waiting = self._expected[command.payment_id]
        waiting.append(expected)
        try:
            yield expected
        finally:
            waiting.remove(expected)
            if not waiting:
                self._expected.pop(command.payment_id, None)

    def stop_waiting(self) -> None:
        """Whoever waits for a reply goes on without it."""
        self._closing = True
        for waiting in self._expected.values():
            for expected in waiting:
                expected.stop()

    async def send(self, command: Ask, headers: Sequence[tuple[str, bytes]]) -> None:
        """Returns when Kafka has it. Raises `Unreachable`."""
        if not self.reachable:
            raise Unreachable
        topic, key = self._settings.topic_prefix + topics.COMMANDS, str(command.payment_id).encode()
        try:
            async with asyncio.timeout(_ACKNOWLEDGED_WITHIN_S):
                await self._producer.send_and_wait(topic, dump(command), key=key, headers=headers)
        except (TimeoutError, KafkaTimeoutError) as error:
            self.reachable = False
            raise Unreachable from error
        except KafkaError as error:
            if not self.broken.done():
                self.broken.set_exception(error)
            raise Unreachable from error

    async def look(self) -> bool:
        """Whether Kafka answers; until it does, nothing is sent to it."""
        try:
            async with asyncio.timeout(_REACHED_WITHIN_S):
                self.reachable = bool(await self._producer.client.force_metadata_update())
        except (TimeoutError, KafkaError):
            self.reachable = False
        return self.reachable

    async def listen(self) -> None:
        """For ever."""
        while True:
            fetched = await self._consumer.getmany(timeout_ms=1000)
            for records in fetched.values():
                for record in records:
                    if self._expected:
                        self._hear(record.value)

    def _hear(self, raw: bytes | None) -> None:
        try:
            reply = parse_reply(raw or b"")
        except InvalidMessage:
            return  # no reply of ours; the other topics are where that is an alarm
        for expected in self._expected.get(reply.payment_id or UUID(int=0), ()):
            expected.hear(reply)
