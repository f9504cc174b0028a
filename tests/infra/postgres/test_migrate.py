"""The migrations, on a real PostgreSQL."""

import asyncio
import json
import shutil
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from infra.errors import Misconfigured
from infra.postgres import migrate
from infra.postgres.connections import connect, connect_async
from infra.process.runtime import Process
from infra.settings import DatabaseSettings, TimersSettings
from infra.workers import timers as timers_process
from tests.support.environment import Environment, Servers
from tests.support.until import until

pytestmark = pytest.mark.stack


def _admin(environment: Environment) -> DatabaseSettings:
    return environment.settings(DatabaseSettings, "admin")


def _record(environment: Environment, statement: str) -> None:
    with connect(_admin(environment), "test") as conn:
        conn.execute(statement)


def test_migrating_twice_applies_nothing_the_second_time(environment: Environment):
    assert migrate.migrate(_admin(environment), {}) == ()


def test_a_database_of_a_newer_version_is_refused(environment: Environment):
    _record(
        environment, "INSERT INTO schema_migrations (name, sha256) VALUES ('9999_of_the_future.post', 'x')"
    )

    with pytest.raises(Misconfigured, match=r"9999_of_the_future\.post of a newer version"):
        migrate.migrate(_admin(environment), {})


def test_a_migration_that_was_changed_after_it_was_applied_is_refused(environment: Environment):
    _record(environment, "UPDATE schema_migrations SET sha256 = 'other' WHERE name = '0001_write_side.pre'")

    with pytest.raises(Misconfigured, match=r"0001_write_side\.pre was changed after it had been applied"):
        migrate.migrate(_admin(environment), {})


def test_a_migration_that_fails_leaves_nothing_of_itself(environment: Environment):
    # The table is in the way of the file that makes it, which looks as if it had not run.
    _record(environment, "DELETE FROM schema_migrations WHERE name = '0002_read_side.pre'")

    with pytest.raises(psycopg.errors.DuplicateTable):
        migrate.migrate(_admin(environment), {})

    with connect(_admin(environment), "test") as conn:
        recorded = [name for (name,) in conn.execute("SELECT name FROM schema_migrations ORDER BY name")]
    assert "0002_read_side.pre" not in recorded


@pytest.fixture
def newer(tmp_path: Path) -> Path:
    """The migrations of the next version, which replaces a column."""
    folder = tmp_path / "migrations"
    shutil.copytree(migrate.MIGRATIONS, folder)
    (folder / "0004_trace.pre.sql").write_text("ALTER TABLE {schema}.parked_records ADD COLUMN trace text")
    (folder / "0004_trace.post.sql").write_text("ALTER TABLE {schema}.parked_records DROP COLUMN traceparent")
    return folder


def _columns(environment: Environment) -> set[str]:
    with connect(_admin(environment), "test") as conn:
        rows = conn.execute(
            "SELECT attname FROM pg_attribute WHERE attrelid = 'parked_records'::regclass AND attnum > 0"
            " AND NOT attisdropped"
        )
        return {name for (name,) in rows}


async def _starts(environment: Environment) -> None:
    """A worker of this version starts, which knows nothing of the newer one's migrations."""
    process = Process("timers")
    running = asyncio.create_task(
        timers_process.main(process, environment.settings(TimersSettings, "timers"))
    )
    await until(lambda: process.state == "ready" or running.done())
    process.stop.set()
    await running


def test_a_database_from_before_the_first_version_is_refused_as_such(environment: Environment):
    _record(environment, "INSERT INTO schema_migrations (name, sha256) VALUES ('0001_write_side', 'x')")

    with pytest.raises(Misconfigured, match=r"0001_write_side, of a commit before 0\.1\.0.* empty database"):
        migrate.migrate(_admin(environment), {})


async def test_a_worker_of_the_version_before_restarts_after_the_pre_part_and_refuses_after_the_post_part(
    environment: Environment, newer: Path
):
    assert migrate.migrate(_admin(environment), {}, folder=newer) == ("0004_trace.pre",)
    await _starts(environment)
    assert migrate.migrate(_admin(environment), {}) == ()  # nor does its own `aegispay migrate` mind
    assert _columns(environment) >= {"traceparent", "trace"}

    assert migrate.migrate(_admin(environment), {}, "post", newer) == ("0004_trace.post",)
    assert "traceparent" not in _columns(environment)
    with pytest.raises(Misconfigured, match=r"0004_trace\.post of a newer version .* run that version"):
        await _starts(environment)


