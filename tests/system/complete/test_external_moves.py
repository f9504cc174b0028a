"""A colleague in the PSPs' own pages, through every process: what was done there is recorded, and nothing is
done twice."""

import asyncio
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest

from aggregates.operation import Kind, operation_id
from commands.client import Client
from infra.postgres.connections import connect
from infra.tools.audit.verify import VerifySettings
from infra.tools.local.target import MERCHANT, of_stack
from tests.support.until import until
from tests.system.complete.shop import Shop

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(400),
    pytest.mark.asyncio(loop_scope="package"),
]
_PATIENCE_S = 60.0


@dataclass(frozen=True)
class At:
    gateway: str
    account: str
    method: str


STRIPE = At("stripe", "sim-eu", "pm_card_visa")
ADYEN = At("adyen", "sim-adyen", "adyen:sim_APPROVED")
PAYPAL = At("paypal", "sim-paypal", "paypal:sim_ok")
BRAINTREE = At("braintree", "sim-braintree", "braintree:fake-valid-visa-nonce")
RAZORPAY = At("razorpay", "sim-razorpay", "razorpay:token_frictionless")


@dataclass
class Colleague:
    shop: Shop
    client: Client
    http: aiohttp.ClientSession

    async def pay(self, at: At, capture: str) -> UUID:
        reply = await self.client.pay(
            timeout_s=_PATIENCE_S,
            idempotency_key=f"hand-{uuid4()}",
            amount_minor=2000,
            currency="EUR",
            capture=capture,
            payment_method=at.method,
        )
        assert reply.status in {"AUTHORIZED", "CAPTURED"}
        assert reply.payment_id is not None
        return reply.payment_id

    async def act(self, payment: UUID, at: At, of: Kind, **what: Any) -> None:
        """Again until the PSP's pages offer it: a card payment is refunded there once it has settled."""
        requested = {
            "gateway": at.gateway,
            "account": at.account,
            "reference": operation_id(payment, of, 1),
            **what,
        }
        url = f"{self.shop.state.simulator_url}/_simulator/dashboard"

        async def done() -> bool:
            async with self.http.post(url, json=requested) as response:
                assert response.status in {200, 409}, await response.text()
                return response.status == 200

        await until(done, f"{at.gateway} offers {what}", _PATIENCE_S)

    async def sees(self, payment: UUID, **fields: Any) -> None:
        """Waits until the query API shows the payment with these fields."""
        url = f"{self.shop.state.api_url}/v1/payments/{payment}"
        headers = {"Authorization": f"Bearer {self.shop.state.api_key}"}
        shown: dict[str, Any] = {}

        async def so() -> bool:
            nonlocal shown
            async with self.http.get(url, headers=headers) as response:
                shown = await response.json()
            return shown | fields == shown

        try:
            await until(so, f"{payment} with {fields}", _PATIENCE_S)
        except AssertionError as error:
            error.add_note(f"It is shown as {shown}")
            raise

    async def post(self, payment: UUID, what: str, key: str, **body: Any) -> tuple[int, dict[str, Any]]:
        url = f"{self.shop.state.api_url}/v1/payments/{payment}/{what}"
        headers = {
            "Authorization": f"Bearer {self.shop.state.api_key}",
            "Idempotency-Key": key,
            "Prefer": f"wait={_PATIENCE_S:.0f}",
        }
        async with self.http.post(url, headers=headers, json=body) as response:
            return response.status, await response.json()

    async def dispute_of(self, payment: UUID, state: str) -> str:
        """Its id, once it stands so."""
        headers = {"Authorization": f"Bearer {self.shop.state.api_key}"}
        url = f"{self.shop.state.api_url}/v1/payments/{payment}"
        found: dict[str, Any] = {}

        async def so() -> bool:
            nonlocal found
            async with self.http.get(url, headers=headers) as response:
                (found,) = (await response.json())["disputes"]
            return bool(found["state"] == state)

        await until(so, f"the dispute {state}", _PATIENCE_S)
        return str(found["dispute_id"])

    async def wins_at_stripe(self, dispute: str) -> None:
        """By evidence of Stripe's test mode, on which the bank decides for the shop."""
        key = (self.shop.state.accounts_file.parent / "sim-eu.key").read_text().strip()
        async with self.http.post(
            f"{self.shop.state.simulator_url}/stripe/v1/disputes/{dispute}",
            headers={"Authorization": f"Bearer {key}"},
            data={"evidence[uncategorized_text]": "winning_evidence"},
        ) as response:
            assert (await response.json())["status"] == "won"


