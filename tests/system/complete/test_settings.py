"""The settings of the local stack's PostgreSQL; the tests' own server forgoes some of them."""

import psycopg
import pytest

from tests.system.complete.shop import Shop

pytestmark = [pytest.mark.stack, pytest.mark.asyncio(loop_scope="package")]


async def test_postgresql_keeps_what_it_confirmed_and_listens_on_loopback_alone(shop: Shop):
    names = ["fsync", "full_page_writes", "synchronous_commit", "listen_addresses", "unix_socket_directories"]
    async with await psycopg.AsyncConnection.connect(shop.state.database_admin_url) as connection:
        rows = await connection.execute("SELECT name, setting FROM pg_settings WHERE name = ANY(%s)", [names])
        settings = dict(await rows.fetchall())

    assert settings == {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "",
    }
