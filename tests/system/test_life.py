"""The whole life of a payment, every process real: captures, voids, refunds, challenges, failover, a
duplicate charge."""

import asyncio
from collections import Counter
from datetime import timedelta
from itertools import product
from typing import Any
from uuid import UUID

import aiohttp
import pytest

from commands.client import Client
from tests.support import simulator
from tests.support.movements import minor
from tests.support.processes import Running
from tests.support.until import until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(400)]

CARD: dict[str, Any] = {"amount_minor": 1099, "currency": "EUR", "payment_method": "pm_card_visa"}
CHALLENGED = CARD | {"payment_method": "pm_card_threeDSecure2Required"}
LATE = ("pm_sim_late", "pm_sim_timeout", "pm_sim_outage", "pm_sim_hang")
UNLISTED = "pm_sim_lost_unlisted"
LATER_CALLS = ("capture", "cancel", "refund")
FAULTS = ("lost", "500_once", "garbage", "reset_before", "wrong_amount")


def moved(stack: Running, payment: UUID | None) -> Counter[tuple[str, int]]:
    return Counter((m.kind, minor(m)) for m in stack.movements(payment))


@pytest.fixture(scope="module")
def lived(stack) -> dict[str, UUID | BaseException]:
    """By token. All at once and before the first test of them: each waits long, and none for another."""

    async def live() -> dict[str, UUID | BaseException]:
        async with stack.client() as client:
            lives = {token: _paid_late(stack, client, token) for token in LATE}
            lives[UNLISTED] = _paid_unlisted(stack, client)
            for what, fault in product(LATER_CALLS, FAULTS):
                token = f"pm_sim_{what}_{fault}"
                lives[token] = _changed(stack, client, token, what)
            # While it is away it is away for all.
            alone = lives.pop("pm_sim_outage")
            ends = await asyncio.gather(*lives.values(), return_exceptions=True)
            (end,) = await asyncio.gather(alone, return_exceptions=True)
        return dict(zip(lives, ends, strict=True)) | {"pm_sim_outage": end}

    return asyncio.run(live())


async def _paid_late(stack: Running, client: Client, token: str) -> UUID:
    reply = await client.create_payment(idempotency_key=token, **CARD | {"payment_method": token})
    assert reply.payment_id is not None
    await stack.has_status(reply.payment_id, "CAPTURED", seconds=150)
    return reply.payment_id


async def _paid_unlisted(stack: Running, client: Client) -> UUID:
    created = await client.create_payment(idempotency_key=UNLISTED, **CARD | {"payment_method": UNLISTED})
    payment = created.payment_id
    assert payment is not None
    await simulator.charged(stack, payment)
    # A hint, upon which it is looked up: from then on the call is not repeated, which would tell at once.
    hint = {"kind": "DECLINED_SOFT", "code": "generic_decline"}
    await simulator.tells(stack, payment, f"{payment.hex}-s1", "webhook", **hint)
    await stack.has_status(payment, "CAPTURED", seconds=90)
    return payment


async def _changed(stack: Running, client: Client, token: str, what: str) -> UUID:
    card = CARD | {"payment_method": token}
    created = await client.pay(idempotency_key=token, capture="manual", **card)
    payment = created.payment_id
    assert payment is not None
    if what == "cancel":
        await client.void(payment, idempotency_key=f"{token}-v")
        await stack.has_status(payment, "VOIDED", seconds=90)
    else:
        captured = await client.capture(payment, idempotency_key=f"{token}-c")
        ended = await client.wait(captured, timeout_s=90)
        assert ended.operation_state == "APPROVED", ended
    if what == "refund":
        await client.refund(payment, idempotency_key=f"{token}-r")
        await stack.has_status(payment, "REFUNDED", seconds=90)
    return payment


def of(lived: dict[str, UUID | BaseException], token: str) -> UUID:
    end = lived[token]
    if isinstance(end, BaseException):
        raise end
    return end


@pytest.mark.parametrize("token", LATE)
async def test_what_a_slow_or_absent_psp_charged_late_is_one_charge(stack, lived, token):
    payment = of(lived, token)

    assert len(stack.charges(payment)) == 1
    assert (await stack.verdict()).ok


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("what", LATER_CALLS)
async def test_what_goes_wrong_with_a_later_call_moves_the_money_once(stack, lived, what, fault):
    payment = of(lived, f"pm_sim_{what}_{fault}")

    assert (await stack.verdict()).ok
    assert max(moved(stack, payment).values()) == 1


