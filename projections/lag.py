"""Measures how far the read models are behind the event store."""

from datetime import datetime
from typing import Final

import psycopg

from commands.sql import statements

_SQL: Final = statements(__file__)


async def oldest_missing(conn: psycopg.AsyncConnection) -> datetime | None:
    """Returns the time of the oldest event that is stored and not applied; None: all are applied."""
    row = await (await conn.execute(_SQL["oldest_missing"])).fetchone()
    assert row is not None, "an aggregate has one row"
    moment: datetime | None = row[0]
    return moment
