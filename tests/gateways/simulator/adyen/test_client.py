"""Adyen's own client against the simulator: it understands the responses, and verifies what is
signed."""

import asyncio
from typing import Any, cast

import Adyen
import pytest
from Adyen.exceptions import (
    AdyenAPIAuthenticationError,
    AdyenAPIInvalidPermission,
    AdyenAPIUnprocessableEntity,
)
from Adyen.util import is_valid_hmac_notification

from tests.gateways.adyen import official
from tests.gateways.simulator.adyen.merchant import HMAC_KEY, MERCHANT, SECRET, Merchant
from tests.gateways.simulator.receiver import Receiver


@pytest.fixture
def client(merchant: Merchant) -> Any:
    adyen = Adyen.Adyen()
    adyen.client.xapikey = SECRET
    adyen.client.platform = "test"
    for api in (adyen.checkout.payments_api, adyen.checkout.modifications_api):
        api.baseUrl = f"{merchant.url}/v72"
    return adyen


def payment(reference: str = "Order 7", **more: Any) -> dict[str, Any]:
    return {
        "amount": {"value": 1099, "currency": "EUR"},
        "merchantAccount": MERCHANT,
        "reference": reference,
        "returnUrl": "https://shop.example/back",
        "paymentMethod": {
            "type": "scheme",
            "encryptedCardNumber": "test_4111111111111111",
            "encryptedExpiryMonth": "test_03",
            "encryptedExpiryYear": "test_2030",
            "encryptedSecurityCode": "test_737",
        },
        "additionalData": {"manualCapture": "true"},
        **more,
    }


async def paid(client: Any, **more: Any) -> dict[str, Any]:
    response = await asyncio.to_thread(client.checkout.payments_api.payments, payment(**more))
    assert response.status_code == 200
    return cast("dict[str, Any]", response.message)


async def modified(api: Any, of: str, name: str, **more: Any) -> dict[str, Any]:
    body = {"merchantAccount": MERCHANT, "reference": name, **more}
    response = await asyncio.to_thread(api, body, of)
    assert (response.status_code, response.message["status"]) == (201, "received")
    assert response.message["paymentPspReference"] == of
    return cast("dict[str, Any]", response.message)


async def test_a_payment_is_captured_and_given_back(merchant: Merchant, client: Any):
    api = client.checkout.modifications_api
    held = await paid(client)
    assert (held["resultCode"], held["merchantReference"]) == ("Authorised", "Order 7")

    capture = await modified(
        api.capture_authorised_payment,
        held["pspReference"],
        "Capture 7",
        amount={"value": 1000, "currency": "EUR"},
    )
    refund = await modified(
        api.refund_captured_payment,
        held["pspReference"],
        "Refund 7",
        amount={"value": 400, "currency": "EUR"},
        merchantRefundReason="RETURN",
    )

    assert len({held["pspReference"], capture["pspReference"], refund["pspReference"]}) == 3
    await merchant.notice("REFUND")
    assert [(one[0], one[1], one[3]) for one in merchant.moved()] == [
        ("authorized", "Order 7", 1099),
        ("captured", "Capture 7", 1000),
        ("released", "Capture 7", 99),
        ("refunded", "Refund 7", 400),
    ]


async def test_a_payment_is_cancelled_by_its_id_by_our_reference_or_reversed(merchant: Merchant, client: Any):
    api = client.checkout.modifications_api
    first, _, third = [await paid(client, reference=f"Order {number}") for number in (1, 2, 3)]

    await modified(api.cancel_authorised_payment_by_psp_reference, first["pspReference"], "Cancel 1")
    by_reference = {"merchantAccount": MERCHANT, "paymentReference": "Order 2", "reference": "Cancel 2"}
    response = await asyncio.to_thread(api.cancel_authorised_payment, by_reference)
    await modified(api.refund_or_cancel_payment, third["pspReference"], "Cancel 3")

    assert (response.status_code, response.message["paymentReference"]) == (201, "Order 2")
    released = [one[1] for one in merchant.moved() if one[0] == "released"]
    assert sorted(released) == ["Cancel 1", "Cancel 2", "Cancel 3"]


async def test_a_refusal_is_a_result_and_an_error_is_an_error(client: Any):
    refused = await paid(client, additionalData={"RequestedTestAcquirerResponseCode": "12"})
    assert (refused["resultCode"], refused["refusalReasonCode"]) == ("Refused", "12")

    with pytest.raises(AdyenAPIUnprocessableEntity, match="Return URL is missing"):
        await paid(client, returnUrl="")
    with pytest.raises(AdyenAPIInvalidPermission, match="Invalid Merchant Account"):
        await paid(client, merchantAccount="Another")
    client.client.xapikey = "another"
    with pytest.raises(AdyenAPIAuthenticationError):
        await paid(client)


async def test_a_key_makes_a_payment_once(merchant: Merchant, client: Any):
    api = client.checkout.payments_api
    response = [await asyncio.to_thread(api.payments, payment(), idempotency_key="key-1") for _ in range(2)]

    assert response[0].message == response[1].message
    assert len(merchant.moved()) == 1


async def test_three_d_secure_ends_in_the_details(merchant: Merchant, client: Any):
    method = payment()["paymentMethod"] | {"encryptedCardNumber": "test_5454545454545454"}
    body = await paid(client, paymentMethod=method)
    assert body["resultCode"] == "RedirectShopper"

    async with merchant.http.post(
        body["action"]["url"], data={"result": "pass"}, allow_redirects=False
    ) as went:
        result = went.headers["Location"].partition("redirectResult=")[2].replace("%21", "!")
    details = {"details": {"redirectResult": result}}
    response = await asyncio.to_thread(client.checkout.payments_api.payments_details, details)

    assert (response.message["resultCode"], response.message["pspReference"]) == (
        "Authorised",
        body["pspReference"],
    )


async def test_a_webhook_is_signed_as_adyens_client_verifies_and_described_as_officially(
    merchant: Merchant, client: Any, receiver: Receiver
):
    held = await paid(client)
    await modified(
        client.checkout.modifications_api.capture_authorised_payment,
        held["pspReference"],
        "Capture 7",
        amount={"value": 1099, "currency": "EUR"},
    )
    await merchant.notice("CAPTURE")

    assert len(receiver.came) == 2
    for one in receiver.came:
        shown = one.event
        assert is_valid_hmac_notification(shown, HMAC_KEY)
        assert not is_valid_hmac_notification(shown, HMAC_KEY[::-1])
        item = shown["notificationItems"][0]["NotificationRequestItem"]
        schema = f"{item['eventCode'].title()}NotificationRequestItem"
        assert official.errors("webhooks", schema, item) == []


async def test_a_forged_webhook_comes_first_and_is_refused(
    merchant: Merchant, client: Any, receiver: Receiver
):
    async with merchant.http.post(
        f"{merchant.root}/_simulator", json={"gateway": "adyen", "webhooks": {"forged": 1.0}}
    ) as response:
        assert response.status == 200, await response.text()
    await paid(client)
    await merchant.notice("AUTHORISATION")

    forged = [one for one in receiver.came if not is_valid_hmac_notification(one.event, HMAC_KEY)]
    assert len(receiver.came) == 2
    assert len(forged) == 1
    assert len(merchant.notices()) == 1
