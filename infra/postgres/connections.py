"""Connections to PostgreSQL with this installation's schemas and limits, and the check of a pool."""

import asyncio
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg_pool import AsyncConnectionPool

from infra.settings import DatabaseSettings


def conninfo(settings: DatabaseSettings, process: str) -> str:
    """Returns libpq's connection string of a process: its name, both schemas, and limits on silence."""
    return make_conninfo(
        str(settings.database_url),
        application_name=f"aegispay-{process}",
        options=f"-c search_path={settings.database_schema},{settings.read_schema}",
        connect_timeout=5,
        # A peer that is gone without a word is noticed within half a minute.
        keepalives_idle=10,
        keepalives_interval=5,
        keepalives_count=3,
    )


def connect(settings: DatabaseSettings, process: str) -> psycopg.Connection:
    """Returns a connection in autocommit: a transaction is always opened explicitly."""
    return psycopg.connect(conninfo(settings, process), autocommit=True)


async def connect_async(settings: DatabaseSettings, process: str) -> psycopg.AsyncConnection:
    """Returns a connection in autocommit: a transaction is always opened explicitly."""
    return await psycopg.AsyncConnection.connect(conninfo(settings, process), autocommit=True)


async def check(pool: AsyncConnectionPool[Any]) -> None:
    """Replaces the pool's broken connections. A cancellation ends it, unlike the pool's own check.

    psycopg_pool 3.3.3 takes the cancellation of a check for a broken connection and goes on: whoever
    cancelled it would wait for ever, and a time limit around it would have no effect.
    """
    await pool.check()
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError


def address(url: str) -> str:
    """Returns host and port, one or several, without user and password; "an address that cannot be read"
    for another text."""
    try:
        named = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return "an address that cannot be read"
    hosts = str(named.get("host") or named.get("hostaddr") or "localhost").split(",")
    ports = str(named.get("port") or "5432").split(",")
    return ", ".join(f"{host}:{ports[min(at, len(ports) - 1)]}" for at, host in enumerate(hosts))


def where(error: psycopg.Error) -> str | None:
    """Returns host and port of the server that a failed connection was for; None: the error does not name
    it."""
    if error.pgconn is None or not error.pgconn.host:
        return None
    return f"{error.pgconn.host.decode()}:{error.pgconn.port.decode()}"
