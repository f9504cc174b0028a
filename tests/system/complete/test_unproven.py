"""Adyen's acquirer error through every process and PSP: its webhook shows whether the money was held, and the
customer is charged once."""

from typing import Any
from uuid import UUID

import pytest

from commands.client import Client
from gateways.simulator.core.ledger import read_movements
from infra.tools.audit.verify import VerifySettings
from infra.tools.local.target import MERCHANT, of_stack
from tests.system.complete.shop import Shop

pytestmark = [
    pytest.mark.stack,
    pytest.mark.timeout(400),
    pytest.mark.asyncio(loop_scope="package"),
]
_PATIENCE_S = 60.0


async def _pays(shop: Shop, token: str) -> tuple[UUID, str | None]:
    """At Adyen first and then at Braintree, as these are ordered in the accounts file."""
    state = shop.state
    client = Client(
        state.kafka, merchant_id=MERCHANT, topic_prefix=state.topic_prefix, reply_timeout_s=_PATIENCE_S
    )
    order: dict[str, Any] = {
        "idempotency_key": token,
        "amount_minor": 2000,
        "currency": "EUR",
        "payment_methods": {"adyen": token, "braintree": "fake-valid-visa-nonce"},
    }
    async with client:
        reply = await client.pay(timeout_s=_PATIENCE_S, **order)
    assert reply.payment_id is not None
    return reply.payment_id, reply.status


def _moved(shop: Shop, payment: UUID) -> list[tuple[str, str]]:
    ledger = of_stack(VerifySettings, shop.state, "audit").simulator_ledger
    assert ledger is not None
    moved = [one for one in read_movements(ledger) if one.intent_reference.startswith(payment.hex)]
    return [(one.account, one.kind) for one in moved]


async def test_an_error_that_held_nothing_leads_to_the_next_account_once_the_webhook_is_there(shop: Shop):
    payment, status = await _pays(shop, "sim_ACQUIRER_ERROR")

    assert status == "CAPTURED"
    assert _moved(shop, payment) == [("sim-braintree", "captured")]
    verdict = await shop.verdict()
    assert verdict.ok, verdict.as_json()


async def test_an_error_that_held_the_money_is_captured_there_and_never_leads_to_another(shop: Shop):
    payment, status = await _pays(shop, "sim_ACQUIRER_ERROR_HELD")

    assert status == "CAPTURED"
    assert _moved(shop, payment) == [("sim-adyen", "authorized"), ("sim-adyen", "captured")]
    verdict = await shop.verdict()
    assert verdict.ok, verdict.as_json()
