"""`aegispay parked`: lists parked streams and has a command worker decide them again."""

import asyncio
from typing import Annotated, Final
from uuid import UUID, uuid4

import typer

from commands.sql import statements
from infra.cli.options import AsJson, Data
from infra.cli.output import say, write_json
from infra.errors import Mistyped

_SQL: Final = statements(__file__)

parked = typer.Typer(help="Payments that could not be loaded or decided.", no_args_is_help=True)


@parked.command("list")
def parked_list(data: Data = None, *, json: AsJson = False) -> None:
    """List parked payments, each with its reason and how many records wait behind it."""
    from psycopg.rows import dict_row

    from infra.cli.target import settings_of
    from infra.postgres.connections import connect
    from infra.settings import DatabaseSettings

    with connect(settings_of(DatabaseSettings, "audit", data), "parked") as connection:
        rows = connection.cursor(row_factory=dict_row).execute(_SQL["parked"]).fetchall()
    if json:
        write_json(rows)
        return
    for row in rows:
        say(f"{row['payment_id']}  since {row['since']}  {row['waiting']} waiting  {row['reason']}")
    say(f"{len(rows)} parked" if rows else "Nothing is parked.")


@parked.command("retry")
def parked_retry(
    payments: Annotated[
        list[UUID] | None, typer.Argument(metavar="PAYMENT", help="The payments' ids.")
    ] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the replies.")] = 15.0,
    data: Data = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All parked payments.")] = False,
    json: AsJson = False,
) -> None:
    """Try parked payments again, each with the records that wait behind it. Exit code 1: one is still
    parked."""
    from commands.messages import RetryParked
    from infra.cli.target import settings_of
    from infra.kafka.operator_commands import send
    from infra.postgres.connections import connect
    from infra.settings import DatabaseSettings, KafkaSettings

    chosen = list(payments or [])
    if every:
        with connect(settings_of(DatabaseSettings, "audit", data), "parked") as connection:
            chosen += [row[0] for row in connection.execute(_SQL["ids"])]
    if not chosen and not every:
        raise Mistyped(
            "No payment was named", "Name one or more, or --all; `aegispay parked list` shows them"
        )
    commands = [RetryParked(command_id=uuid4(), payment_id=payment) for payment in dict.fromkeys(chosen)]
    replies = asyncio.run(send(settings_of(KafkaSettings, "audit", data), commands, wait))
    if json:
        write_json({str(name): reply and reply.model_dump(mode="json") for name, reply in replies.items()})
    else:
        for name, reply in replies.items():
            if reply is None:
                say(f"{name}: no reply yet; it is tried when a command worker reads it")
            else:
                say(f"{name}: {reply.status or reply.code}{f' ({reply.detail})' if reply.detail else ''}")
    worked = all(reply is not None and reply.result == "accepted" for reply in replies.values())
    raise typer.Exit(0 if worked else 1)
