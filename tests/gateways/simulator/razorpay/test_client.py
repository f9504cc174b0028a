"""Razorpay's own client against the simulator: it understands the responses, and verifies what is
signed.
"""

import asyncio
from typing import Any
from uuid import uuid4

import pytest
import razorpay
from razorpay.errors import BadRequestError, SignatureVerificationError

from tests.gateways.simulator.razorpay.merchant import (
    KEY_ID,
    SECRET,
    WEBHOOK_SECRET,
    Merchant,
    Received,
    begin,
)
from tests.support.until import until


@pytest.fixture
def client(merchant: Merchant) -> Any:
    return razorpay.Client(auth=(KEY_ID, SECRET), base_url=merchant.url)


def order_of(receipt: str) -> dict[str, Any]:
    return {"amount": 50000, "currency": "INR", "receipt": receipt, "notes": {"key1": "value3"}}


async def paid(merchant: Merchant, client: Any) -> tuple[dict[str, Any], str]:
    """An order of the client's, and the payment that was authorized on it."""
    order = await asyncio.to_thread(client.order.create, data=order_of(f"receipt-{uuid4().hex[:12]}"))
    body = {
        "amount": 50000,
        "currency": "INR",
        "order_id": order["id"],
        "email": "gaurav.kumar@example.com",
        "contact": "9123456789",
        "method": "card",
        "token": "token_frictionless",
    }
    response = await asyncio.to_thread(client.payment.createPaymentJson, body)
    return order, response["razorpay_payment_id"]


async def test_an_order_is_created_fetched_and_found_by_its_receipt(client: Any):
    order = await asyncio.to_thread(client.order.create, data=order_of("receipt-1"))
    fetched = await asyncio.to_thread(client.order.fetch, order["id"])
    found = await asyncio.to_thread(client.order.all, {"receipt": "receipt-1", "expand[]": "payments"})

    assert order == fetched
    assert (order["entity"], order["status"], order["amount_due"]) == ("order", "created", 50000)
    assert [(one["id"], one["payments"]["count"]) for one in found["items"]] == [(order["id"], 0)]


async def test_a_payment_is_fetched_captured_and_given_back(merchant: Merchant, client: Any):
    order, payment_id = await paid(merchant, client)

    payments = await asyncio.to_thread(client.order.payments, order["id"])
    held = await asyncio.to_thread(client.payment.fetch, payment_id)
    taken = await asyncio.to_thread(client.payment.capture, payment_id, 50000, {"currency": "INR"})
    refund = await asyncio.to_thread(client.payment.refund, payment_id, {"amount": 10000, "speed": "normal"})
    fetched = await asyncio.to_thread(client.refund.fetch, refund["id"])
    of_payment = await asyncio.to_thread(client.payment.fetch_multiple_refund, payment_id)
    one_of_payment = await asyncio.to_thread(client.payment.fetch_refund_id, payment_id, refund["id"])
    after = await asyncio.to_thread(client.payment.fetch, payment_id)
    ended = await asyncio.to_thread(client.order.fetch, order["id"])

    assert payments["items"] == [held]
    assert (held["status"], held["captured"]) == ("authorized", False)
    assert (taken["status"], taken["captured"], taken["amount"]) == ("captured", True, 50000)
    assert refund == fetched == one_of_payment == of_payment["items"][0]
    assert (refund["status"], refund["amount"]) == ("processed", 10000)
    assert (after["status"], after["amount_refunded"], after["refund_status"]) == (
        "captured",
        10000,
        "partial",
    )
    assert (ended["status"], ended["amount_paid"], ended["attempts"]) == ("paid", 50000, 1)


async def test_a_refund_without_an_amount_gives_back_all_that_is_left(merchant: Merchant, client: Any):
    _, payment_id = await paid(merchant, client)
    await asyncio.to_thread(client.payment.capture, payment_id, 50000, {"currency": "INR"})

    refund = await asyncio.to_thread(client.payment.refund, payment_id, {})
    after = await asyncio.to_thread(client.payment.fetch, payment_id)

    assert refund["amount"] == 50000
    assert (after["status"], after["refund_status"]) == ("refunded", "full")


async def test_an_order_that_captures_by_itself_does(client: Any):
    params = order_of("receipt-auto") | {"payment": {"capture": "automatic"}}
    order = await asyncio.to_thread(client.order.create, data=params)
    body = {"order_id": order["id"], "amount": 50000, "currency": "INR", "method": "card"}
    customer = {"email": "a@example.com", "contact": "9123456789", "token": "token_frictionless"}
    response = await asyncio.to_thread(client.payment.createPaymentJson, body | customer)

    payment = await asyncio.to_thread(client.payment.fetch, response["razorpay_payment_id"])

    assert (payment["status"], payment["fee"]) == ("captured", 1180)


async def test_what_the_bank_posts_back_is_signed_with_the_keys_secret(merchant: Merchant, client: Any):
    pay = await merchant.ordered(begin("sale", "token_visa"))
    action = await merchant.send(pay)
    brought = await merchant.at_the_bank(action.action_url, otp="1234")

    assert client.utility.verify_payment_signature(brought)
    with pytest.raises(SignatureVerificationError):
        client.utility.verify_payment_signature(brought | {"razorpay_order_id": "order_another"})


async def test_a_webhook_is_signed_with_its_own_secret(merchant: Merchant, received: Received, client: Any):
    await merchant.authorized("authorize")
    await until(lambda: received.webhooks, "a webhook", 10)
    (webhook,) = received.webhooks
    body, signature = webhook.body.decode(), webhook.headers["x-razorpay-signature"]

    assert client.utility.verify_webhook_signature(body, signature, WEBHOOK_SECRET)
    with pytest.raises(SignatureVerificationError):
        client.utility.verify_webhook_signature(body, signature, SECRET)


async def test_the_clients_errors_are_the_simulators(merchant: Merchant, client: Any):
    _, payment_id = await paid(merchant, client)
    stranger = razorpay.Client(auth=(KEY_ID, "another"), base_url=merchant.url)

    with pytest.raises(BadRequestError, match="Authentication failed"):
        await asyncio.to_thread(stranger.order.fetch, "order_1")
    with pytest.raises(BadRequestError, match="does not exist"):
        await asyncio.to_thread(client.order.fetch, "order_1")
    with pytest.raises(BadRequestError, match="equal to the amount authorized"):
        await asyncio.to_thread(client.payment.capture, payment_id, 49999, {"currency": "INR"})
