"""What a PSP may do to us: never a second charge, and never FAILED for lack of an answer."""

from datetime import timedelta

import pytest

from tests.system.running import running, until

pytestmark = pytest.mark.stack

_ONE: dict = {"amount_minor": 1099, "currency": "EUR"}


async def _until_status(stack, status: str, seconds: float = 60.0) -> None:
    async def has_it() -> bool:
        return await stack.rows("SELECT status FROM payments") == [(status,)]

    await until(has_it, f"the payment {status}", seconds)


@pytest.mark.parametrize("token", ["pm_sim_lost", "pm_sim_garbage", "pm_sim_500_once", "pm_sim_reset_before"])
async def test_what_the_answer_did_not_tell_the_repeated_call_does_with_one_charge(place, tmp_path, token):
    async with running(place, tmp_path) as stack, stack.client() as client:
        await client.create_payment(idempotency_key="order-1", payment_method=token, **_ONE)

        await _until_status(stack, "CAPTURED")
        assert len(stack.charges()) == 1
        assert [
            row[0] for row in await stack.rows("SELECT topic FROM payment_events ORDER BY originator_version")
        ] == [
            "payment.requested.v1",
            "operation.started.v1",
            "operation.unknown.v1",
            "operation.asked.v1",
            "operation.approved.v1",
        ]
        assert (await stack.verdict()).ok


@pytest.mark.parametrize(
    ("token", "code"),
    [("pm_sim_wrong_amount", "amount_mismatch"), ("pm_sim_wrong_currency", "currency_mismatch")],
)
async def test_an_answer_about_other_money_is_unknown_and_asked_again_with_one_charge(
    place, tmp_path, token, code
):
    async with running(place, tmp_path) as stack, stack.client() as client:
        await client.create_payment(idempotency_key="order-1", payment_method=token, **_ONE)

        await _until_status(stack, "CAPTURED")
        unknown = "SELECT convert_from(state, 'UTF8')::json ->> 'code' FROM payment_events WHERE topic = %s"
        assert await stack.rows(unknown, "operation.unknown.v1") == [(code,)]
        assert [(charge.amount_minor, charge.currency) for charge in stack.charges()] == [(1099, "EUR")]


async def test_a_psp_that_refuses_connections_is_tried_again_and_nothing_is_charged_in_vain(place, tmp_path):
    async with running(place, tmp_path) as stack, stack.client() as client:
        await stack.kill("simulator")
        await client.create_payment(idempotency_key="order-1", payment_method="pm_card_visa", **_ONE)

        async def tried() -> bool:
            rows = await stack.rows(
                "SELECT count(*) FROM payment_events WHERE topic = 'payment.retry_scheduled.v1'"
            )
            return rows[0][0] >= 1

        await until(tried, "an attempt that was proven not sent")
        await stack.start("simulator")
        await until(
            lambda: stack.rows("SELECT 1 FROM payments WHERE status IN ('CAPTURED', 'FAILED')"), "the end"
        )

        verdict = await stack.verdict()
        assert verdict.ok
        assert len(stack.charges()) == verdict.by_status["CAPTURED"]


async def test_a_request_that_no_worker_claimed_before_the_expiry_is_never_sent(place, tmp_path):
    async with running(place, tmp_path, "simulator", "command", "relay", "timers", "views") as stack:
        async with stack.client() as client:
            await client.create_payment(
                idempotency_key="order-1",
                payment_method="pm_card_visa",
                expires_in=timedelta(seconds=3),
                **_ONE,
            )
        expired = """
            SELECT 1 FROM payment_events WHERE originator_version = 1
            AND clock_timestamp() > (convert_from(state, 'UTF8')::json ->> 'expires_at')::timestamptz
        """
        await until(lambda: stack.rows(expired), "the payment expired")

        await stack.start("gateway")

        await _until_status(stack, "FAILED")
        assert stack.charges() == []
        assert (await stack.rows("SELECT code FROM operations")) == [("expired",)]
