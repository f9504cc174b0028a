"""PayPal's own client for Python, which nobody here wrote, pointed at the simulator."""

import asyncio
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateways.simulator.core.ledger import read_movements
from tests.gateways.simulator.paypal.client import CLIENT_ID, SECRET, Client
from tests.support.movements import minor

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of its dependencies, at their import
    from apimatic_core.exceptions.auth_validation_exception import AuthValidationException
    from paypalserversdk.configuration import Environment, Server
    from paypalserversdk.exceptions.error_exception import ErrorException
    from paypalserversdk.http.auth.o_auth_2 import ClientCredentialsAuthCredentials
    from paypalserversdk.models.amount_with_breakdown import AmountWithBreakdown
    from paypalserversdk.models.capture_request import CaptureRequest
    from paypalserversdk.models.card_request import CardRequest
    from paypalserversdk.models.checkout_payment_intent import CheckoutPaymentIntent
    from paypalserversdk.models.money import Money
    from paypalserversdk.models.order_authorize_request import OrderAuthorizeRequest
    from paypalserversdk.models.order_authorize_request_payment_source import (
        OrderAuthorizeRequestPaymentSource,
    )
    from paypalserversdk.models.order_capture_request import OrderCaptureRequest
    from paypalserversdk.models.order_capture_request_payment_source import OrderCaptureRequestPaymentSource
    from paypalserversdk.models.order_request import OrderRequest
    from paypalserversdk.models.purchase_unit_request import PurchaseUnitRequest
    from paypalserversdk.models.refund_request import RefundRequest
    from paypalserversdk.paypal_serversdk_client import PaypalServersdkClient

REPRESENTATION = "return=representation"


@pytest.fixture
async def sdk(paypal: Client) -> Any:
    client = PaypalServersdkClient(
        client_credentials_auth_credentials=ClientCredentialsAuthCredentials(CLIENT_ID, SECRET)
    )
    client.config.environments = {Environment.SANDBOX: {Server.DEFAULT: f"{paypal.root}/paypal"}}
    return client


async def say(call: Callable[[dict[str, Any]], Any], **options: Any) -> Any:
    """It blocks, so it runs beside the simulator."""
    response = await asyncio.to_thread(call, {"prefer": REPRESENTATION} | options)
    return response.body


def order(intent: str, value: str = "10.99") -> OrderRequest:
    amount = AmountWithBreakdown(currency_code="USD", value=value)
    unit = PurchaseUnitRequest(amount=amount, custom_id="c0ffee-s1", invoice_id="c0ffee-s1")
    return OrderRequest(intent=intent, purchase_units=[unit])


async def test_an_order_is_created_read_and_captured_and_given_back(sdk: Any, ledger_file: Path):
    created = await say(
        sdk.orders.create_order, body=order(CheckoutPaymentIntent.CAPTURE), paypal_request_id="k1"
    )
    assert created.status == "CREATED"
    source = OrderCaptureRequestPaymentSource(card=CardRequest(vault_id="sim_ok"))
    taken = await say(
        sdk.orders.capture_order,
        id=created.id,
        body=OrderCaptureRequest(payment_source=source),
        paypal_request_id="k2",
    )
    (capture,) = taken.purchase_units[0].payments.captures
    assert (taken.status, capture.status, capture.amount.value) == ("COMPLETED", "COMPLETED", "10.99")

    part = RefundRequest(amount=Money("USD", "4.00"), custom_id="c0ffee-r2")
    refund = await say(
        sdk.payments.refund_captured_payment, capture_id=capture.id, body=part, paypal_request_id="k3"
    )

    assert (refund.status, refund.amount.value) == ("COMPLETED", "4.00")
    found = (await asyncio.to_thread(sdk.payments.get_refund, {"refund_id": refund.id})).body
    assert found.id == refund.id
    read = (await asyncio.to_thread(sdk.orders.get_order, {"id": created.id})).body
    assert read.purchase_units[0].payments.captures[0].status == "PARTIALLY_REFUNDED"
    moved = [(one.kind, minor(one), one.reference) for one in read_movements(ledger_file)]
    assert moved == [("captured", 1099, "c0ffee-s1"), ("refunded", 400, "c0ffee-r2")]


async def test_an_authorization_is_captured_in_part_and_the_rest_is_voided(sdk: Any, ledger_file: Path):
    created = await say(
        sdk.orders.create_order, body=order(CheckoutPaymentIntent.AUTHORIZE), paypal_request_id="k1"
    )
    source = OrderAuthorizeRequestPaymentSource(card=CardRequest(vault_id="sim_ok"))
    held = await say(
        sdk.orders.authorize_order,
        id=created.id,
        body=OrderAuthorizeRequest(payment_source=source),
        paypal_request_id="k2",
    )
    (authorization,) = held.purchase_units[0].payments.authorizations
    assert authorization.status == "CREATED"

    part = CaptureRequest(amount=Money("USD", "4.00"), invoice_id="c0ffee-c2", final_capture=False)
    capture = await say(
        sdk.payments.capture_authorized_payment,
        authorization_id=authorization.id,
        body=part,
        paypal_request_id="k3",
    )
    voided = await say(sdk.payments.void_payment, authorization_id=authorization.id)

    assert (capture.status, voided.status) == ("COMPLETED", "VOIDED")
    found = await asyncio.to_thread(
        sdk.payments.get_authorized_payment, {"authorization_id": authorization.id}
    )
    assert found.body.status == "VOIDED"
    captured = await asyncio.to_thread(sdk.payments.get_captured_payment, {"capture_id": capture.id})
    assert captured.body.amount.value == "4.00"
    assert [(one.kind, minor(one)) for one in read_movements(ledger_file)] == [
        ("authorized", 1099),
        ("captured", 400),
        ("released", 699),
    ]


async def test_a_refused_call_is_its_exception_with_the_issue(sdk: Any):
    created = await say(
        sdk.orders.create_order, body=order(CheckoutPaymentIntent.CAPTURE), paypal_request_id="k1"
    )
    source = OrderCaptureRequestPaymentSource(card=CardRequest(vault_id="sim_issue_INSTRUMENT_DECLINED"))

    with pytest.raises(ErrorException) as refused:
        await say(
            sdk.orders.capture_order,
            id=created.id,
            body=OrderCaptureRequest(payment_source=source),
            paypal_request_id="k2",
        )

    assert refused.value.details[0].issue == "INSTRUMENT_DECLINED"


async def test_wrong_credentials_give_no_token(paypal: Client):
    client = PaypalServersdkClient(
        client_credentials_auth_credentials=ClientCredentialsAuthCredentials(CLIENT_ID, "wrong")
    )
    client.config.environments = {Environment.SANDBOX: {Server.DEFAULT: f"{paypal.root}/paypal"}}

    with pytest.raises(AuthValidationException):
        await say(client.orders.create_order, body=order(CheckoutPaymentIntent.CAPTURE))
