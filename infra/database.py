"""Connections to PostgreSQL: the schema of this installation, binary-safe defaults, and what a start must check."""

import psycopg
from psycopg.conninfo import make_conninfo

from infra.settings import DatabaseSettings


def conninfo(settings: DatabaseSettings, process: str) -> str:
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
    """In autocommit: a transaction is always opened by name."""
    return psycopg.connect(conninfo(settings, process), autocommit=True)


async def connect_async(settings: DatabaseSettings, process: str) -> psycopg.AsyncConnection:
    """In autocommit: a transaction is always opened by name."""
    return await psycopg.AsyncConnection.connect(conninfo(settings, process), autocommit=True)
