"""An operator's commands: sends them to `payments.commands`, and waits for their replies."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from uuid import UUID

from commands.messages import RetryParked, dump
from commands.reply import Reply
from commands.reply_stream import ReplyListener
from infra.kafka import reader, topics
from infra.kafka.producers import producing
from infra.settings import KafkaSettings


async def send(
    settings: KafkaSettings, commands: Sequence[RetryParked], timeout_s: float
) -> dict[UUID, Reply | None]:
    """Returns the first replies by payment id, `timeout_s` after the last command was sent at the latest.

    None: no reply came in time; the command stays on Kafka and is acted on when it is read. Raises aiokafka's
    `KafkaError`.
    """
    consumer = reader.consumer(
        settings.kafka,
        settings.topic_prefix + topics.REPLIES,
        client_id="aegispay-operator",
        group_id=None,
        auto_offset_reset="latest",
    )
    async with consumer, producing(settings, "operator") as producer:
        listener = ReplyListener(consumer)
        await listener.start()
        receiving = asyncio.create_task(listener.receive())
        try:
            with ExitStack() as expected:
                replies = {
                    command.payment_id: expected.enter_context(listener.expect(command)).decision
                    for command in commands
                }
                for command in commands:
                    await producer.send_and_wait(
                        settings.topic_prefix + topics.COMMANDS,
                        dump(command),
                        key=str(command.payment_id).encode(),
                        headers=[("correlation_id", str(command.command_id).encode())],
                    )
                if replies:
                    await asyncio.wait(replies.values(), timeout=timeout_s)
        finally:
            receiving.cancel()
            await asyncio.wait({receiving})
        if not receiving.cancelled():
            receiving.result()  # the error that ended it
    return {payment: reply.result() if reply.done() else None for payment, reply in replies.items()}
