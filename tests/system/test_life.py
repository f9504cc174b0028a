"""The whole life of a payment, every process real: captures, voids, refunds, challenges, failover, an extra charge."""

from collections import Counter
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from aiokafka import AIOKafkaProducer

from commands.messages import Outcome, RecordOutcome, dump
from infra import topics
from tests.system.running import ALL, TWO_ACCOUNTS, Running, running, until

pytestmark = pytest.mark.stack

CARD: dict[str, Any] = {"amount_minor": 1099, "currency": "EUR", "payment_method": "pm_card_visa"}
CHALLENGED = CARD | {"payment_method": "pm_card_threeDSecure2Required"}
# Its only account captures an authorization several times.
SEVERAL_CAPTURES = TWO_ACCOUNTS.replace('["sim-eu", "sim-us"]', '["sim-us"]')


async def at_rest(stack: Running, payment: UUID | None, status: str, seconds: float = 90.0) -> None:
    async def so() -> bool:
        return await stack.rows("SELECT status FROM payments WHERE payment_id = %s", payment) == [(status,)]

    await until(so, f"{payment} is {status}", seconds)


def moved(stack: Running) -> Counter[tuple[str, int]]:
    return Counter((m.kind, m.amount_minor) for m in stack.movements())


async def test_an_authorization_is_captured_in_parts_its_rest_voided_and_a_part_refunded(place, tmp_path):
    async with (
        running(place, tmp_path, accounts=SEVERAL_CAPTURES) as stack,
        stack.client() as client,
    ):
        created = await client.pay(idempotency_key="order-1", capture="manual", **CARD)
        payment = created.payment_id
        assert payment is not None
        for key, amount in (("c1", 300), ("c2", 500)):
            await client.wait(await client.capture(payment, idempotency_key=key, amount_minor=amount))
        await client.wait(await client.void(payment, idempotency_key="v"))
        await client.wait(await client.refund(payment, idempotency_key="r", amount_minor=200))

        await at_rest(stack, payment, "PARTIALLY_REFUNDED")
        assert moved(stack) == Counter(
            {
                ("authorized", 1099): 1,
                ("captured", 300): 1,
                ("captured", 500): 1,
                ("released", 299): 1,
                ("refunded", 200): 1,
            }
        )
        assert (await stack.verdict()).ok


async def _pass(page: str, result: str = "pass") -> tuple[int, str]:
    """The customer at the bank's page; then wherever that sends it. Stops at an address that is not AegisPay's."""
    async with aiohttp.ClientSession() as customer:
        async with customer.post(page, data={"result": result}, allow_redirects=False) as bank:
            back = bank.headers["Location"]
        async with customer.get(back, allow_redirects=False) as ours:
            return ours.status, ours.headers.get("Location", "")


async def _page(stack: Running, payment: UUID | None) -> str:
    await at_rest(stack, payment, "REQUIRES_ACTION")
    ((page,),) = await stack.rows("SELECT action_url FROM payments WHERE payment_id = %s", payment)
    return str(page)


@pytest.mark.parametrize(("result", "status"), [("pass", "CAPTURED"), ("fail", "FAILED")])
async def test_a_customer_who_comes_back_from_a_challenge_lands_at_the_shop_with_the_payments_end(
    place, tmp_path, result, status
):
    async with running(place, tmp_path, *ALL, "api") as stack, stack.client() as client:
        created = await client.create_payment(
            idempotency_key="order-1", return_page="https://shop.example/thanks", **CHALLENGED
        )
        page = await _page(stack, created.payment_id)

        code, location = await _pass(page, result)

        assert code == 303
        assert location == f"https://shop.example/thanks?payment_id={created.payment_id}&status={status}"
        await at_rest(stack, created.payment_id, status)
        returned = "SELECT count(*) FROM payment_events WHERE topic = 'payment.customer_returned.v1'"
        assert await stack.rows(returned) == [(1,)]
        assert (await stack.verdict()).ok


async def test_a_customer_who_never_comes_back_is_charged_when_the_psp_says_so(place, tmp_path):
    async with running(place, tmp_path) as stack, stack.client() as client:
        created = await client.create_payment(idempotency_key="order-1", **CHALLENGED)
        page = await _page(stack, created.payment_id)
        async with (
            aiohttp.ClientSession() as customer,
            customer.post(page, data={"result": "pass"}, allow_redirects=False),
        ):
            pass

        await at_rest(stack, created.payment_id, "CAPTURED")
        assert len(stack.charges()) == 1


async def test_a_challenge_that_ran_out_is_ended_at_the_psp_and_nothing_is_charged(place, tmp_path):
    async with running(place, tmp_path) as stack, stack.client() as client:
        created = await client.create_payment(
            idempotency_key="order-1", expires_in=timedelta(seconds=8), **CHALLENGED
        )
        page = await _page(stack, created.payment_id)

        await at_rest(stack, created.payment_id, "EXPIRED")
        async with (
            aiohttp.ClientSession() as customer,
            customer.post(page, data={"result": "pass"}, allow_redirects=False),
        ):
            pass
        assert stack.movements() == []
        assert (await stack.verdict()).ok


