"""What the simulator refuses, in Razorpay's words."""

from typing import Any

import aiohttp
import pytest

from tests.gateways.simulator.razorpay.merchant import KEY_ID, SECRET, Merchant

ORDER = {"amount": 1099, "currency": "INR", "receipt": "receipt-1"}
PAYMENT = {
    "amount": 1099,
    "currency": "INR",
    "email": "a@example.com",
    "contact": "9123456789",
    "method": "card",
    "token": "token_frictionless",
}


async def paid(merchant: Merchant) -> str:
    _, order = await merchant.ask("POST", "/v1/orders", ORDER)
    _, response = await merchant.ask("POST", "/v1/payments/create/json", PAYMENT | {"order_id": order["id"]})
    await merchant.ask("POST", f"/v1/payments/{response['razorpay_payment_id']}/capture", {"amount": 1099})
    payment_id: str = response["razorpay_payment_id"]
    return payment_id


def refused(response: tuple[int, Any]) -> tuple[int, str, str | None]:
    status, body = response
    return status, body["error"]["reason"], body["error"].get("field")


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"amount": 0}, "amount"),
        ({"amount": 10.5}, "amount"),
        ({"amount": None}, "amount"),
        ({"amount": True}, "amount"),
        ({"amount": 5124, "currency": "KWD"}, "amount"),
        ({"currency": "XYZ"}, "currency"),
        ({"receipt": "r" * 41}, "receipt"),
        ({"notes": {str(n): "x" for n in range(16)}}, "notes"),
        ({"notes": {"a": "x" * 257}}, "notes"),
        ({"notes": "x"}, "notes"),
        ({"payment": "manual"}, "payment"),
        ({"payment": {"capture_options": {"manual_expiry_period": 0}}}, "manual_expiry_period"),
        ({"something": 1}, "something"),
    ],
)
async def test_an_order_with_something_wrong_is_refused_by_its_field(
    merchant: Merchant, more: dict[str, Any], field: str
):
    assert refused(await merchant.ask("POST", "/v1/orders", ORDER | more)) == (
        400,
        "input_validation_failed",
        field,
    )


@pytest.mark.parametrize(
    ("more", "reason", "field"),
    [
        ({"amount": 1100}, "order_amount_mismatch", None),
        ({"currency": "USD"}, "order_amount_mismatch", None),
        ({"token": "token_unknown"}, "input_validation_failed", "token"),
        ({"method": "upi"}, "input_validation_failed", "method"),
        ({"email": ""}, "input_validation_failed", "email"),
        ({"contact": None}, "input_validation_failed", "contact"),
        ({"callback_url": "javascript:alert(1)"}, "input_validation_failed", "callback_url"),
        ({"order_id": "order_unknown"}, "NA", "order_id"),
    ],
)
async def test_a_payment_with_something_wrong_is_refused_and_none_is_made(
    merchant: Merchant, more: dict[str, Any], reason: str, field: str | None
):
    _, order = await merchant.ask("POST", "/v1/orders", ORDER)
    body = PAYMENT | {"order_id": order["id"]} | more

    assert refused(await merchant.ask("POST", "/v1/payments/create/json", body)) == (400, reason, field)
    _, payments = await merchant.ask("GET", f"/v1/orders/{order['id']}/payments")
    assert payments == {"entity": "collection", "count": 0, "items": []}


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"amount": 1100}, "amount"),
        ({"amount": -1}, "amount"),
        ({"speed": "at once"}, "speed"),
        ({"reason": "x"}, "reason"),
    ],
)
async def test_a_refund_with_something_wrong_is_refused(merchant: Merchant, body: dict[str, Any], field: str):
    payment_id = await paid(merchant)

    assert refused(await merchant.ask("POST", f"/v1/payments/{payment_id}/refund", body))[2] == field


async def test_a_refunds_key_has_at_least_ten_characters(merchant: Merchant):
    payment_id = await paid(merchant)

    response = await merchant.ask(
        "POST", f"/v1/payments/{payment_id}/refund", {}, X_Refund_Idempotency="short"
    )

    assert response[0] == 400


@pytest.mark.parametrize(
    "authorization",
    [
        "",
        "Basic",
        "Basic !!!",
        "Basic /w==",
        f"Bearer {SECRET}",
        aiohttp.encode_basic_auth(KEY_ID, "another"),
        aiohttp.encode_basic_auth("another", SECRET),
    ],
)
async def test_whoever_does_not_sign_in_gets_nothing(merchant: Merchant, authorization: str):
    response = await merchant.ask("GET", "/v1/orders", Authorization=authorization)

    assert response[0] == 401
    assert response[1]["error"]["description"] == "Authentication failed"


async def test_what_does_not_exist_is_reported_as_such(merchant: Merchant):
    for path in (
        "/v1/orders/order_1",
        "/v1/payments/pay_1",
        "/v1/refunds/rfnd_1",
        "/v1/payments/pay_1/refunds",
    ):
        status, body = await merchant.ask("GET", path)
        assert (status, body["error"]["description"]) == (400, "The id provided does not exist")
    assert (await merchant.ask("GET", "/v1/settlements"))[0] == 404
    assert (await merchant.ask("GET", "/v1/orders?count=0"))[0] == 400


async def test_an_outage_is_a_server_error(merchant: Merchant):
    await merchant.control(down_s=30, down="failing")

    status, body = await merchant.ask("GET", "/v1/orders")

    assert (status, body["error"]["code"]) == (503, "SERVER_ERROR")
