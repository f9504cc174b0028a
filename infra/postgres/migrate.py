"""The schema, from the files in infra/postgres/migrations, once each. Run by `aegispay migrate`; checked by
every process.

A migration has a pre part, on which the version before still runs (it adds tables, columns, indexes), and may
have a post part for when no process of that version is left (it drops, and adds constraints that the old code
would break). The pre parts go first, in order, then the post parts: a pre part never relies on a post part.

Invariant: what is recorded in `schema_migrations` is what the files say; a part that was changed since is
refused.
"""

import hashlib
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, LiteralString, get_args

import psycopg
from psycopg import sql
from pydantic import TypeAdapter, ValidationError

from commands.sql import statements
from infra.errors import Misconfigured
from infra.settings import DatabaseSettings

MIGRATIONS: Final = Path(__file__).with_name("migrations")
Parts = Literal["pre", "post", "all"]
_PRE: Final = ".pre"
_POST: Final = ".post"
_ADVISORY_LOCK: Final = 0x_A3C1_5B4E  # one for the cluster: roles are the cluster's
Role = Literal[
    "aegispay_command",
    "aegispay_relay",
    "aegispay_gateway",
    "aegispay_timers",
    "aegispay_routing",
    "aegispay_inbox",
    "aegispay_read_models",
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


_SQL: Final = statements(__file__)
_LOCK: Final = _SQL["lock"]
_ROLES: Final = _SQL["roles"]


@dataclass(frozen=True, slots=True)
class Migration:
    """One part of a migration. `name` is its file's without `.sql`, and ends in `.pre` or `.post`."""

    name: str
    text: str

    @property
    def post(self) -> bool:
        """True for a part that waits until no process of the version before is left."""
        return self.name.endswith(_POST)

    @property
    def sha256(self) -> str:
        """The file's SHA-256, hex: it may not change once the file was applied."""
        return hashlib.sha256(self.text.encode()).hexdigest()


def shipped(folder: Path = MIGRATIONS) -> tuple[Migration, ...]:
    """Returns every part in the folder, in the order in which they are applied: the pre parts, then the
    post parts."""
    found = [
        Migration(file.stem, file.read_text()) for file in sorted(folder.glob("[0-9][0-9][0-9][0-9]_*.sql"))
    ]
    return tuple(sorted(found, key=lambda one: one.post))


def migrate(
    settings: DatabaseSettings,
    passwords: Mapping[str, str],
    parts: Parts = "pre",
    folder: Path = MIGRATIONS,
) -> tuple[str, ...]:
    """Applies what is missing of these parts, and returns its names; none: it was there already.

    An empty database gets all parts, whatever `parts` is. `passwords`: of the roles that are to get one;
    the others keep theirs. Raises `Misconfigured` where the database is another version's, and for `post`
    where a pre part is missing.
    """
    with psycopg.connect(str(settings.database_url), autocommit=True, connect_timeout=5) as conn:
        conn.execute(_LOCK, [_ADVISORY_LOCK])
        _create_schemas(conn, settings)
        recorded = _recorded(conn, settings)
        missing = _chosen(missing_parts(recorded, shipped(folder)), parts if recorded else "all")
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
            conn.execute(_rendered((folder / "roles.sql").read_text(), settings))
    return tuple(migration.name for migration in missing)


def _chosen(missing: tuple[Migration, ...], parts: Parts) -> tuple[Migration, ...]:
    if parts == "all":
        return missing
    pre = tuple(one for one in missing if not one.post)
    if parts == "pre":
        return pre
    if pre:
        raise Misconfigured(f"The database lacks {_names(pre)}: run `aegispay migrate` first, without --post")
    return missing


def missing_parts(recorded: Mapping[str, str], wanted: tuple[Migration, ...]) -> tuple[Migration, ...]:
    """Returns which of this version's parts are not recorded. `recorded`: SHA-256 by name.

    A newer version's pre part is no obstacle. Raises `Misconfigured` for a newer version's post part, which
    may have removed what this version needs, and for a part that was changed after it had been applied.
    """
    unknown = sorted(recorded.keys() - {migration.name for migration in wanted})
    if unnamed := [name for name in unknown if not name.endswith((_PRE, _POST))]:
        raise Misconfigured(
            f"The database has {', '.join(unnamed)}, of a commit before 0.1.0, from which no migration leads here: "
            "start with an empty database"
        )
    if removed := [name for name in unknown if not name.endswith(_PRE)]:
        raise Misconfigured(
            f"The database has {', '.join(removed)} of a newer version of AegisPay, which may have removed what this "
            "version needs: run that version"
        )
    changed = [one for one in wanted if recorded.get(one.name, one.sha256) != one.sha256]
    if changed:
        raise Misconfigured(
            f"Migration {_names(changed)} was changed after it had been applied: restore the file, "
            "and put the change into a new one"
        )
    return tuple(one for one in wanted if one.name not in recorded)


async def check(conn: psycopg.AsyncConnection, settings: DatabaseSettings) -> None:
    """Raises `Misconfigured` unless this version runs on the schema: all of its pre parts are there, and
    no post part of a newer version is. Its own post parts may still be missing."""
    try:
        found = await conn.execute(_recorded_query(settings))
    except (psycopg.errors.UndefinedTable, psycopg.errors.InvalidSchemaName) as error:
        text = f"There is no schema '{settings.database_schema}' yet: run `aegispay migrate`"
        raise Misconfigured(text) from error
    except psycopg.errors.InsufficientPrivilege as error:
        text = f"This role may not read the schema '{settings.database_schema}': run `aegispay migrate`"
        raise Misconfigured(text) from error
    missing = _chosen(missing_parts(dict(await found.fetchall()), shipped()), "pre")
    if missing:
        raise Misconfigured(f"The database lacks {_names(missing)}: run `aegispay migrate`")


def _names(parts: Iterable[Migration]) -> str:
    return ", ".join(part.name for part in parts)


def _create_schemas(conn: psycopg.Connection, settings: DatabaseSettings) -> None:
    conn.execute("SET client_min_messages = warning")  # "already exists, skipping" is of no use
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
    existing = {name for (name,) in conn.execute(_ROLES)}
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
    """Reads the roles' passwords from the file that AEGISPAY_ROLE_PASSWORDS_FILE names; none where it is
    not set. Raises `Misconfigured`."""
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
