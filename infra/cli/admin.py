"""What an installation needs before and beside its processes: schema, topics, API keys."""

import asyncio

import typer

from infra.cli.options import AsJson
from infra.cli.output import write_json


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


def api_key(merchant: str, *, read_only: bool = False, json: AsJson = False) -> None:
    """Make an API key for a merchant. It is shown this once; only its hash is kept."""
    from infra.api import keys
    from infra.database import connect
    from infra.settings import DatabaseSettings
    from infra.target import settings_of

    scopes: list[keys.Scope] = ["payments:read"] if read_only else ["payments:read", "payments:write"]
    with connect(settings_of(DatabaseSettings, "admin"), "api-key") as connection:
        key = keys.create(connection, merchant, scopes)
    if json:
        write_json({"merchant": merchant, "scopes": scopes, "api_key": key})
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
