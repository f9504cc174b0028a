"""An operator's commands: sent to `payments.commands`, each with its answer awaited."""

import asyncio
import time
from collections.abc import Sequence
from typing import Final
from uuid import UUID

from aiokafka import AIOKafkaConsumer

from commands.messages import InvalidMessage, Reply, RetryParked, dump, parse_reply
from infra import topics
from infra.broker import producing
from infra.settings import KafkaSettings

_POLL_MS: Final = 200


async def ask(
    settings: KafkaSettings, commands: Sequence[RetryParked], timeout_s: float
) -> dict[UUID, Reply | None]:
    """By payment. None: no answer in time; the command stands on Kafka and is acted on when it is read."""
    answers: dict[UUID, Reply | None] = {command.payment_id: None for command in commands}
    # A refusal of what was never decided names no payment: only the command tells whose it is.
    waiting = {command.command_id: command.payment_id for command in commands}
    consumer = AIOKafkaConsumer(
        settings.topic_prefix + topics.REPLIES,
        bootstrap_servers=settings.kafka,
        client_id="aegispay-operator",
        group_id=None,
        enable_auto_commit=False,
        auto_offset_reset="latest",
    )
    async with consumer, producing(settings, "operator") as broker:
        # Positioned before the first send: an answer that comes at once is not behind us.
        for place, end in (await consumer.end_offsets(consumer.assignment())).items():
            consumer.seek(place, end)
        for command in commands:
            key = str(command.payment_id).encode()
            headers = [("correlation_id", str(command.command_id).encode())]
            await broker.send_and_wait(
                settings.topic_prefix + topics.COMMANDS, dump(command), key=key, headers=headers
            )
        until = time.monotonic() + timeout_s
        while waiting and time.monotonic() < until:
            for records in (await consumer.getmany(timeout_ms=_POLL_MS)).values():
                for record in records:
                    reply = _reply(record.value)
                    if reply is not None and (payment := waiting.pop(reply.command_id, None)) is not None:
                        answers[payment] = reply
            await asyncio.sleep(0)
    return answers


def _reply(raw: bytes) -> Reply | None:
    try:
        return parse_reply(raw)
    except InvalidMessage:
        return None
