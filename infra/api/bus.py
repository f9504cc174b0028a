"""The API's side of Kafka: commands out, replies in. Invariant: a reply to a command that was sent here is not missed,
since the replies are read from before the first command on.

Every process reads all replies, in no group, and keeps those that somebody waits for.
"""

import asyncio
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError

from aggregates.payment import RESTING
from commands.messages import CreatePayment, InvalidMessage, Reply, dump, parse_reply
from infra import broker, topics
from infra.settings import KafkaSettings

_ACKNOWLEDGED_WITHIN_S: Final = 5.0
_REACHED_WITHIN_S: Final = 3.0


class Unreachable(Exception):
    """Kafka did not acknowledge the command in time. It may still get it: only a repeat with the same key is safe."""


class Expected:
    """The replies to one command, and to its payment."""

    def __init__(self) -> None:
        self._replies: asyncio.Queue[Reply | None] = asyncio.Queue()

    def put(self, reply: Reply | None) -> None:
        self._replies.put_nowait(reply)

    async def rest(self) -> Reply | None:
        """The reply that says where the payment came to rest, or why it was refused. None: nobody will tell here."""
        answered, update = False, None
        while (reply := await self._replies.get()) is not None:
            match reply.kind:
                case "answer":
                    answered = True
                    if reply.result == "refused" or reply.status in RESTING:
                        return reply
                case "update":
                    update = reply
            # An update may be for the command of another, with the same key: it holds once ours was accepted.
            if answered and update is not None:
                return update
        return None


class Bus:
    def __init__(self, settings: KafkaSettings, process: str) -> None:
        self._settings = settings
        self._process = process
        self._expected: dict[UUID, list[tuple[UUID, Expected]]] = defaultdict(list)
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
    def expect(self, command: CreatePayment) -> Iterator[Expected]:
        """Enter it before the command is sent."""
        expected = Expected()
        if self._closing:
            expected.put(None)
        waiting = self._expected[command.payment_id]
        waiting.append((command.command_id, expected))
        try:
            yield expected
        finally:
            waiting.remove((command.command_id, expected))
            if not waiting:
                self._expected.pop(command.payment_id, None)

    def stop_waiting(self) -> None:
        """Whoever waits for a reply goes on without it."""
        self._closing = True
        for waiting in self._expected.values():
            for _, expected in waiting:
                expected.put(None)

    async def send(self, command: CreatePayment, headers: Sequence[tuple[str, bytes]]) -> None:
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
        for command_id, expected in self._expected.get(reply.payment_id or UUID(int=0), ()):
            if reply.kind == "update" or reply.command_id == command_id:
                expected.put(reply)
