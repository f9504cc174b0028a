"""A payment command on Kafka becomes a captured payment, with every process real."""

import asyncio

import pytest

from tests.system.running import running

pytestmark = pytest.mark.stack


async def test_a_command_becomes_a_captured_payment_with_one_charge(place, tmp_path):
    async with running(place, tmp_path) as stack, stack.client() as client:
        reply = await client.pay(
            idempotency_key="order-1",
            amount_minor=1099,
            currency="EUR",
            payment_method="pm_card_visa",
            customer_id="customer-1",
        )

        await stack.settled(1)
        rows = await stack.rows("SELECT status, captured_minor, currency, version FROM payments")
        assert reply.status == "CAPTURED"
        assert rows == [("CAPTURED", 1099, "EUR", reply.version)]
        assert [(charge.amount_minor, charge.currency) for charge in stack.charges()] == [(1099, "EUR")]


async def test_fifty_creates_with_one_key_at_once_are_one_payment_and_one_answer(place, tmp_path):
    async with running(place, tmp_path) as stack, stack.client() as client:
        replies = await asyncio.gather(
            *(
                client.create_payment(
                    idempotency_key="order-1", amount_minor=500, currency="JPY", payment_method="pm_card_visa"
                )
                for _ in range(50)
            )
        )

        await stack.settled(1)
        assert {(reply.payment_id, reply.result) for reply in replies} == {
            (replies[0].payment_id, "accepted")
        }
        assert len(stack.charges()) == 1
