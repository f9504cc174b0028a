"""`aegispay webhooks`: what PSPs told and nothing was made of."""

from typing import Annotated

import typer

from infra.cli.options import AsJson, Data
from infra.cli.output import say, write_json
from infra.local.problem import LocalProblem

webhooks = typer.Typer(help="What PSPs told that named no payment yet.", no_args_is_help=True)

Id = Annotated[int, typer.Argument(metavar="ID", help="As `list` shows it.")]

_LIST = """
    SELECT id, state, why, gateway, account, notice ->> 'event_type' AS event_type, event_id, received_at, tries,
        CASE WHEN state = 'waiting' THEN next_try_at END AS next_try_at,
        extract(epoch FROM clock_timestamp() - received_at)::bigint AS age_s
    FROM webhooks_in WHERE state <> 'done' ORDER BY state DESC, id LIMIT %s
"""
_SHOW = """
    SELECT w.id, w.state, w.why, w.gateway, w.account, w.event_id, w.received_at, w.tries, w.payment_id, w.notice,
        d.headers, d.body
    FROM webhooks_in w JOIN webhook_deliveries d USING (delivery_id) WHERE w.id = %s
"""
# One that has been done is not done again: its report stands.
_RETRY = """
    UPDATE webhooks_in SET state = 'waiting', next_try_at = clock_timestamp()
    WHERE id = %s AND state <> 'done' RETURNING id
"""


@webhooks.command("list")
def webhooks_list(
    last: Annotated[int, typer.Option(min=1, help="At most so many.")] = 100,
    data: Data = None,
    *,
    json: AsJson = False,
) -> None:
    """Those that wait for their payment, and those that take a person, oldest first."""
    from psycopg.rows import dict_row

    from infra.database import connect
    from infra.settings import DatabaseSettings
    from infra.target import settings_of

    with connect(settings_of(DatabaseSettings, "audit", data), "webhooks") as connection:
        rows = connection.cursor(row_factory=dict_row).execute(_LIST, (last,)).fetchall()
    if json:
        write_json(rows)
        return
    for row in rows:
        say(
            f"{row['id']}  {row['state']} ({row['why'] or 'new'})  {row['age_s']} s old  {row['tries']} tries  "
            f"{row['account']}  {row['event_type']}"
        )
    say(f"{len(rows)} shown" if rows else "Every webhook has found its payment.")


@webhooks.command("show")
def webhooks_show(id_: Id, data: Data = None, *, json: AsJson = False) -> None:
    """The evidence: what the PSP sent, and what was read in it. Card numbers and secrets are masked."""
    from psycopg.rows import dict_row

    from gateways import scrubbed
    from infra.database import connect
    from infra.settings import DatabaseSettings
    from infra.target import settings_of

    with connect(settings_of(DatabaseSettings, "audit", data), "webhooks") as connection:
        row = connection.cursor(row_factory=dict_row).execute(_SHOW, (id_,)).fetchone()
    if row is None:
        raise LocalProblem(f"There is no webhook {id_}", "`aegispay webhooks list` shows their ids")
    row["body"] = scrubbed.masked(bytes(row["body"]).decode(errors="replace"))
    if json:
        write_json(row)
        return
    for name in ("headers", "notice"):
        row[name] = ", ".join(f"{key}: {value}" for key, value in row[name].items())
    for name, value in row.items():
        # What a PSP sent must not steer the terminal.
        say(f"{name}: {''.join(c if c.isprintable() or c == chr(10) else ' ' for c in str(value))}")


@webhooks.command("retry")
def webhooks_retry(id_: Id, data: Data = None, *, json: AsJson = False) -> None:
    """Look for its payment again, now. Needs the schema's owner."""
    from infra.database import connect
    from infra.settings import DatabaseSettings
    from infra.target import settings_of

    with connect(settings_of(DatabaseSettings, "admin", data), "webhooks") as connection:
        again = connection.execute(_RETRY, (id_,)).fetchone()
    if again is None:
        raise LocalProblem(
            f"No webhook {id_} waits or takes a person", "`aegispay webhooks list` shows those that do"
        )
    if json:
        write_json({"id": id_, "state": "waiting"})
    else:
        say(f"{id_} is looked at again; `aegispay webhooks list` shows whether it has found its payment.")
