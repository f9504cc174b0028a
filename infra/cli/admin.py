"""`aegispay migrate`, `topics` and `api-key`: what an installation needs beside its processes."""

import asyncio
from typing import Annotated

import typer

from infra.cli.options import AsJson
from infra.cli.output import write_json
from infra.errors import Mistyped


def migrate(
    *,
    post: Annotated[
        bool,
        typer.Option(
            "--post", help="Remove what only the version before needs, once none of its processes runs."
        ),
    ] = False,
    json: AsJson = False,
) -> None:
    """Bring PostgreSQL's schema and roles to where this version and the one before it run. Safe to repeat.

    It acts on AEGISPAY_DATABASE_URL; without it, on the local stack in AEGISPAY_DATA or the default folder.

    AEGISPAY_ROLE_PASSWORDS_FILE: a JSON file, role to password, of the roles that get one.
    """
    from infra.cli.target import settings_of
    from infra.postgres import migrate as migrations
    from infra.settings import DatabaseSettings

    settings = settings_of(DatabaseSettings, "admin")
    parts: migrations.Parts = "post" if post else "pre"
    applied = migrations.migrate(settings, migrations.passwords_from_environment(), parts)
    _tell("applied", applied, as_json=json)


def topics(*, json: AsJson = False) -> None:
    """Create the topics that are missing, and check the others. Safe to repeat.

    It acts on AEGISPAY_KAFKA; without it, on the local stack in AEGISPAY_DATA or the default folder.
    """
    from infra.cli.target import settings_of
    from infra.kafka import topic_admin
    from infra.settings import KafkaSettings

    created = asyncio.run(topic_admin.create(settings_of(KafkaSettings, "admin")))
    _tell("created", created, as_json=json)


def api_key(
    merchant: Annotated[
        str, typer.Argument(metavar="MERCHANT", help="The merchant's id, as its commands name it.")
    ],
    *,
    scopes: Annotated[
        list[str] | None,
        typer.Option(
            "--scope",
            help="A scope of the key: payments:read, payments:write, refunds:write, routing:read, routing:write, "
            "doubt:resolve or payments:review. Repeat it for several; default: all but routing:write, doubt:resolve "
            "and payments:review, which are an operator's.",
            show_default=False,
        ),
    ] = None,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Only payments:read; --scope overrides it.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Make an API key for a merchant. Clients of the HTTP API send it as `Authorization: Bearer`. It is
    shown once; only its hash is kept. Needs the schema's owner.

    It acts on AEGISPAY_DATABASE_URL; without it, on the local stack in AEGISPAY_DATA or the default folder.
    """
    from infra.cli.target import settings_of
    from infra.postgres import api_keys
    from infra.postgres.connections import connect
    from infra.settings import DatabaseSettings

    wanted = scopes or (
        ["payments:read"]
        if read_only
        else [one for one in api_keys.SCOPES if one not in api_keys.OF_OPERATORS]
    )
    chosen = [one for one in api_keys.SCOPES if one in wanted]
    if unknown := set(wanted) - set(chosen):
        raise Mistyped(
            f"There is no scope {', '.join(sorted(unknown))}", f"There are {', '.join(api_keys.SCOPES)}"
        )
    with connect(settings_of(DatabaseSettings, "admin"), "api-key") as connection:
        key = api_keys.create(connection, merchant, chosen)
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