def test_the_post_part_waits_for_the_pre_part(environment: Environment, newer: Path):
    with pytest.raises(Misconfigured, match=r"lacks 0004_trace\.pre: run `aegispay migrate` first"):
        migrate.migrate(_admin(environment), {}, "post", newer)

    assert "traceparent" in _columns(environment)


def test_an_empty_database_gets_every_part(servers: Servers, newer: Path):
    settings = DatabaseSettings.model_validate(
        {"database_url": servers.dsn(), "database_schema": f"empty_{uuid4().hex[:8]}"}
    )

    try:
        applied = migrate.migrate(settings, {}, folder=newer)
    finally:
        with psycopg.connect(servers.dsn(), autocommit=True) as conn:
            for schema in (settings.database_schema, settings.read_schema):
                conn.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(schema)))

    assert applied == tuple(part.name for part in migrate.shipped(newer))
    assert applied[-2:] == ("0004_trace.pre", "0004_trace.post")


async def test_every_role_finds_the_schema_in_order(environment: Environment):
    for role in migrate.ROLES:
        settings = environment.settings(DatabaseSettings, role.removeprefix("aegispay_"))
        async with await connect_async(settings, "test") as conn:
            await migrate.check(conn, settings)


async def test_a_missing_migration_is_named_with_what_to_do(environment: Environment):
    _record(environment, "DELETE FROM schema_migrations WHERE name = '0002_read_side.pre'")
    settings = environment.settings(DatabaseSettings, "command")

    async with await connect_async(settings, "test") as conn:
        with pytest.raises(Misconfigured, match=r"lacks 0002_read_side\.pre: run `aegispay migrate`"):
            await migrate.check(conn, settings)


async def test_a_missing_schema_is_named_with_what_to_do(servers: Servers):
    settings = DatabaseSettings.model_validate(
        {"database_url": servers.dsn(), "database_schema": "never_made"}
    )

    async with await connect_async(settings, "test") as conn:
        with pytest.raises(Misconfigured, match="no schema 'never_made' yet: run `aegispay migrate`"):
            await migrate.check(conn, settings)


def test_every_role_has_its_time_limits(environment: Environment):
    shown = {}
    for role in ("command", "relay", "audit"):
        with psycopg.connect(environment.dsn(role)) as conn:
            shown[role] = [
                str((conn.execute("SELECT current_setting(%s)", [name]).fetchone() or ("",))[0])
                for name in (
                    "transaction_timeout",
                    "idle_in_transaction_session_timeout",
                    "idle_session_timeout",
                )
            ]

    assert shown == {
        "command": ["30s", "10s", "0"],
        "relay": ["30s", "10s", "5s"],
        "audit": ["10min", "10s", "0"],
    }


def test_a_role_may_not_do_what_is_another_process_part(environment: Environment):
    with connect(environment.settings(DatabaseSettings, "gateway"), "test") as conn:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("SELECT 1 FROM payment_events")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("SELECT 1 FROM api_keys")


def test_passwords_are_read_from_the_file_that_the_environment_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    file = tmp_path / "roles.json"
    file.write_text(json.dumps({"aegispay_relay": "secret"}))
    monkeypatch.setenv("AEGISPAY_ROLE_PASSWORDS_FILE", str(file))

    assert migrate.passwords_from_environment() == {"aegispay_relay": "secret"}


@pytest.mark.parametrize("content", ["[]", "{", '{"postgres": "x"}', '{"aegispay_relay": 1}'])
def test_a_file_of_passwords_that_is_none_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
):
    file = tmp_path / "roles.json"
    file.write_text(content)
    monkeypatch.setenv("AEGISPAY_ROLE_PASSWORDS_FILE", str(file))

    with pytest.raises(Misconfigured, match="AEGISPAY_ROLE_PASSWORDS_FILE"):
        migrate.passwords_from_environment()
