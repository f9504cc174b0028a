import asyncio
from uuid import uuid4

import pytest

from commands.messages import RetryParked
from infra.kafka.operator_commands import send
from infra.settings import KafkaSettings
from tests.support.processes import running

pytestmark = pytest.mark.stack


async def test_a_parked_payment_is_tried_again_and_its_reply_is_awaited(environment, tmp_path):
    settings = environment.settings(KafkaSettings, "audit")
    async with running(environment, tmp_path) as stack, stack.client() as client:
        paid = await client.pay(
            idempotency_key="order-1", amount_minor=1099, currency="EUR", payment_method="pm_card_visa"
        )
        assert paid.payment_id is not None
        await stack.rows(
            "INSERT INTO parked_streams (payment_id, reason) VALUES (%s, 'a bug of yesterday') RETURNING 1",
            paid.payment_id,
        )
        unknown = uuid4()
        retries = [
            RetryParked(command_id=uuid4(), payment_id=payment) for payment in (paid.payment_id, unknown)
        ]

        replies = await send(settings, retries, 30)

        tried = replies[paid.payment_id]
        assert tried is not None
        assert (tried.result, tried.status) == ("accepted", "CAPTURED")
        refused = replies[unknown]
        assert refused is not None
        assert (refused.result, refused.code) == ("refused", "payment_not_found")
        assert await stack.rows("SELECT * FROM parked_streams") == []


async def test_without_a_command_worker_there_is_no_reply_and_the_wait_is_bounded(environment):
    retry = RetryParked(command_id=uuid4(), payment_id=uuid4())

    async with asyncio.timeout(30):
        replies = await send(environment.settings(KafkaSettings, "audit"), [retry], 0.5)

    assert replies == {retry.payment_id: None}
