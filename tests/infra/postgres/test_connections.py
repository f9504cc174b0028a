import asyncio

from psycopg_pool import AsyncConnectionPool

from infra.postgres.connections import check, conninfo
from infra.settings import ApiSettings

_TURNS = 40


async def test_a_cancelled_check_ends_at_whatever_moment_it_is_cancelled(environment):
    settings = environment.settings(ApiSettings, "api")
    async with AsyncConnectionPool(
        conninfo(settings, "test"), kwargs={"autocommit": True}, min_size=2, open=False
    ) as pool:
        await pool.wait()
        for turns in range(_TURNS):
            checking = asyncio.create_task(check(pool))
            for _ in range(turns):
                await asyncio.sleep(0)
            if checking.cancel():
                await asyncio.wait([checking])
                assert checking.cancelled(), f"cancelled after {turns} turns of the loop, and it went on"
