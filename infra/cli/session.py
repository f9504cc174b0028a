"""Sends a command of the terminal over Kafka, as a producer does."""

import asyncio
import secrets
import string
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from infra.cli.output import tell_error, tell_reply
from infra.errors import LocalProblem, Mistyped

if TYPE_CHECKING:
    from commands.client import Client
    from commands.reply import Reply


def send(
    merchant: str,
    data: Path | None,
    key: str | None,
    command: Callable[["Client", str], Awaitable["Reply"]],
    *,
    amount: str | None = None,
    as_json: bool,
) -> "Reply":
    """Sends the command, prints what came of it and returns the reply. Exits with 1 if it was refused or its
    outcome is unknown, with 2 if it cannot be sent, and with 69 if Kafka does not respond.

    `key`: the idempotency key; None: a new one, which is printed.
    """
    from commands.client import Client, ClientError, NoReply, NotSettled, Refused
    from infra.cli.target import settings_of
    from infra.settings import KafkaSettings

    chosen = key or _new_key()
    settings = settings_of(KafkaSettings, "audit", data)

    async def run() -> "Reply":
        async with Client(settings.kafka, merchant_id=merchant, topic_prefix=settings.topic_prefix) as client:
            return await command(client, chosen)

    try:
        reply = asyncio.run(run())
    except ClientError as error:
        if isinstance(error, Refused):
            code = Mistyped.exit_code if error.reply is None else 1
        else:
            code = 1 if isinstance(error, (NoReply, NotSettled)) else LocalProblem.exit_code
        tell_error(error, chosen, code, as_json=as_json)
        raise typer.Exit(code) from None
    tell_reply(reply, chosen, amount=amount, as_json=as_json)
    return reply


def _new_key() -> str:
    # Letters alone: a long run of digits may look like a card number, and is refused.
    return "cli-" + "".join(secrets.choice(string.ascii_lowercase) for _ in range(12))