async def test_a_charge_that_is_not_found_for_a_while_is_in_doubt_until_it_is_and_none_follows(stack, lived):
    payment = of(lived, UNLISTED)

    reports = """
        SELECT topic, convert_from(state, 'UTF8')::json ->> 'source' FROM payment_events
        WHERE topic NOT IN ('payment.requested.v1', 'operation.follow_up_requested.v1') AND originator_id = %s
        ORDER BY originator_version
    """
    recorded = await stack.rows(reports, payment)
    assert recorded[0] == ("operation.started.v1", None)
    assert ("operation.unknown.v1", "query") in recorded
    assert recorded[-1] == ("operation.approved.v1", "query")
    assert {topic for topic, _ in recorded[1:-1]} == {"operation.unknown.v1"}
    assert len(stack.charges(payment)) == 1


async def test_an_authorization_is_captured_in_parts_its_rest_voided_and_a_part_refunded(stack):
    async with stack.client(merchant_id="multicapture") as client:
        created = await client.pay(idempotency_key="parts", capture="manual", **CARD)
        payment = created.payment_id
        assert payment is not None
        for key, amount in (("c1", 300), ("c2", 500)):
            await client.wait(await client.capture(payment, idempotency_key=key, amount_minor=amount))
        await client.wait(await client.void(payment, idempotency_key="v"))
        await client.wait(await client.refund(payment, idempotency_key="r", amount_minor=200))

        await stack.has_status(payment, "PARTIALLY_REFUNDED")
        assert moved(stack, payment) == Counter(
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
    """The customer at the bank's page; then wherever that sends it. Stops at an address that is not
    AegisPay's."""
    async with aiohttp.ClientSession() as customer:
        async with customer.post(page, data={"result": result}, allow_redirects=False) as bank:
            back = bank.headers["Location"]
        async with customer.get(back, allow_redirects=False) as ours:
            return ours.status, ours.headers.get("Location", "")


async def _pass_and_go(page: str) -> None:
    """At the bank's page, and never back."""
    async with (
        aiohttp.ClientSession() as customer,
        customer.post(page, data={"result": "pass"}, allow_redirects=False),
    ):
        pass


async def _page(stack: Running, payment: UUID | None) -> str:
    assert payment is not None
    await stack.has_status(payment, "REQUIRES_ACTION")
    ((page,),) = await stack.rows("SELECT action_url FROM payments WHERE payment_id = %s", payment)
    return str(page)


@pytest.mark.parametrize(("result", "status"), [("pass", "CAPTURED"), ("fail", "FAILED")])
async def test_a_customer_who_comes_back_from_a_challenge_lands_at_the_shop_with_the_payments_end(
    stack, result, status
):
    async with stack.client() as client:
        created = await client.create_payment(
            idempotency_key=f"back-{result}", return_page="https://shop.example/thanks", **CHALLENGED
        )
        page = await _page(stack, created.payment_id)

        code, location = await _pass(page, result)

        assert code == 303
        assert location == f"https://shop.example/thanks?payment_id={created.payment_id}&status={status}"
        await stack.has_status(created.payment_id, status)
        returned = """
            SELECT count(*) FROM payment_events
            WHERE topic = 'payment.customer_returned.v1' AND originator_id = %s
        """
        assert await stack.rows(returned, created.payment_id) == [(1,)]
        assert (await stack.verdict()).ok


async def _returns(stack: Running, payment: UUID, address: str) -> None:
    async with aiohttp.ClientSession() as customer, customer.get(address, allow_redirects=False) as ours:
        assert ours.status == 200
        assert "went through" in await ours.text()


async def _deliver_webhook(stack: Running, payment: UUID, address: str) -> None:
    await simulator.webhook_of_the_charge(stack, payment)


@pytest.mark.parametrize(
    ("arrivals", "first_known_from"),
    [
        ((_returns, _deliver_webhook), "query"),
        ((_deliver_webhook, _returns), "webhook"),
        ((_returns,), "query"),
        ((_deliver_webhook,), "webhook"),
    ],
    ids=["return_then_webhook", "webhook_then_return", "return_only", "webhook_only"],
)
async def test_a_passed_challenge_is_one_charge_whichever_of_return_and_webhook_comes_first(
    stack, arrivals, first_known_from, request
):
    async with stack.client() as client:
        created = await client.create_payment(idempotency_key=request.node.callspec.id, **CHALLENGED)
        payment = created.payment_id
        assert payment is not None
        address = await simulator.challenge(await _page(stack, payment), "pass")
        assert address is not None

        for arrive in arrivals:
            await arrive(stack, payment, address)
            # The second is about a payment whose end is known.
            await stack.has_status(payment, "CAPTURED", seconds=20)

        # The stream's next report comes after those, whatever they have led to.
        await client.wait(await client.refund(payment, idempotency_key="after", amount_minor=1))
        ends = """
            SELECT topic, convert_from(state, 'UTF8')::json ->> 'source' FROM payment_events
            WHERE topic IN ('operation.approved.v1', 'payment.contradicted.v1') AND originator_id = %s
            AND convert_from(state, 'UTF8')::json ->> 'operation_id' = %s
        """
        assert await stack.rows(ends, payment, f"{payment.hex}-s1") == [
            ("operation.approved.v1", first_known_from)
        ]
        assert await stack.rows("SELECT frozen FROM payments WHERE payment_id = %s", payment) == [(False,)]
        assert len(stack.charges(payment)) == 1


async def test_a_customer_who_never_comes_back_is_charged_when_the_psp_says_so(stack):
    async with stack.client() as client:
        created = await client.create_payment(idempotency_key="gone", **CHALLENGED)
        await _pass_and_go(await _page(stack, created.payment_id))

        await stack.has_status(created.payment_id, "CAPTURED", seconds=90)
        assert len(stack.charges(created.payment_id)) == 1


async def test_a_challenge_that_ran_out_is_ended_at_the_psp_and_nothing_is_charged(stack):
    async with stack.client() as client:
        created = await client.create_payment(
            idempotency_key="ran-out", expires_in=timedelta(seconds=8), **CHALLENGED
        )
        page = await _page(stack, created.payment_id)

        await stack.has_status(created.payment_id, "EXPIRED", seconds=90)
        await _pass_and_go(page)
        assert stack.movements(created.payment_id) == []
        assert (await stack.verdict()).ok


async def test_a_payment_that_is_cancelled_during_its_challenge_ends_at_the_psp_too(stack):
    async with stack.client() as client:
        created = await client.create_payment(idempotency_key="cancelled", **CHALLENGED)
        await _page(stack, created.payment_id)
        assert created.payment_id is not None
        await client.cancel(created.payment_id, idempotency_key="stop")

        await stack.has_status(created.payment_id, "VOIDED", seconds=90)
        assert stack.movements(created.payment_id) == []


async def test_a_decline_at_one_account_is_a_charge_at_the_next(stack):
    async with stack.client(merchant_id="failover") as client:
        reply = await client.pay(idempotency_key="declined", **CARD | {"payment_method": "pm_sim_soft_here"})

        assert reply.status == "CAPTURED"
        assert [m.account for m in stack.movements(reply.payment_id)] == ["sim-us"]
        await stack.has_status(reply.payment_id, "CAPTURED")
        reason = """
            SELECT convert_from(state, 'UTF8')::json ->> 'reason' FROM payment_events
            WHERE topic = 'operation.started.v1' AND originator_version > 2 AND originator_id = %s
        """
        ((recorded,),) = await stack.rows(reason, reply.payment_id)
        assert "insufficient_funds" in recorded
        assert (await stack.verdict()).ok


async def test_a_duplicate_charge_is_found_confirmed_by_the_psp_and_given_back(stack):
    """Its cause is a proof of absence that was wrong: as if the PSP had reported it."""
    async with stack.client(merchant_id="failover") as client:
        created = await client.create_payment(
            idempotency_key="duplicate_charge", **CARD | {"payment_method": "pm_sim_lost"}
        )
        payment = created.payment_id
        assert payment is not None
        first = f"{payment.hex}-s1"

        async def charged() -> bool:
            return len(stack.charges(payment)) == 1

        await until(charged, "the first charge")
        await simulator.tells(stack, payment, first, "query", kind="PROVEN_ABSENT", code="not_found")
        await stack.has_status(payment, "CAPTURED", seconds=90)
        assert len(stack.charges(payment)) == 2

        charge = next(charge for charge in stack.charges(payment) if charge.reference == first)
        late = {"psp_id": charge.intent_id, "amount_minor": 1099, "currency": "EUR"}
        await simulator.tells(stack, payment, first, "webhook", kind="APPROVED", **late)

        async def given_back() -> bool:
            return moved(stack, payment)["refunded", 1099] == 1

        await until(given_back, "the duplicate charge is given back")
        verdict = await stack.verdict()
        assert verdict.ok
        assert list(verdict.found["duplicate_charges_returned"]) == [str(payment)]
        assert [m.reference for m in stack.movements(payment) if m.kind == "refunded"] == [
            f"{payment.hex}-r3"
        ]
        shown = "SELECT status, frozen, captured_minor FROM payments WHERE payment_id = %s"
        assert await stack.rows(shown, payment) == [("CAPTURED", False, 1099)]
