"""A payment command on Kafka becomes a captured payment, with every process real."""

import asyncio

import pytest

pytestmark = pytest.mark.stack


async def test_a_command_becomes_a_captured_payment_with_one_charge(stack):
    async with stack.client() as client:
        reply = await client.pay(
            idempotency_key="order-1",
            amount_minor=1099,
            currency="EUR",
            payment_method="pm_card_visa",
            customer_id="customer-1",
        )

        await stack.has_status(reply.payment_id, "CAPTURED")
        rows = await stack.rows(
            "SELECT payment_id, status, captured_minor, version FROM payments WHERE currency = 'EUR'"
        )
        assert reply.status == "CAPTURED"
        assert rows == [(reply.payment_id, "CAPTURED", 1099, reply.version)]
        assert _charged(stack, "EUR") == [1099]


async def test_fifty_creates_with_one_key_at_once_are_one_payment_and_one_answer(stack):
    async with stack.client() as client:
        replies = await asyncio.gather(
            *(
                client.create_payment(
                    idempotency_key="order-2", amount_minor=500, currency="JPY", payment_method="pm_card_visa"
                )
                for _ in range(50)
            )
        )

        assert {(reply.payment_id, reply.result) for reply in replies} == {
            (replies[0].payment_id, "accepted")
        }
        await stack.has_status(replies[0].payment_id, "CAPTURED")
        assert await stack.rows("SELECT count(*) FROM payments WHERE currency = 'JPY'") == [(1,)]
        assert _charged(stack, "JPY") == [500]


def _charged(stack, currency: str) -> list[int | None]:
    """The currency tells the payments of one test from those of the other."""
    return [charge.amount_minor for charge in stack.charges() if charge.currency == currency]
