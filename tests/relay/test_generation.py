"""The log in another cluster: refused until an operator confirms it, complete and in order afterwards."""

import asyncio
import os
import secrets
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from infra.errors import Misconfigured
from infra.process.runtime import Process
from infra.settings import RelaySettings
from infra.tools.local import folders
from infra.tools.local.postgres import Postgres, binaries
from infra.tools.local.subprocesses import Child
from infra.workers.relay import main
from relay import generation
from relay.generation import LogMoved, StillRunning
from tests.relay.history import (
    drain,
    ids_of,
    in_order_per_payment,
    payments,
    records_of,
    relay_of,
    session,
    write,
)
from tests.support import ports
from tests.support.environment import Environment, Servers
from tests.support.until import until

pytestmark = pytest.mark.stack


@pytest.fixture
async def other_cluster() -> AsyncIterator[str]:
    """The owner's DSN there."""
    folder = Path("/tmp") / f"aegispay-second-{secrets.token_hex(4)}"
    folder.mkdir(mode=0o711)  # as root, PostgreSQL runs as another user
    (port,) = ports.free(1)
    postgres = Postgres(folder / "postgres", port, secrets.token_hex(16), folder / "postgres.log")
    await postgres.prepare()
    child = Child(postgres.program())
    try:
        await child.ready_within(60)
        yield postgres.dsn()
    finally:
        await child.stop()
        shutil.rmtree(folder)


def _restored(environment: Environment, owner_dsn: str) -> Environment:
    """The place's schemas by dump and restore, in another cluster."""
    there = replace(environment, servers=Servers(environment.kafka, owner_dsn))
    programs = binaries(folders.service_user())
    schemas = [f"--schema={name}" for name in (environment.schema, f"{environment.schema}_read")]
    dump = subprocess.run(
        [programs / "pg_dump", "--no-owner", "--no-privileges", *schemas],
        env=_environment(environment.dsn()),
        capture_output=True,
        check=True,
    )
    subprocess.run(
        [programs / "psql", "--quiet", "--no-psqlrc", "--set=ON_ERROR_STOP=1"],
        env=_environment(owner_dsn),
        input=dump.stdout,
        capture_output=True,
        check=True,
    )
    there.make()
    return there


def _environment(dsn: str) -> dict[str, str]:
    parts = conninfo_to_dict(dsn)
    names = {
        "host": "PGHOST",
        "port": "PGPORT",
        "user": "PGUSER",
        "password": "PGPASSWORD",
        "dbname": "PGDATABASE",
    }
    return dict(os.environ) | {name: str(parts[part]) for part, name in names.items()}


async def _nobody_connected(owner: psycopg.Connection) -> None:
    """A session is listed for a moment after its client has closed it."""

    def gone() -> bool:
        return owner.execute(generation._SESSIONS).fetchone() == (0,)

    await until(gone)


async def test_a_restored_log_is_refused_until_a_rebase_and_complete_and_in_order_after_it(
    environment: Environment, other_cluster: str
) -> None:
    with environment.connect() as here:
        # Transaction ids of the first cluster are ahead of all that the second one will give for long.
        before = [event for _ in range(50) for event in write(here, payments(4, versions=2))]
    async with relay_of(environment, page=100) as relay:
        await relay.run_once()
        await relay.save()

    there = await asyncio.to_thread(_restored, environment, other_cluster)
    with pytest.raises(Misconfigured, match="aegispay relay rebase"):
        await main(Process("relay"), there.settings(RelaySettings, "relay"))
    with there.connect("admin") as owner:
        await _nobody_connected(owner)
        rebased = generation.rebase(owner)
    with there.connect() as worker:
        after = write(worker, payments(4, versions=2), generation=rebased)
    async with session(there) as reader:
        current = await generation.current(reader)
    async with relay_of(there, generation=current) as relay:
        left = await drain(relay)

    ids = ids_of(await records_of(there))
    assert rebased == current == 2
    assert left == 300 + 8
    assert len(ids) == len(set(ids)) == 408
    assert in_order_per_payment(ids)
    assert {event.id for event in before + after} == set(ids)


async def test_a_cluster_that_the_log_has_left_and_come_back_to_is_refused_until_a_rebase(
    environment: Environment,
) -> None:
    with environment.connect("admin") as owner:
        owner.execute("INSERT INTO log_generation (generation, system_identifier) VALUES (2, 1)")
        async with session(environment) as reader:
            with pytest.raises(LogMoved):
                await generation.current(reader)
        await _nobody_connected(owner)

        rebased = generation.rebase(owner)

        async with session(environment) as reader:
            assert rebased == await generation.current(reader) == 3


async def test_a_rebase_where_the_log_is_at_home_changes_nothing(environment: Environment) -> None:
    with environment.connect("admin") as owner:
        assert generation.rebase(owner) == 1


async def test_a_rebase_is_refused_while_a_worker_is_connected(environment: Environment) -> None:
    with environment.connect("admin") as owner, environment.connect():
        owner.execute("UPDATE log_generation SET system_identifier = 1")

        with pytest.raises(StillRunning):
            generation.rebase(owner)