async def test_a_payment_that_is_cancelled_during_its_challenge_ends_at_the_psp_too(place, tmp_path):
    async with running(place, tmp_path) as stack, stack.client() as client:
        created = await client.create_payment(idempotency_key="order-1", **CHALLENGED)
        await _page(stack, created.payment_id)
        assert created.payment_id is not None
        await client.cancel(created.payment_id, idempotency_key="stop")

        await at_rest(stack, created.payment_id, "VOIDED")
        assert stack.movements() == []


async def test_a_decline_at_one_account_is_a_charge_at_the_next(place, tmp_path):
    async with running(place, tmp_path, accounts=TWO_ACCOUNTS) as stack, stack.client() as client:
        reply = await client.pay(idempotency_key="order-1", **CARD | {"payment_method": "pm_sim_soft_here"})

        assert reply.status == "CAPTURED"
        assert [m.account for m in stack.movements()] == ["sim-us"]
        await at_rest(stack, reply.payment_id, "CAPTURED")
        ((because,),) = await stack.rows(
            "SELECT convert_from(state, 'UTF8')::json ->> 'because' FROM payment_events"
            " WHERE topic = 'operation.started.v1' AND originator_version > 2"
        )
        assert "insufficient_funds" in because
        assert (await stack.verdict()).ok


@pytest.mark.parametrize("token", ["pm_sim_late", "pm_sim_timeout", "pm_sim_vanish", "pm_sim_hang"])
async def test_what_a_slow_or_vanishing_psp_charged_late_is_one_charge(place, tmp_path, token):
    async with running(place, tmp_path) as stack, stack.client() as client:
        reply = await client.create_payment(idempotency_key="order-1", **CARD | {"payment_method": token})

        await at_rest(stack, reply.payment_id, "CAPTURED", seconds=150)
        assert len(stack.charges()) == 1
        assert (await stack.verdict()).ok


@pytest.mark.parametrize("mishap", ["lost", "500_once", "garbage", "reset_before", "wrong_amount"])
@pytest.mark.parametrize("what", ["capture", "cancel", "refund"])
async def test_what_goes_wrong_with_a_later_call_moves_the_money_once(place, tmp_path, what, mishap):
    card = CARD | {"payment_method": f"pm_sim_{what}_{mishap}"}
    async with running(place, tmp_path) as stack, stack.client() as client:
        created = await client.pay(idempotency_key="order-1", capture="manual", **card)
        payment = created.payment_id
        assert payment is not None
        if what == "cancel":
            await client.void(payment, idempotency_key="v")
            await at_rest(stack, payment, "VOIDED")
        else:
            await client.wait(await client.capture(payment, idempotency_key="c"), timeout_s=90)
        if what == "refund":
            await client.refund(payment, idempotency_key="r")
            await at_rest(stack, payment, "REFUNDED")

        verdict = await stack.verdict()
        assert verdict.ok
        assert max(moved(stack).values()) == 1


async def _publish(stack: Running, message: RecordOutcome) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=stack.place.kafka)
    await producer.start()
    try:
        topic = stack.place.prefix + topics.OUTCOMES
        await producer.send_and_wait(topic, dump(message), key=str(message.payment_id).encode())
    finally:
        await producer.stop()


def _said(payment: UUID, operation_id: str, source: Any, **outcome: Any) -> RecordOutcome:
    return RecordOutcome(
        command_id=uuid4(),
        payment_id=payment,
        operation_id=operation_id,
        step="1",
        gateway="stripe",
        account="sim-eu",
        outcome=Outcome(**outcome),
        source=source,
        tries=1,
        first_try_at=None,
        observed_at=datetime.now(UTC),
    )


async def test_an_extra_charge_is_found_confirmed_by_the_psp_and_given_back(place, tmp_path):
    """Its cause is a proof of absence that was wrong: as if the PSP had said so."""
    async with running(place, tmp_path, accounts=TWO_ACCOUNTS) as stack, stack.client() as client:
        created = await client.create_payment(
            idempotency_key="order-1", **CARD | {"payment_method": "pm_sim_lost"}
        )
        payment = created.payment_id
        assert payment is not None
        first = f"{payment.hex}-s1"

        async def charged() -> bool:
            return len(stack.charges()) == 1

        await until(charged, "the first charge")
        wrong = _said(payment, first, "query", kind="PROVEN_ABSENT", code="not_found")
        await _publish(stack, wrong)
        await at_rest(stack, payment, "CAPTURED")
        assert len(stack.charges()) == 2

        charge = next(charge for charge in stack.charges() if charge.reference == first)
        intent = next(m.intent_id for m in stack.movements() if m.psp_id == charge.psp_id)
        late = _said(
            payment, first, "webhook", kind="APPROVED", psp_id=intent, amount_minor=1099, currency="EUR"
        )
        await _publish(stack, late)

        async def given_back() -> bool:
            return moved(stack)["refunded", 1099] == 1

        await until(given_back, "the extra charge is given back")
        verdict = await stack.verdict()
        assert verdict.ok
        assert (verdict.extra_charges_returned, verdict.by_status["CAPTURED"]) == (1, 1)
        assert [m.reference for m in stack.movements() if m.kind == "refunded"] == [f"{payment.hex}-r3"]
        assert await stack.rows("SELECT frozen, captured_minor FROM payments") == [(False, 1099)]
