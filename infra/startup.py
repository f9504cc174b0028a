"""What every process makes sure of before it takes work: PostgreSQL and Kafka answer, the schema and the topics are this version's."""

import psycopg
from aiokafka.errors import KafkaError

from infra import migrate, topic_admin
from infra.database import connect_async, conninfo
from infra.misconfigured import Misconfigured
from infra.process import Process
from infra.settings import DatabaseSettings, KafkaSettings, ProcessSettings


async def ready_to_start(process: Process, settings: ProcessSettings) -> bool:
    """Waits for what is away. False: asked to stop first. Raises `Misconfigured` for what no waiting would mend."""
    if isinstance(settings, DatabaseSettings) and not await _database(process, settings):
        return False
    return not isinstance(settings, KafkaSettings) or await _kafka(process, settings)


async def _database(process: Process, settings: DatabaseSettings) -> bool:
    if not await process.postgres_answers(conninfo(settings, process.name)):
        return False
    production = isinstance(settings, ProcessSettings) and settings.environment == "production"

    async def look() -> bool:
        async with await connect_async(settings, process.name) as conn:
            await migrate.check(conn, settings)
            await _refuse_weak_server(conn, production=production)
        return True

    return bool(await process.insist("PostgreSQL", look, (psycopg.OperationalError,)))


async def _kafka(process: Process, settings: KafkaSettings) -> bool:
    if not await process.kafka_answers(settings.kafka):
        return False

    async def look() -> bool:
        await topic_admin.check(settings)
        return True

    return bool(await process.insist(f"Kafka at {settings.kafka}", look, (KafkaError, OSError)))


async def _refuse_weak_server(conn: psycopg.AsyncConnection, *, production: bool) -> None:
    async def shown(name: str) -> str:
        found = await conn.execute("SELECT current_setting(%s)", [name])
        row = await found.fetchone()
        assert row
        return str(row[0])

    if await shown("max_prepared_transactions") != "0":
        raise Misconfigured(
            "PostgreSQL has max_prepared_transactions above 0: a forgotten prepared transaction would stop the relay. "
            "Set it to 0"
        )
    if not production:
        return
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
