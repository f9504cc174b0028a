"""`aegispay relay`: moves the log to a new generation after a restore into another cluster."""

import typer

from infra.cli.options import AsJson, Data
from infra.cli.output import say, write_json
from infra.errors import NotDone

relay = typer.Typer(help="The relay's generation.", no_args_is_help=True)


@relay.command("rebase")
def relay_rebase(data: Data = None, *, json: AsJson = False) -> None:
    """Start a new generation after a dump and restore into another cluster. Needs the schema's owner."""
    from infra.cli.target import settings_of
    from infra.postgres.connections import connect
    from infra.settings import DatabaseSettings
    from relay.generation import StillRunning, rebase

    with connect(settings_of(DatabaseSettings, "admin", data), "rebase") as connection:
        try:
            generation = rebase(connection)
        except StillRunning as running:
            raise NotDone("The generation was not changed", str(running)) from None
    if json:
        write_json({"generation": generation})
    else:
        say(f"The log goes on in generation {generation} on this cluster.")
