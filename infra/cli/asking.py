"""A command of the terminal's, sent over Kafka as a producer sends it."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from infra.cli.output import tell_error, tell_reply

if TYPE_CHECKING:
    from commands.client import Client
    from commands.messages import Reply


def new_key() -> str:
    from infra.shop import run_name

    return f"cli-{run_name()}"


def asked(
    merchant: str, data: Path | None, ask: Callable[["Client"], Awaitable["Reply"]], *, as_json: bool
) -> "Reply":
    """Says what came of it. Exits with 1 where it was refused or its end is not known."""
    from commands.client import Client, ClientError
    from infra.settings import KafkaSettings
    from infra.target import settings_of

    settings = settings_of(KafkaSettings, "audit", data)

    async def run() -> "Reply":
        async with Client(settings.kafka, merchant_id=merchant, topic_prefix=settings.topic_prefix) as client:
            return await ask(client)

    try:
        reply = asyncio.run(run())
    except ClientError as error:
        tell_error(error, as_json=as_json)
        raise typer.Exit(1) from None
    tell_reply(reply, as_json=as_json)
    return reply
