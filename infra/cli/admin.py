"""What an installation needs before and beside its processes: schema, topics, API keys."""

import asyncio
from typing import Annotated

import typer

from infra.cli.options import AsJson
from infra.cli.output import write_json
from infra.local.problem import LocalProblem


def migrate(*, json: AsJson = False) -> None:
    """Bring PostgreSQL's schema and roles up to this version. Safe to run again.

    AEGISPAY_ROLE_PASSWORDS_FILE: a JSON file, role to password, of the roles that are to get one.
    """
    from infra import migrate as migrations
    from infra.settings import DatabaseSettings
    from infra.target import settings_of

    settings = settings_of(DatabaseSettings, "admin")
    applied = migrations.migrate(settings, migrations.passwords_from_environment())
    _tell("applied", applied, as_json=json)


def topics(*, json: AsJson = False) -> None:
    """Create the topics that are missing, and check the others. Safe to run again."""
    from infra import topic_admin
    from infra.settings import KafkaSettings
    from infra.target import settings_of

    created = asyncio.run(topic_admin.create(settings_of(KafkaSettings, "admin")))
    _tell("created", created, as_json=json)


def api_key(
    merchant: str,
    *,
    scopes: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            help="What it may do: payments:read, payments:write, refunds:write, doubt:resolve. "
            "Several times for several; default: all but doubt:resolve, which is a person's.",
            show_default=False,
        ),
    ] = None,
    read_only: bool = False,
    json: AsJson = False,
) -> None:
    """Make an API key for a merchant. It is shown this once; only its hash is kept."""
    from infra.api import keys
    from infra.database import connect
    from infra.settings import DatabaseSettings
    from infra.target import settings_of

    wanted = scopes or (
        ["payments:read"] if read_only else [one for one in keys.SCOPES if one != "doubt:resolve"]
    )
    chosen = [one for one in keys.SCOPES if one in wanted]
    if unknown := set(wanted) - set(chosen):
        raise LocalProblem(
            f"There is no scope {', '.join(sorted(unknown))}", f"There are {', '.join(keys.SCOPES)}"
        )
    with connect(settings_of(DatabaseSettings, "admin"), "api-key") as connection:
        key = keys.create(connection, merchant, chosen)
    if json:
        write_json({"merchant": merchant, "scopes": chosen, "api_key": key})
    else:
        typer.echo(key)


def _tell(what: str, names: tuple[str, ...], *, as_json: bool) -> None:
    if as_json:
        write_json({what: names})
        return
    for name in names:
        typer.echo(f"{what} {name}")
    if not names:
        typer.echo(f"nothing to do: all was {what} before")
