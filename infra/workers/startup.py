"""Checks what every process needs before it takes work: PostgreSQL and Kafka respond, and this version
runs on the schema and the topics."""

from typing import Final

import psycopg
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from commands.sql import statements
from infra.errors import Misconfigured
from infra.kafka import topic_admin
from infra.postgres import migrate
from infra.postgres.connections import address, connect_async, conninfo
from infra.process.runtime import Process
from infra.settings import DatabaseSettings, KafkaSettings, ProcessSettings

_SETTING: Final = statements(__file__)["setting"]


async def ready_to_start(process: Process, settings: ProcessSettings) -> bool:
    """Waits for servers that are away. False: a stop signal came first. Raises `Misconfigured`
    where waiting would not help."""
    if isinstance(settings, DatabaseSettings) and not await _database(process, settings):
        return False
    return not isinstance(settings, KafkaSettings) or await _kafka(process, settings)


async def _database(process: Process, settings: DatabaseSettings) -> bool:
    if not await _postgres_responds(process, conninfo(settings, process.name)):
        return False
    production = isinstance(settings, ProcessSettings) and settings.environment == "production"

    async def look() -> bool:
        async with await connect_async(settings, process.name) as conn:
            await migrate.check(conn, settings)
            await _refuse_weak_server(conn, production=production)
        return True

    at = address(str(settings.database_url))
    return bool(await process.insist(f"PostgreSQL at {at}", look, (psycopg.OperationalError,)))


async def _kafka(process: Process, settings: KafkaSettings) -> bool:
    if not await _kafka_responds(process, settings.kafka):
        return False

    async def look() -> bool:
        await topic_admin.check(settings)
        return True

    return bool(await process.insist(f"Kafka at {settings.kafka}", look, (KafkaError, OSError)))


async def _postgres_responds(process: Process, conninfo: str) -> bool:
    """Waits for PostgreSQL. False: a stop signal came first. Raises `Misconfigured` where the
    sign-in is refused."""

    async def connect() -> bool:
        try:
            async with await psycopg.AsyncConnection.connect(conninfo, connect_timeout=5):
                return True
        except psycopg.OperationalError as error:
            # libpq gives no SQLSTATE for a connection that failed, so this reads the server's English. Of a
            # server with other messages it only takes longer to notice: the process waits, and logs for what.
            if "authentication failed" in str(error) or "does not exist" in str(error):
                text = f"PostgreSQL refuses {process.name}: check AEGISPAY_DATABASE_URL and run `aegispay migrate`"
                raise Misconfigured(text) from error
            raise

    return bool(
        await process.insist(f"PostgreSQL at {address(conninfo)}", connect, (psycopg.OperationalError,))
    )


async def _kafka_responds(process: Process, bootstrap: str) -> bool:
    """Waits for Kafka. False: a stop signal came first."""

    async def connect() -> bool:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5000)
        try:
            await admin.start()
        finally:
            await admin.close()
        return True

    return bool(await process.insist(f"Kafka at {bootstrap}", connect, (KafkaError, OSError)))


async def _refuse_weak_server(conn: psycopg.AsyncConnection, *, production: bool) -> None:
    async def shown(name: str) -> str:
        found = await conn.execute(_SETTING, [name])
        row = await found.fetchone()
        assert row
        return str(row[0])

    # A prepared transaction keeps its id running without any session, so pg_snapshot_xmin stands still, and
    # with it the relay; restarts do not end it.
    if await shown("max_prepared_transactions") != "0":
        raise Misconfigured(
            "PostgreSQL has max_prepared_transactions above 0: a forgotten prepared transaction would stop the relay. "
            "Set it to 0"
        )
    if not production:
        return
    # A server without these may forget a claim in a crash, and the step is sent as if for the first time.
    for name, safe in (
        ("synchronous_commit", ("on", "remote_apply")),
        ("fsync", ("on",)),
        ("full_page_writes", ("on",)),
    ):
        value = await shown(name)
        if value not in safe:
            raise Misconfigured(
                f"PostgreSQL has {name}={value}: a crash could lose committed money. Set it to {safe[0]}, "
                "or AEGISPAY_ENVIRONMENT to development"
            )
    if await shown("transaction_read_only") == "on":
        raise Misconfigured("PostgreSQL is read-only here: add target_session_attrs=read-write to the DSN")