@dataclass(frozen=True)
class Story:
    """`acts`: of the colleague. `left`: what may be refunded by us afterwards."""

    at: At
    capture: str
    acts: list[dict[str, Any]]
    ends: str
    left: int = 0

    async def live(self, colleague: Colleague) -> None:
        payment = await colleague.pay(self.at, self.capture)
        of: Kind = "authorize" if self.capture == "manual" else "sale"
        for act in self.acts:
            await colleague.act(payment, self.at, of, **act)
        await colleague.sees(payment, status=self.ends)
        if self.left:
            key = {"idempotency_key": "the-rest", "amount_minor": self.left}
            refund = await colleague.client.refund(payment, **key)
            assert (await colleague.client.wait(refund, _PATIENCE_S)).operation_state == "APPROVED"
            await colleague.sees(payment, status="REFUNDED")


def _client(shop: Shop) -> Client:
    state = shop.state
    return Client(
        state.kafka, merchant_id=MERCHANT, topic_prefix=state.topic_prefix, reply_timeout_s=_PATIENCE_S
    )


async def _live(shop: Shop, *stories: Story) -> None:
    async with _client(shop) as client, aiohttp.ClientSession() as http:
        colleague = Colleague(shop, client, http)
        ends = await asyncio.gather(*(story.live(colleague) for story in stories), return_exceptions=True)
        wrong = [(story, end) for story, end in zip(stories, ends, strict=True) if end is not None]
        assert wrong == []


async def test_what_a_colleague_captures_cancels_or_refunds_is_recorded_and_what_is_left_may_be_refunded(
    shop: Shop,
):
    whole, part, cancel = (
        {"do": "capture"},
        {"do": "capture", "minor": 900},
        {"do": "cancel", "reason": "fraudulent"},
    )
    back = {"do": "refund", "minor": 400}
    before = await shop.verdict()
    await _live(
        shop,
        Story(STRIPE, "manual", [whole], "CAPTURED", 2000),
        Story(STRIPE, "manual", [part], "PARTIALLY_CAPTURED", 900),
        Story(STRIPE, "manual", [cancel], "EXPIRED"),
        Story(STRIPE, "automatic", [back], "PARTIALLY_REFUNDED", 1600),
        Story(ADYEN, "manual", [whole], "CAPTURED", 2000),
        Story(ADYEN, "manual", [cancel], "EXPIRED"),
        Story(ADYEN, "automatic", [back], "PARTIALLY_REFUNDED", 1600),
        Story(PAYPAL, "manual", [whole], "CAPTURED", 2000),
        Story(PAYPAL, "manual", [cancel], "EXPIRED"),
        Story(PAYPAL, "automatic", [back], "PARTIALLY_REFUNDED", 1600),
        # It tells of nothing but the settlement.
        Story(BRAINTREE, "manual", [part], "PARTIALLY_CAPTURED"),
        # It captures the whole, and has no cancel.
        Story(RAZORPAY, "manual", [whole], "CAPTURED", 2000),
        Story(RAZORPAY, "automatic", [back], "PARTIALLY_REFUNDED", 1600),
        Story(RAZORPAY, "manual", [whole, back], "PARTIALLY_REFUNDED", 1600),
    )

    verdict = await shop.verdict()
    assert verdict.ok, verdict.as_json()
    assert verdict.doubts == before.doubts


async def test_a_sale_whose_capture_adyen_refuses_has_failed_once_its_hold_is_gone(shop: Shop):
    before = await shop.verdict()
    async with _client(shop) as client:
        reply = await client.pay(
            timeout_s=_PATIENCE_S,
            idempotency_key=f"refused-{uuid4()}",
            amount_minor=2000,
            currency="EUR",
            payment_method="adyen:sim_CAPTURE_REFUSED",
        )

    assert (reply.status, reply.code) == ("FAILED", "capture_failed")
    verdict = await shop.verdict()
    assert verdict.ok, verdict.as_json()
    assert verdict.doubts == before.doubts


