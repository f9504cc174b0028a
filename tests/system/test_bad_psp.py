"""What a PSP may do to us: never a second charge, and never FAILED for lack of a response."""

import asyncio
from datetime import timedelta
from uuid import UUID

import pytest

from tests.support import simulator
from tests.support.movements import minor
from tests.support.until import until

pytestmark = pytest.mark.stack

_ONE: dict = {"amount_minor": 1099, "currency": "EUR"}
_UNTOLD = ("pm_sim_lost", "pm_sim_garbage", "pm_sim_500_once", "pm_sim_reset_before")
_OTHER_MONEY = {"pm_sim_wrong_amount": "amount_mismatch", "pm_sim_wrong_currency": "currency_mismatch"}


@pytest.fixture(scope="module")
def sent(stack) -> dict[str, UUID]:
    """A payment of each, all created before the first test, so that they wait for their resolution
    together."""

    async def send() -> dict[str, UUID]:
        async with stack.client() as client:
            tokens = (*_UNTOLD, *_OTHER_MONEY)
            replies = await asyncio.gather(
                *(
                    client.create_payment(idempotency_key=token, payment_method=token, **_ONE)
                    for token in tokens
                )
            )
        return {token: reply.payment_id for token, reply in zip(tokens, replies, strict=True)}

    return asyncio.run(send())


@pytest.mark.parametrize("token", _UNTOLD)
async def test_what_the_response_did_not_show_the_repeated_call_does_with_one_charge(stack, sent, token):
    await stack.has_status(sent[token], "CAPTURED")

    assert len(stack.charges(sent[token])) == 1
    topics = "SELECT topic FROM payment_events WHERE originator_id = %s ORDER BY originator_version"
    assert [topic for (topic,) in await stack.rows(topics, sent[token])] == [
        "payment.requested.v1",
        "operation.started.v1",
        "operation.unknown.v1",
        "operation.follow_up_requested.v1",
        "operation.approved.v1",
    ]
    assert (await stack.verdict()).ok


async def test_a_webhook_before_the_response_is_the_end_and_the_response_contradicts_nothing(stack, sent):
    for payment in sent.values():
        await stack.has_status(payment, "CAPTURED", seconds=90)
    claim = "SELECT state, tries FROM gateway_sends WHERE operation_id = %s"
    slow = {"on": "create", "do": "timeout", "after_s": 4, "next": 1}
    async with simulator.faulty(stack, slow), stack.client() as client:
        created = await client.create_payment(
            idempotency_key="overtaken", payment_method="pm_card_visa", **_ONE
        )
        payment = created.payment_id
        operation = f"{payment.hex}-s1"
        await simulator.charged(stack, payment)
        await simulator.webhook_of_the_charge(stack, payment)

        await stack.has_status(payment, "CAPTURED")
        assert await stack.rows(claim, operation) == [("open", 1)], "its response has come already"

        async def responded() -> bool:
            return await stack.rows(claim, operation) == [("closed", 1)]

        await until(responded, "the response")
        # Its outcome comes after that of the sale, from the same worker.
        await client.wait(await client.refund(payment, idempotency_key="after", amount_minor=1))
    ends = """
        SELECT topic, convert_from(state, 'UTF8')::json ->> 'source' FROM payment_events
        WHERE originator_id = %s AND originator_version < 5 ORDER BY originator_version
    """
    assert await stack.rows(ends, payment) == [
        ("payment.requested.v1", None),
        ("operation.started.v1", None),
        ("operation.approved.v1", "webhook"),
        ("operation.started.v1", None),
    ]
    assert await stack.rows("SELECT frozen FROM payments WHERE payment_id = %s", payment) == [(False,)]
    assert len(stack.charges(payment)) == 1
    assert (await stack.verdict()).ok


@pytest.mark.parametrize(("token", "code"), _OTHER_MONEY.items())
async def test_a_response_about_other_money_is_unknown_and_queried_again_with_one_charge(
    stack, sent, token, code
):
    await stack.has_status(sent[token], "CAPTURED")

    unknown = """
        SELECT convert_from(state, 'UTF8')::json ->> 'code' FROM payment_events
        WHERE topic = 'operation.unknown.v1' AND originator_id = %s
    """
    assert await stack.rows(unknown, sent[token]) == [(code,)]
    charges = stack.charges(sent[token])
    assert [(minor(charge), charge.currency) for charge in charges] == [(1099, "EUR")]


async def test_a_psp_that_refuses_connections_is_tried_again_until_it_takes_one_charge(stack):
    async with stack.without("simulator"), stack.client() as client:
        reply = await client.create_payment(idempotency_key="refused", payment_method="pm_card_visa", **_ONE)

        tried = """
            SELECT 1 FROM payment_events WHERE topic = 'operation.unreached.v1' AND originator_id = %s
        """
        await until(lambda: stack.rows(tried, reply.payment_id), "a try that reached nobody")

    await stack.has_status(reply.payment_id, "CAPTURED")
    assert len(stack.charges(reply.payment_id)) == 1
    assert (await stack.verdict()).ok


async def test_a_request_that_no_worker_claimed_before_the_expiry_is_never_sent(stack):
    async with stack.without("gateway"):
        async with stack.client() as client:
            reply = await client.create_payment(
                idempotency_key="expired",
                payment_method="pm_card_visa",
                expires_in=timedelta(seconds=3),
                **_ONE,
            )
        expired = """
            SELECT 1 FROM payment_events WHERE originator_version = 1 AND originator_id = %s
            AND clock_timestamp() > (convert_from(state, 'UTF8')::json ->> 'expires_at')::timestamptz
        """
        await until(lambda: stack.rows(expired, reply.payment_id), "the payment expired")

    await stack.has_status(reply.payment_id, "EXPIRED")
    assert stack.charges(reply.payment_id) == []
    codes = "SELECT code FROM operations WHERE payment_id = %s"
    assert await stack.rows(codes, reply.payment_id) == [("expired",)]
