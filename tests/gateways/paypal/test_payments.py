"""Captures, voids and refunds: the responses to them."""

from dataclasses import replace
from typing import Any

import pytest

from gateways.contract import Call, Gateway
from gateways.paypal.adapter import PayPal
from tests.gateways.paypal.payloads import (
    AUTHORIZATION_ID,
    AUTHORIZE,
    CAPTURE,
    CAPTURED,
    REFUND,
    REFUNDED,
    VOID,
    authorization,
    capture,
    http_response,
    issue,
    refund,
    usd,
)

PAYPAL: Gateway = PayPal()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("COMPLETED", "APPROVED"),
        ("PARTIALLY_REFUNDED", "APPROVED"),
        ("REFUNDED", "APPROVED"),
        ("PENDING", "PENDING"),
        ("DECLINED", "DECLINED_SOFT"),
        ("FAILED", "DECLINED_SOFT"),
        ("EXPLODED", "UNKNOWN"),
    ],
)
def test_every_status_of_a_capture_has_its_row(status: str, kind: str):
    outcome = PAYPAL.outcome(CAPTURE, http_response(201, capture(status)))

    assert (outcome.kind, outcome.psp_id) == (kind, CAPTURED)
    assert (outcome.amount_minor, outcome.currency) == (400, "USD")
    assert outcome.unlisted == (kind == "UNKNOWN")


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("COMPLETED", "APPROVED"),
        ("PENDING", "PENDING"),
        ("FAILED", "DECLINED_HARD"),
        ("CANCELLED", "DECLINED_HARD"),
        ("EXPLODED", "UNKNOWN"),
    ],
)
def test_every_status_of_a_refund_has_its_row(status: str, kind: str):
    outcome = PAYPAL.outcome(REFUND, http_response(201, refund(status)))

    assert (outcome.kind, outcome.psp_id) == (kind, REFUNDED)
    assert (outcome.amount_minor, outcome.currency) == (400, "USD")


def test_a_void_is_done_with_and_without_a_body_and_when_it_was_done_before():
    voided = authorization("VOIDED")

    for response in (
        http_response(204, b""),
        http_response(200, voided),
        http_response(422, issue("PREVIOUSLY_VOIDED")),
    ):
        outcome = PAYPAL.outcome(VOID, response)
        assert (outcome.kind, outcome.amount_minor, outcome.currency) == ("APPROVED", 699, "USD")


@pytest.mark.parametrize(
    "change",
    [
        {"id": "8AA00000000000001"},
        {"status": "CREATED"},
        {"status": None},
        {"amount": usd("6.98")},
        {"amount": {"currency_code": "EUR", "value": "10.99"}},
        {"amount": None},
    ],
)
def test_a_void_of_another_thing_is_unknown(change: dict[str, Any]):
    assert PAYPAL.outcome(VOID, http_response(200, authorization("VOIDED") | change)).kind == "UNKNOWN"


def test_an_empty_response_is_a_success_of_a_void_alone():
    for call in (CAPTURE, REFUND, AUTHORIZE):
        assert PAYPAL.outcome(call, http_response(204, b"")).kind == "UNKNOWN"
    assert PAYPAL.outcome(replace(VOID, target_psp_id=None), http_response(204, b"")).kind == "UNKNOWN"


@pytest.mark.parametrize(
    ("call", "payload"), [(CAPTURE, capture()), (REFUND, refund())], ids=["capture", "refund"]
)
@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount": usd("4.01")}, "amount_mismatch"),
        ({"amount": {"currency_code": "EUR", "value": "4.00"}}, "currency_mismatch"),
        ({"amount": None}, "amount_unreadable"),
        ({"invoice_id": AUTHORIZE.reference}, "reference_mismatch"),
        ({"invoice_id": None, "custom_id": None}, "reference_mismatch"),
        ({"id": "../x"}, "unreadable_response"),
        (
            {"supplementary_data": {"related_ids": {"authorization_id": "X1", "capture_id": "X1"}}},
            "target_mismatch",
        ),
        (
            {"supplementary_data": {"related_ids": {"authorization_id": [], "capture_id": []}}},
            "target_mismatch",
        ),
    ],
)
def test_a_response_about_another_thing_is_unknown(
    call: Call, payload: dict[str, Any], change: dict[str, Any], code: str
):
    outcome = PAYPAL.outcome(call, http_response(201, payload | change))

    assert (outcome.kind, outcome.code) == ("UNKNOWN", code)


def test_a_void_that_came_too_late_is_looked_up():
    outcome = PAYPAL.outcome(VOID, http_response(422, issue("PREVIOUSLY_CAPTURED")))

    assert (outcome.kind, outcome.repeat_is_useless) == ("UNKNOWN", True)
    assert AUTHORIZATION_ID in (VOID.target_psp_id or "")
