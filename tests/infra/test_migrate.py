"""The migrations, on a real PostgreSQL."""

import json
from pathlib import Path

import psycopg
import pytest

from infra import migrate
from infra.database import connect, connect_async
from infra.misconfigured import Misconfigured
from infra.settings import DatabaseSettings
from tests.place import Place, Servers

pytestmark = pytest.mark.stack


def _admin(place: Place) -> DatabaseSettings:
    return place.settings(DatabaseSettings, "admin")


def _record(place: Place, statement: str) -> None:
    with connect(_admin(place), "test") as conn:
        conn.execute(statement)


def test_migrating_twice_applies_nothing_the_second_time(place: Place):
    assert migrate.migrate(_admin(place), {}) == ()


def test_a_database_of_a_newer_version_is_refused(place: Place):
    _record(place, "INSERT INTO schema_migrations (name, sha256) VALUES ('9999_of_the_future', 'x')")

    with pytest.raises(Misconfigured, match=r"newer version of AegisPay \(9999_of_the_future\)"):
        migrate.migrate(_admin(place), {})


def test_a_migration_that_was_changed_after_it_was_applied_is_refused(place: Place):
    _record(place, "UPDATE schema_migrations SET sha256 = 'other' WHERE name = '0001_write_side'")

    with pytest.raises(Misconfigured, match="0001_write_side was changed after it had been applied"):
        migrate.migrate(_admin(place), {})


def test_a_migration_that_fails_leaves_nothing_of_itself(place: Place):
    # The table is in the way of the file that makes it, which looks as if it had not run.
    _record(place, "DELETE FROM schema_migrations WHERE name = '0002_read_side'")

    with pytest.raises(psycopg.errors.DuplicateTable):
        migrate.migrate(_admin(place), {})

    with connect(_admin(place), "test") as conn:
        recorded = [name for (name,) in conn.execute("SELECT name FROM schema_migrations ORDER BY name")]
    assert "0002_read_side" not in recorded


async def test_every_role_finds_the_schema_in_order(place: Place):
    for role in migrate.ROLES:
        settings = place.settings(DatabaseSettings, role.removeprefix("aegispay_"))
        async with await connect_async(settings, "test") as conn:
            await migrate.check(conn, settings)


async def test_a_missing_migration_is_named_with_what_to_do(place: Place):
    _record(place, "DELETE FROM schema_migrations WHERE name = '0002_read_side'")
    settings = place.settings(DatabaseSettings, "command")

    async with await connect_async(settings, "test") as conn:
        with pytest.raises(Misconfigured, match="lacks 0002_read_side: run `aegispay migrate`"):
            await migrate.check(conn, settings)


async def test_a_missing_schema_is_named_with_what_to_do(servers: Servers):
    settings = DatabaseSettings.model_validate(
        {"database_url": servers.dsn(), "database_schema": "never_made"}
    )

    async with await connect_async(settings, "test") as conn:
        with pytest.raises(Misconfigured, match="no schema 'never_made' yet: run `aegispay migrate`"):
            await migrate.check(conn, settings)


def test_every_role_has_its_time_limits(place: Place):
    shown = {}
    for role in ("command", "relay", "audit"):
        with psycopg.connect(place.dsn(role)) as conn:
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


def test_a_role_may_not_do_what_is_another_process_part(place: Place):
    with connect(place.settings(DatabaseSettings, "gateway"), "test") as conn:
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