async def test_what_a_signed_webhook_says_is_disputed_is_refunded_only_once_the_dispute_is_won(shop: Shop):
    """At Stripe a webhook reports how it ends; at PayPal an operator decides it."""
    stripe = At("stripe", "sim-eu", "pm_card_createDispute")
    paypal = At("paypal", "sim-paypal", "paypal:card:sim_dispute_payout")
    async with _client(shop) as client, aiohttp.ClientSession() as http:
        colleague = Colleague(shop, client, http)
        at_stripe, at_paypal = (
            await colleague.pay(stripe, "automatic"),
            await colleague.pay(paypal, "automatic"),
        )
        await colleague.sees(at_stripe, status="DISPUTED", disputed_minor=2000, refundable_minor=0)
        await colleague.sees(at_paypal, status="DISPUTED", disputed_minor=2000, refundable_minor=0)
        for payment in (at_stripe, at_paypal):
            status, problem = await colleague.post(payment, "refunds", "too-early")
            assert (status, problem["code"]) == (422, "refund_exceeds_captured")
            assert "a dispute has taken 2000" in problem["detail"]

        await colleague.wins_at_stripe(await colleague.dispute_of(at_stripe, "opened"))
        word = {"decision": "won", "evidence": "the case in PayPal's pages", "who": "Kim"}
        word["dispute_id"] = await colleague.dispute_of(at_paypal, "unclear")
        await colleague.post(at_paypal, "resolve-dispute", "won", **word)

        for payment in (at_stripe, at_paypal):
            await colleague.sees(payment, status="CAPTURED", disputed_minor=0, refundable_minor=2000)
            status, done = await colleague.post(payment, "refunds", "in-time")
            assert (status, done["operation_state"]) == (200, "APPROVED"), done
            await colleague.sees(payment, status="REFUNDED")

    verdict = await shop.verdict()
    assert verdict.ok, verdict.as_json()


async def test_what_braintree_says_has_failed_since_is_frozen_and_not_captured_for_ever(shop: Shop):
    before = (await shop.verdict()).doubts.get("frozen", 0)
    declined = At("braintree", "sim-braintree", "braintree:fake-sim-settlement-declined-nonce")
    async with _client(shop) as client, aiohttp.ClientSession() as http:
        colleague = Colleague(shop, client, http)
        sold = await colleague.pay(declined, "automatic")
        held = await colleague.pay(declined, "manual")
        await client.wait(await client.capture(held, idempotency_key="all"), _PATIENCE_S)

        await colleague.sees(sold, frozen=True)
        await colleague.sees(held, frozen=True)

    verdict = await shop.verdict()
    assert verdict.ok, verdict.as_json()
    assert verdict.doubts["frozen"] == before + 2


async def test_what_braintree_gave_back_and_says_has_failed_since_is_frozen_and_not_refunded_for_ever(
    shop: Shop,
):
    fails = At("braintree", "sim-braintree", "braintree:fake-sim-refund-fails-nonce")
    before = (await shop.verdict()).doubts.get("frozen", 0)
    async with _client(shop) as client, aiohttp.ClientSession() as http:
        colleague = Colleague(shop, client, http)
        sold = await colleague.pay(fails, "automatic")
        await until(lambda: _heard(shop, sold, "transaction_settled"), "its settlement", _PATIENCE_S)
        refund = await client.refund(sold, idempotency_key="a-part", amount_minor=400)
        assert (await client.wait(refund, _PATIENCE_S)).operation_state == "APPROVED"

        await colleague.sees(sold, frozen=True)

    verdict = await shop.verdict()
    assert verdict.ok, verdict.as_json()
    assert verdict.doubts["frozen"] == before + 1


async def _heard(shop: Shop, payment: UUID, kind: str) -> bool:
    """Whether the payment has had this webhook."""
    query = "SELECT count(*) FROM webhooks_in WHERE payment_id = %s AND state = 'done' AND notice ->> 'event_type' = %s"
    with connect(of_stack(VerifySettings, shop.state, "audit"), "audit") as connection:
        (count,) = connection.execute(query, (payment, kind)).fetchone() or (0,)
    return bool(count)
