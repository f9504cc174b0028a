"""`aegispay parked`, `dead-letters` and `relay`: what an operator does by hand."""

import asyncio
from dataclasses import asdict
from typing import Annotated
from uuid import UUID, uuid4

import typer

from infra.cli.options import AsJson, Data
from infra.cli.output import say, write_json
from infra.local.problem import LocalProblem

parked = typer.Typer(help="Streams that could not be loaded or decided.", no_args_is_help=True)
dead_letters = typer.Typer(help="Records that could not be used.", no_args_is_help=True)
relay = typer.Typer(help="The relay's generation.", no_args_is_help=True)

_PARKED = """
    SELECT s.payment_id, s.reason, s.since, count(r.place) AS waiting
    FROM parked_streams s LEFT JOIN parked_records r USING (payment_id)
    GROUP BY s.payment_id ORDER BY s.since, s.payment_id
"""


@parked.command("list")
def parked_list(data: Data = None, *, json: AsJson = False) -> None:
    """Each with its reason and how many records wait behind it."""
    from psycopg.rows import dict_row

    from infra.database import connect
    from infra.settings import DatabaseSettings
    from infra.target import settings_of

    with connect(settings_of(DatabaseSettings, "audit", data), "parked") as connection:
        rows = connection.cursor(row_factory=dict_row).execute(_PARKED).fetchall()
    if json:
        write_json(rows)
        return
    for row in rows:
        say(f"{row['payment_id']}  since {row['since']}  {row['waiting']} waiting  {row['reason']}")
    say(f"{len(rows)} parked" if rows else "Nothing is parked.")


@parked.command("retry")
def parked_retry(
    payments: Annotated[list[UUID] | None, typer.Argument(help="Payments' ids.")] = None,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the answers.")] = 15.0,
    data: Data = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="All that are parked.")] = False,
    json: AsJson = False,
) -> None:
    """Try parked streams again, each with all that waits behind it. Exit code 1: one is still parked."""
    from commands.messages import RetryParked
    from infra.ask import ask
    from infra.database import connect
    from infra.settings import DatabaseSettings, KafkaSettings
    from infra.target import settings_of

    chosen = list(payments or [])
    if every:
        with connect(settings_of(DatabaseSettings, "audit", data), "parked") as connection:
            chosen += [row[0] for row in connection.execute("SELECT payment_id FROM parked_streams")]
    if not chosen and not every:
        raise LocalProblem(
            "No payment was named", "Name one or more, or --all; `aegispay parked list` shows them"
        )
    commands = [RetryParked(command_id=uuid4(), payment_id=payment) for payment in dict.fromkeys(chosen)]
    answers = asyncio.run(ask(settings_of(KafkaSettings, "audit", data), commands, wait))
    if json:
        write_json({str(name): reply and reply.model_dump(mode="json") for name, reply in answers.items()})
    else:
        for name, reply in answers.items():
            if reply is None:
                say(f"{name}: no answer yet; it is tried when a command worker reads it")
            else:
                say(f"{name}: {reply.status or reply.code}{f' ({reply.detail})' if reply.detail else ''}")
    worked = all(reply is not None and reply.result == "accepted" for reply in answers.values())
    raise typer.Exit(0 if worked else 1)


@dead_letters.command("list")
def dead_letters_list(
    last: Annotated[int, typer.Option(min=1, help="Only the last so many.")] = 50,
    data: Data = None,
    *,
    json: AsJson = False,
) -> None:
    """Where each record stands and why it was not used, oldest first."""
    from infra.dead_letters import read
    from infra.settings import KafkaSettings
    from infra.target import settings_of

    letters = asyncio.run(read(settings_of(KafkaSettings, "audit", data), last))
    if json:
        write_json([{"place": one.place, "at": one.at, **asdict(one.letter)} for one in letters])
        return
    for one in letters:
        at_field = f" at {one.letter.path}" if one.letter.path else ""
        say(
            f"{one.at.isoformat(timespec='seconds')}  {one.place}  {one.letter.code}{at_field}: {one.letter.detail}"
        )
    say(f"{len(letters)} shown" if letters else "There are no dead letters.")


@dead_letters.command("send")
def dead_letters_send(
    place: Annotated[str, typer.Argument(help="As `list` shows it: topic/partition/offset.")],
    last: Annotated[int, typer.Option(min=1, help="Look for it among the last so many.")] = 10_000,
    data: Data = None,
    *,
    json: AsJson = False,
) -> None:
    """Send a record again: its original is read from its topic, with its key and headers."""
    from infra.dead_letters import NotSent, matching, read, send_again
    from infra.settings import KafkaSettings
    from infra.target import settings_of

    settings = settings_of(KafkaSettings, "audit", data)

    async def run() -> tuple[str, int, int]:
        letter = matching(await read(settings, last), place)
        if letter is None:
            raise LocalProblem(f"No dead letter is about {place}", "`aegispay dead-letters list` shows them")
        return letter.topic, *await send_again(settings, letter)

    try:
        topic, partition, offset = asyncio.run(run())
    except NotSent as why:
        raise LocalProblem(f"{place} was not sent again", str(why)) from None
    sent = f"{topic}/{partition}/{offset}"
    if json:
        write_json({"sent": sent, "original": place})
    else:
        say(f"Sent again: it now stands at {sent} too.")


@relay.command("rebase")
def relay_rebase(data: Data = None, *, json: AsJson = False) -> None:
    """After a dump and restore into another cluster: start a new generation. Needs the schema's owner."""
    from infra.database import connect
    from infra.settings import DatabaseSettings
    from infra.target import settings_of
    from relay.generation import StillRunning, rebase

    with connect(settings_of(DatabaseSettings, "admin", data), "rebase") as connection:
        try:
            generation = rebase(connection)
        except StillRunning as running:
            raise LocalProblem("The generation was not changed", str(running)) from None
    if json:
        write_json({"generation": generation})
    else:
        say(f"The log goes on in generation {generation} on this cluster.")
