import asyncio
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import psycopg
import pytest

from infra.tools.chaos.proxy import Proxy
from infra.tools.local.ports import HOST

pytestmark = pytest.mark.stack


@asynccontextmanager
async def _through(database):
    """A proxy before the test's PostgreSQL, and a connection by it, in autocommit."""
    there = urlsplit(database.dsn())
    login = there.netloc.rpartition("@")[0]
    async with Proxy.serving(there.port) as proxy:
        dsn = there._replace(netloc=f"{login}@{HOST}:{proxy.port}").geturl()
        options = f"-c search_path={database.schema}"
        async with await psycopg.AsyncConnection.connect(dsn, autocommit=True, options=options) as conn:
            await conn.execute("CREATE TABLE kept (number int)")
            yield proxy, conn


async def _kept(database) -> list[int]:
    async with await psycopg.AsyncConnection.connect(database.dsn()) as conn:
        cursor = await conn.execute(f"SELECT number FROM {database.schema}.kept ORDER BY number")
        return [row[0] for row in await cursor.fetchall()]


async def _cut(proxy, when, verb):
    task = asyncio.create_task(proxy.cut(when, verb))
    await asyncio.sleep(0)
    return task


async def test_it_carries_bytes_both_ways(database):
    async with _through(database) as (_, conn):
        async with conn.pipeline(), conn.transaction():
            await conn.execute("INSERT INTO kept VALUES (%s)", [1], prepare=True)
        big = await (await conn.execute("SELECT repeat('x', 1000000)")).fetchone()

    assert big == ("x" * 1_000_000,)
    assert await _kept(database) == [1]


@pytest.mark.parametrize("pipelined", [False, True])
@pytest.mark.parametrize(("when", "kept"), [("after", [1]), ("before", [])])
async def test_a_commit_is_cut_before_it_arrives_or_after_it_is_done(database, when, kept, pipelined):
    async with _through(database) as (proxy, conn):
        cut = await _cut(proxy, when, "COMMIT")

        with pytest.raises(psycopg.OperationalError):
            await _insert_in_transaction(conn, pipelined=pipelined)
        await cut

        assert await _kept(database) == kept


async def _insert_in_transaction(conn, *, pipelined):
    if pipelined:
        async with conn.pipeline(), conn.transaction():
            await conn.execute("INSERT INTO kept VALUES (1)")
    else:
        async with conn.transaction():
            await conn.execute("INSERT INTO kept VALUES (1)")


@pytest.mark.parametrize(("when", "kept"), [("after", [1, 2]), ("before", [1])])
async def test_a_statement_in_autocommit_is_cut_too_though_it_was_prepared_long_before(database, when, kept):
    async with _through(database) as (proxy, conn):
        await conn.execute("INSERT INTO kept VALUES (%s)", [1], prepare=True)
        cut = await _cut(proxy, when, "INSERT")

        with pytest.raises(psycopg.OperationalError):
            await conn.execute("INSERT INTO kept VALUES (%s)", [2], prepare=True)
        await cut

        assert await _kept(database) == kept


async def test_after_a_cut_the_next_connection_is_carried_again(database):
    async with _through(database) as (proxy, conn):
        cut = await _cut(proxy, "before", "COMMIT")
        with pytest.raises(psycopg.OperationalError):
            await _insert_in_transaction(conn, pipelined=False)
        await cut

        dsn = urlsplit(database.dsn())
        login = dsn.netloc.rpartition("@")[0]
        again = dsn._replace(netloc=f"{login}@{HOST}:{proxy.port}").geturl()
        async with await psycopg.AsyncConnection.connect(
            again, autocommit=True, options=f"-c search_path={database.schema}"
        ) as conn2:
            await _insert_in_transaction(conn2, pipelined=False)

    assert await _kept(database) == [1]
