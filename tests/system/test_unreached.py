"""A PSP that is away under load: who could not be reached is tried later, and no payment fails for it."""

import asyncio
from collections import Counter

import pytest

from tests.support.movements import minor
from tests.support.processes import running
from tests.support.until import until

pytestmark = pytest.mark.stack

ORDERS = 60
TRIES_OF_ONE = 4
"""More than the three attempts that a merchant's payments have by default."""


async def test_a_psp_that_is_away_under_load_fails_no_payment_and_captures_and_refunds_each_once(
    environment, tmp_path
):
    async with running(environment, tmp_path) as stack, stack.client(reply_timeout_s=60) as client:
        card = {"amount_minor": 1099, "currency": "EUR", "payment_method": "pm_card_visa"}
        before = await client.pay(idempotency_key="before", **card)
        waits = await client.pay(idempotency_key="waits", capture="manual", **card)
        assert before.payment_id is not None
        assert waits.payment_id is not None

        async with asyncio.TaskGroup() as load:
            for number in range(ORDERS):
                load.create_task(client.create_payment(idempotency_key=f"order-{number}", **card))
            await until(lambda: len(stack.charges()) > 10, "charges under load")
            await stack.kill("simulator")
        refund = await client.refund(before.payment_id, idempotency_key="refund", amount_minor=400)
        capture = await client.capture(waits.payment_id, idempotency_key="capture")

        for operation in (refund.operation_id, capture.operation_id):
            await until(lambda name=operation: _tried(stack, name), f"{operation} tried", 90)
        assert await stack.rows("SELECT count(*) FROM payments WHERE status = 'FAILED'") == [(0,)]
        await stack.start("simulator")

        await stack.has_status(before.payment_id, "PARTIALLY_REFUNDED", 90)
        await stack.has_status(waits.payment_id, "CAPTURED", 90)
        counted = "SELECT status, count(*) FROM payments WHERE payment_id <> ALL(%s) GROUP BY status"
        others = [before.payment_id, waits.payment_id]

        async def all_captured() -> bool:
            return await stack.rows(counted, others) == [("CAPTURED", ORDERS)]

        await until(all_captured, "every order captured", 120)
        charged = Counter(charge.reference.partition("-")[0] for charge in stack.charges())
        assert len(charged) == ORDERS + 2
        assert set(charged.values()) == {1}
        given_back = [minor(m) for m in stack.movements(before.payment_id) if m.kind == "refunded"]
        assert given_back == [400]
        assert (await stack.verdict()).ok
        assert await stack.rows(
            "SELECT max(count) FROM (SELECT count(*) FROM operations GROUP BY payment_id) AS of_each"
        ) == [(2,)]


async def _tried(stack, operation_id: str) -> bool:
    """So often that its attempts would be over, were these any."""
    query = "SELECT state FROM payment_events WHERE topic = 'operation.unreached.v1' AND originator_id = %s"
    rows = await stack.rows(query, operation_id.partition("-")[0])
    return sum(operation_id.encode() in state for (state,) in rows) >= TRIES_OF_ONE
