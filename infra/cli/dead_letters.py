"""`aegispay dead-letters`: lists records that could not be used and sends one again from its original."""

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer

from infra.cli.options import AsJson, Data
from infra.cli.output import say, write_json
from infra.errors import NotDone

dead_letters = typer.Typer(help="Records that could not be used.", no_args_is_help=True)


@dead_letters.command("list")
def dead_letters_list(
    last: Annotated[int, typer.Option(min=1, help="Show at most this many, the newest.")] = 50,
    data: Data = None,
    *,
    json: AsJson = False,
) -> None:
    """List where each record is and why it was not used, oldest first."""
    from infra.cli.target import settings_of
    from infra.kafka.dead_letters import read
    from infra.settings import KafkaSettings

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
    place: Annotated[
        str, typer.Argument(metavar="PLACE", help="As `list` shows it: topic/partition/offset.")
    ],
    last: Annotated[int, typer.Option(min=1, help="Search this many of the newest.")] = 10_000,
    data: Data = None,
    *,
    json: AsJson = False,
) -> None:
    """Send a record again: it is read from its topic, with its key and headers."""
    from infra.cli.target import settings_of
    from infra.kafka.dead_letters import NotSent, matching, read, send_again
    from infra.settings import KafkaSettings

    settings = settings_of(KafkaSettings, "audit", data)

    async def run() -> tuple[str, int, int]:
        letter = matching(await read(settings, last), place)
        if letter is None:
            raise NotDone(f"No dead letter is about {place}", "`aegispay dead-letters list` shows them")
        return letter.topic, *await send_again(settings, letter)

    try:
        topic, partition, offset = asyncio.run(run())
    except NotSent as error:
        raise NotDone(f"{place} was not sent again", str(error)) from None
    sent = f"{topic}/{partition}/{offset}"
    if json:
        write_json({"sent": sent, "original": place})
    else:
        say(f"Sent again: it now stands at {sent} too.")


@dead_letters.command("deliver")
def dead_letters_deliver(
    listener: Annotated[str, typer.Argument(metavar="LISTENER", help="The listener hook's name.")],
    place: Annotated[
        str, typer.Argument(metavar="PLACE", help="As `list` shows it: topic/partition/offset.")
    ],
    last: Annotated[int, typer.Option(min=1, help="Search this many of the newest.")] = 10_000,
    data: Data = None,
    *,
    json: AsJson = False,
) -> None:
    """Hand an event that a listener hook failed on to that hook again, in this process. Exit code 1: it
    failed."""
    from aiokafka import TopicPartition

    from infra.cli.target import settings_of
    from infra.hooks import discovery
    from infra.hooks.calls import Calls
    from infra.kafka import reader
    from infra.kafka.dead_letters import about_listener, read
    from infra.settings import HookSettings, KafkaSettings
    from infra.settings import read as read_settings
    from infra.workers.listener import chosen, deliver, event_of

    settings = settings_of(KafkaSettings, "audit", data)
    hook = chosen(discovery.installed(read_settings(HookSettings)).listeners, listener)
    assert hook is not None, "it has a name"

    async def run() -> None:
        letter = about_listener(await read(settings, last), place, listener)
        if letter is None:
            remedy = "`aegispay dead-letters list` shows them"
            raise NotDone(f"No dead letter of the listener {listener} is about {place}", remedy)
        where = TopicPartition(letter.topic, letter.partition)
        original = await reader.record_at(settings.kafka, where, letter.offset)
        if original is None:
            raise NotDone(f"{place} is not on its topic any more", "Read the payment's history instead")
        failed = await deliver(hook, Calls(1), event_of(reader.record_of(original)))
        if failed is not None:
            raise NotDone(f"{listener} failed again: {failed.why}", "Its own log may say more")

    asyncio.run(run())
    if json:
        write_json({"delivered": place, "listener": listener})
    else:
        say(f"{listener} has taken it.")
