"""Stripe's own client against the simulator: it understands the responses, and takes what goes wrong
for what it is.
"""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID, uuid4

import pytest
import stripe

from gateways.simulator.core.ledger import read_movements
from tests.gateways.simulator.client import KEY, Client

T = TypeVar("T")
CARD = {"payment_method": "pm_card_visa", "payment_method_types": ["card"], "confirm": True}


@pytest.fixture
def client(simulator: Client) -> stripe.StripeClient:
    return sdk(simulator)


def sdk(simulator: Client, key: str = KEY) -> stripe.StripeClient:
    return stripe.StripeClient(
        key,
        base_addresses={"api": simulator.url},
        max_network_retries=0,
        http_client=stripe.RequestsClient(),
    )


async def say(call: Callable[..., T], *args: Any, **more: Any) -> T:
    """The client waits with its thread."""
    return await asyncio.to_thread(call, *args, **more)


async def authorized(client: stripe.StripeClient, **more: Any) -> stripe.PaymentIntent:
    sent = {"amount": 1099, "currency": "usd", "capture_method": "manual", **CARD, **more}
    return await say(client.v1.payment_intents.create, params=sent)


async def test_an_intent_is_authorized_captured_in_part_and_given_back(client: stripe.StripeClient):
    held = await authorized(client)
    taken = await say(client.v1.payment_intents.capture, held.id, params={"amount_to_capture": 700})
    refund = await say(client.v1.refunds.create, params={"payment_intent": held.id, "amount": 300})
    shown = await say(client.v1.payment_intents.retrieve, held.id, params={"expand": ["latest_charge"]})
    listed = await say(client.v1.refunds.list, params={"payment_intent": held.id})

    assert (held.status, held.amount_capturable) == ("requires_capture", 1099)
    assert (taken.status, taken.amount_received) == ("succeeded", 700)
    assert (refund.status, refund.amount) == ("succeeded", 300)
    assert isinstance(shown.latest_charge, stripe.Charge)
    assert shown.latest_charge.amount_refunded == 300
    assert [one.id for one in listed.auto_paging_iter()] == [refund.id]


async def test_what_another_client_does_is_for_no_operation_of_ours_whatever_its_key_is(
    client: stripe.StripeClient, ledger_file: Path
):
    held, ended = [
        await authorized(client, metadata={"order_ref": f"{UUID(int=7).hex}-a{number}"}) for number in (1, 2)
    ]
    await say(client.v1.payment_intents.capture, held.id, params={"amount_to_capture": 700})
    await say(client.v1.refunds.create, params={"payment_intent": held.id, "amount": 300})
    await say(client.v1.payment_intents.cancel, ended.id, options={"idempotency_key": str(uuid4())})

    done = [(one.kind, one.reference) for one in read_movements(ledger_file) if one.kind != "authorized"]
    assert sorted(done) == [("captured", ""), ("refunded", ""), ("released", ""), ("released", "")]


async def test_an_intent_is_cancelled_and_found_by_its_metadata(client: stripe.StripeClient):
    held = await authorized(client, metadata={"order_ref": "order-7"})

    ended = await say(client.v1.payment_intents.cancel, held.id)
    found = await say(client.v1.payment_intents.search, params={"query": "metadata['order_ref']:'order-7'"})

    assert ended.status == "canceled"
    assert [one.id for one in found.data] == [held.id]


async def test_a_decline_is_the_clients_own_card_error_with_its_intent(client: stripe.StripeClient):
    with pytest.raises(stripe.CardError) as declined:
        await authorized(client, payment_method="pm_card_chargeDeclinedInsufficientFunds")

    assert (declined.value.code, declined.value.http_status) == ("card_declined", 402)
    assert declined.value.error is not None
    assert declined.value.error.decline_code == "insufficient_funds"
    assert declined.value.error.payment_intent is not None


async def test_a_key_is_executed_once_and_refused_with_other_content(client: stripe.StripeClient):
    sent = {"amount": 1099, "currency": "usd", **CARD}
    options = {"idempotency_key": "order-8"}

    first = await say(client.v1.payment_intents.create, params=sent, options=options)
    again = await say(client.v1.payment_intents.create, params=sent, options=options)

    assert first.id == again.id
    with pytest.raises(stripe.IdempotencyError):
        await say(client.v1.payment_intents.create, params=sent | {"amount": 1100}, options=options)


async def test_a_key_that_is_not_its_own_is_the_clients_own_authentication_error(simulator: Client):
    with pytest.raises(stripe.AuthenticationError):
        await authorized(sdk(simulator, "sk_test_nobodys"))
