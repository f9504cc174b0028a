"""The API's side of Kafka: it sends commands and receives the replies.

Invariant: nothing is sent while Kafka is known not to respond, so that a caller hears of it at once.

Every process of the API reads all replies, in no group, and keeps those that a request waits for.
"""

import asyncio
from collections.abc import Sequence
from typing import Final

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError, KafkaTimeoutError

from commands.messages import CreatePayment, MerchantCommand, dump
from commands.reply_stream import ReplyListener
from infra.kafka import producers, reader, topics
from infra.settings import KafkaSettings

SentCommand = CreatePayment | MerchantCommand
"""The commands that a merchant sends by HTTP."""

_ACKNOWLEDGED_WITHIN_S: Final = 5.0
_REACHED_WITHIN_S: Final = 3.0


class Unreachable(Exception):
    """Raised when Kafka did not acknowledge the command in time. Kafka may still get it: only a repeat with
    the same key is safe."""


class CommandBus:
    """Sends commands; `replies` receives what is decided.

    `reachable`: whether Kafka responded when it was last tried. `broken` raises the producer's error that no
    repeat mends: the process has to end.
    """

    replies: ReplyListener

    def __init__(self, settings: KafkaSettings, process: str) -> None:
        self._settings = settings
        self._process = process
        self.broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.reachable = True

    async def start(self) -> None:
        """Connects, and goes to the end of the replies. Raises aiokafka's `KafkaError`."""
        self._producer: AIOKafkaProducer = producers.producer(self._settings, self._process)
        self._consumer = reader.consumer(
            self._settings.kafka,
            client_id=f"aegispay-{self._process}",
            group_id=None,
            auto_offset_reset="latest",
        )
        await self._producer.start()
        await self._consumer.start()
        # Not by subscription, which drops the topic when a broker that has just come back does not name it.
        topic = self._settings.topic_prefix + topics.REPLIES
        self._consumer.assign([TopicPartition(topic, number) for number in range(self._settings.partitions)])
        self.replies = ReplyListener(self._consumer)
        await self.replies.start()

    async def stop(self) -> None:
        """Disconnects, once what was sent is acknowledged."""
        await self._consumer.stop()
        await self._producer.stop()

    async def send(self, command: SentCommand, headers: Sequence[tuple[str, bytes]]) -> None:
        """Returns when Kafka has acknowledged the command. Raises `Unreachable`."""
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
        """Requests Kafka's metadata and returns whether it responds; until it does, nothing is sent to it."""
        try:
            async with asyncio.timeout(_REACHED_WITHIN_S):
                self.reachable = bool(await self._producer.client.force_metadata_update())
        except (TimeoutError, KafkaError):
            self.reachable = False
        return self.reachable
