"""A query API whose connections are all held up reports it, takes payments all the same, and is well again
afterwards."""

import asyncio

import aiohttp
import psycopg
import pytest

from infra.postgres import api_keys
from infra.postgres.connections import connect
from infra.settings import DatabaseSettings
from tests.support.processes import ALL, running

pytestmark = pytest.mark.stack

_READERS = 40


async def test_an_exhausted_pool_responds_with_503_and_recovers(environment, tmp_path):
    with connect(environment.settings(DatabaseSettings, "admin"), "test") as connection:
        key = api_keys.create(connection, "demo", ("payments:read", "payments:write"))
    async with running(environment, tmp_path, *ALL, "api") as stack, stack.client() as client:
        reply = await client.pay(
            idempotency_key="order-a", amount_minor=1099, currency="EUR", payment_method="pm_card_visa"
        )
        path = f"/v1/payments/{reply.payment_id}"
        async with aiohttp.ClientSession(
            base_url=f"http://127.0.0.1:{stack.api_port}", headers={"Authorization": f"Bearer {key}"}
        ) as http:

            async def read() -> int:
                async with http.get(path) as response:
                    return response.status

            options = f"-c search_path={environment.schema}_read"
            async with (
                await psycopg.AsyncConnection.connect(environment.dsn(), options=options) as holder,
                holder.transaction(),
            ):
                await holder.execute("LOCK TABLE payments")
                held_up = [asyncio.create_task(read()) for _ in range(_READERS)]
                done, _ = await asyncio.wait(held_up, timeout=45, return_when=asyncio.FIRST_COMPLETED)
                assert {task.result() for task in done} == {503}
                taken = await client.create_payment(
                    idempotency_key="order-b",
                    amount_minor=1099,
                    currency="EUR",
                    payment_method="pm_card_visa",
                )
            statuses = {await task for task in held_up}

            assert taken.status == "PROCESSING"
            assert statuses <= {200, 503}
            assert await read() == 200
        await stack.settled(2)
        assert (await stack.verdict()).ok
