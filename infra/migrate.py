"""The schema, from the files in infra/migrations, in order, once each. Run by `aegispay migrate`; checked by every process.

Invariant: what is recorded in `schema_migrations` is what the files of this version say; anything else is refused.
"""

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, LiteralString, get_args

import psycopg
from psycopg import sql
from pydantic import TypeAdapter, ValidationError

from infra.misconfigured import Misconfigured
from infra.settings import DatabaseSettings

_FOLDER: Final = Path(__file__).with_name("migrations")
_ADVISORY_LOCK: Final = 0x_A3C1_5B4E  # one for the cluster: roles are the cluster's
Role = Literal[
    "aegispay_command",
    "aegispay_relay",
    "aegispay_gateway",
    "aegispay_timers",
    "aegispay_inbox",
    "aegispay_views",
    "aegispay_api",
    "aegispay_audit",
]
ROLES: Final[tuple[str, ...]] = get_args(Role)
# A forgotten transaction holds back the relay, which reads only below the oldest one.
_LIMITS: Final = {"transaction_timeout": "30s", "idle_in_transaction_session_timeout": "10s"}
_LIMITS_OF: Final = {
    # `verify` and the rebuild of read models read long; they are few, and watched.
    "aegispay_audit": {"transaction_timeout": "10min"},
    # A leader that was stopped loses its session, and with it the lock.
    "aegispay_relay": {"idle_session_timeout": "5s"},
}


@dataclass(frozen=True, slots=True)
class Migration:
    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def shipped() -> tuple[Migration, ...]:
    return tuple(
        Migration(file.stem, file.read_text()) for file in sorted(_FOLDER.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    )


def migrate(settings: DatabaseSettings, passwords: Mapping[str, str]) -> tuple[str, ...]:
    """Brings the schema up to this version. Returns the names of what was applied; none: it was there already.

    `passwords`: of the roles that are to get one; the others keep theirs.
    """
    with psycopg.connect(str(settings.database_url), autocommit=True, connect_timeout=5) as conn:
        conn.execute("SELECT pg_advisory_lock(%s)", [_ADVISORY_LOCK])
        _create_schemas(conn, settings)
        missing = missing_migrations(_recorded(conn, settings), shipped())
        for migration in missing:
            with conn.transaction():
                conn.execute(_rendered(migration.text, settings))
                conn.execute(
                    sql.SQL("INSERT INTO {}.schema_migrations (name, sha256) VALUES (%s, %s)").format(
                        sql.Identifier(settings.database_schema)
                    ),
                    [migration.name, migration.sha256],
                )
        with conn.transaction():
            _create_roles(conn, passwords)
            conn.execute(_rendered((_FOLDER / "roles.sql").read_text(), settings))
    return tuple(migration.name for migration in missing)


def missing_migrations(recorded: dict[str, str], wanted: tuple[Migration, ...]) -> tuple[Migration, ...]:
    """Raises `Misconfigured` where the database knows what this version does not, or knows it differently."""
    unknown = sorted(recorded.keys() - {migration.name for migration in wanted})
    if unknown:
        raise Misconfigured(
            f"The database was migrated by a newer version of AegisPay ({', '.join(unknown)}): run that version"
        )
    changed = [one.name for one in wanted if recorded.get(one.name, one.sha256) != one.sha256]
    if changed:
        raise Misconfigured(
            f"Migration {', '.join(changed)} was changed after it had been applied: restore the file, "
            "and put the change into a new one"
        )
    return tuple(one for one in wanted if one.name not in recorded)


async def check(conn: psycopg.AsyncConnection, settings: DatabaseSettings) -> None:
    """Raises `Misconfigured` unless the schema is exactly this version's."""
    try:
        found = await conn.execute(_recorded_query(settings))
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        text = f"There is no schema '{settings.database_schema}' yet: run `aegispay migrate`"
        raise Misconfigured(text) from error
    except psycopg.errors.InsufficientPrivilege as error:
        text = f"This role may not read the schema '{settings.database_schema}': run `aegispay migrate`"
        raise Misconfigured(text) from error
    missing = missing_migrations(dict(await found.fetchall()), shipped())
    if missing:
        names = ", ".join(migration.name for migration in missing)
        raise Misconfigured(f"The database lacks {names}: run `aegispay migrate`")


def _create_schemas(conn: psycopg.Connection, settings: DatabaseSettings) -> None:
    conn.execute("SET client_min_messages = warning")  # "already exists, skipping" is no news
    for name in (settings.database_schema, settings.read_schema):
        conn.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(name)))
    conn.execute(
        sql.SQL(
            "CREATE TABLE IF NOT EXISTS {}.schema_migrations ("
            "name text PRIMARY KEY, sha256 text NOT NULL, at timestamptz NOT NULL DEFAULT clock_timestamp())"
        ).format(sql.Identifier(settings.database_schema))
    )


def _recorded_query(settings: DatabaseSettings) -> sql.Composed:
    return sql.SQL("SELECT name, sha256 FROM {}.schema_migrations").format(
        sql.Identifier(settings.database_schema)
    )


def _recorded(conn: psycopg.Connection, settings: DatabaseSettings) -> dict[str, str]:
    return dict(conn.execute(_recorded_query(settings)).fetchall())


def _rendered(text: str, settings: DatabaseSettings) -> LiteralString:
    # Our own files and a name that the settings have matched against [a-z_0-9].
    rendered: Any = text.format(schema=settings.database_schema, read=settings.read_schema)
    return rendered  # type: ignore[no-any-return]


def _create_roles(conn: psycopg.Connection, passwords: Mapping[str, str]) -> None:
    existing = {name for (name,) in conn.execute("SELECT rolname FROM pg_roles")}
    for role in ROLES:
        name = sql.Identifier(role)
        if role not in existing:
            conn.execute(sql.SQL("CREATE ROLE {} LOGIN").format(name))
        for setting, value in (_LIMITS | _LIMITS_OF.get(role, {})).items():
            conn.execute(
                sql.SQL("ALTER ROLE {} SET {} = {}").format(name, sql.Identifier(setting), sql.Literal(value))
            )
    for role, password in passwords.items():
        conn.execute(
            sql.SQL("ALTER ROLE {} PASSWORD {}").format(
                sql.Identifier(role), sql.Literal(_scram(conn, role, password))
            )
        )


def _scram(conn: psycopg.Connection, role: str, password: str) -> str:
    """The verifier, made here: a password in a statement would end up in the server's log."""
    return conn.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()


def passwords_from_environment() -> dict[str, str]:
    chosen = os.environ.get("AEGISPAY_ROLE_PASSWORDS_FILE")
    if not chosen:
        return {}
    try:
        passwords = TypeAdapter(dict[Role, str]).validate_json(Path(chosen).read_bytes(), strict=True)
    except (OSError, ValidationError):
        raise Misconfigured(
            f"AEGISPAY_ROLE_PASSWORDS_FILE: {chosen} is no JSON object of role to password that can be read; "
            f"the roles are {', '.join(ROLES)}"
        ) from None  # the cause would show passwords
    return dict(passwords.items())
