"""`aegispay webhooks`: webhooks that have not found their payment or could not be used."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Final

import orjson
import typer

from commands.sql import statements
from commands.wording import counted
from infra.cli.options import AsJson, Data
from infra.cli.output import say, write_json
from infra.errors import NotDone

_SQL: Final = statements(__file__)

webhooks = typer.Typer(
    help="Webhooks that have not found their payment or could not be used.", no_args_is_help=True
)

Id = Annotated[int, typer.Argument(metavar="ID", help="As `list` shows it.")]


@webhooks.command("list")
def webhooks_list(
    last: Annotated[int, typer.Option(min=1, help="Show at most this many.")] = 100,
    data: Data = None,
    *,
    json: AsJson = False,
) -> None:
    """List webhooks that wait for their payment or for an operator, oldest first."""
    from psycopg.rows import dict_row

    from infra.cli.target import settings_of
    from infra.postgres.connections import connect
    from infra.settings import DatabaseSettings

    with connect(settings_of(DatabaseSettings, "audit", data), "webhooks") as connection:
        rows = connection.cursor(row_factory=dict_row).execute(_SQL["list"], (last,)).fetchall()
    if json:
        write_json(rows)
        return
    for row in rows:
        tries = counted(row["tries"], "try", "tries")
        say(
            f"{row['id']}  {row['state']} ({row['reason'] or 'new'})  {row['age_s']} s old  {tries}  "
            f"{row['account']}  {row['event_type']}"
        )
    say(f"{len(rows)} shown" if rows else "Every webhook has found its payment.")


@webhooks.command("show")
def webhooks_show(id_: Id, data: Data = None, *, json: AsJson = False) -> None:
    """Show the evidence: what the PSP sent, and what was read from it. Card numbers and secrets are
    masked."""
    from psycopg.rows import dict_row

    from gateways.wire import redaction
    from infra.cli.target import settings_of
    from infra.postgres.connections import connect
    from infra.settings import DatabaseSettings

    with connect(settings_of(DatabaseSettings, "audit", data), "webhooks") as connection:
        row = connection.cursor(row_factory=dict_row).execute(_SQL["show"], (id_,)).fetchone()
    if row is None:
        raise NotDone(f"There is no webhook {id_}", "`aegispay webhooks list` shows their ids")
    row["body"] = redaction.masked(bytes(row["body"]).decode(errors="replace"))
    if json:
        write_json(row)
        return
    for name, text in _lines_of("", row):
        # Control characters of a PSP must not reach the terminal.
        say(f"{name}: {''.join(c if c.isprintable() or c == chr(10) else ' ' for c in text)}")


@webhooks.command("retry")
def webhooks_retry(id_: Id, data: Data = None, *, json: AsJson = False) -> None:
    """Look for the webhook's payment again, now. Needs the schema's owner."""
    from infra.cli.target import settings_of
    from infra.postgres.connections import connect
    from infra.settings import DatabaseSettings

    with connect(settings_of(DatabaseSettings, "admin", data), "webhooks") as connection:
        again = connection.execute(_SQL["retry"], (id_,)).fetchone()
    if again is None:
        raise NotDone(
            f"There is no webhook {id_} that waits for its payment or needs an operator",
            "`aegispay webhooks list` shows those that do",
        )
    if json:
        write_json({"id": id_, "state": "waiting"})
    else:
        say(f"{id_} is looked at again; `aegispay webhooks list` shows whether it has found its payment.")


def _lines_of(name: str, value: object) -> Iterator[tuple[str, str]]:
    """Yields each value inside with its dotted name; none that is absent."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _lines_of(f"{name}.{key}" if name else key, inner)
    elif isinstance(value, datetime):
        yield name, value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    elif isinstance(value, str):
        yield name, value
    elif value is not None:
        yield name, orjson.dumps(value, default=str).decode()
