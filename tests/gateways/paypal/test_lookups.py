"""A GET of the order: for a step that got its response, one that was lost, and one whose payer is waited
for."""

from dataclasses import replace
from typing import Any

import pytest

from gateways.contract import Call, Gateway
from gateways.paypal.adapter import PayPal
from tests.gateways.paypal.payloads import (
    AUTHORIZE,
    AUTHORIZED,
    CAPTURE,
    CAPTURED,
    CREATE,
    ORDER,
    PAGE,
    REFUND,
    REFUNDED,
    SALE,
    VOID,
    WALLET,
    authorization,
    authorized,
    capture,
    http_response,
    order,
    refund,
    sold,
    taken,
    usd,
)

PAYPAL: Gateway = PayPal()
WALLET_1 = replace(WALLET, psp_id=ORDER)
WALLET_2 = replace(WALLET_1, step="2")
NOT_TAKEN = ["CREATED", "SAVED", "PAYER_ACTION_REQUIRED", "APPROVED"]


def found(call: Call, payload: Any) -> Any:
    return PAYPAL.found(call, http_response(200, payload))


def test_what_was_taken_is_found_inside_the_order():
    assert found(SALE, sold()).kind == "APPROVED"
    assert found(SALE, sold()).psp_id == CAPTURED
    assert found(AUTHORIZE, authorized()).psp_id == AUTHORIZED
    # Captured since, and refunded: it was approved all the same.
    later = order("COMPLETED", AUTHORIZE, authorizations=[authorization("CAPTURED")], captures=[capture()])
    assert found(AUTHORIZE, later).kind == "APPROVED"


@pytest.mark.parametrize("status", NOT_TAKEN)
@pytest.mark.parametrize("call", [SALE, WALLET_2, replace(WALLET_2, step="3", psp_id=f"{ORDER}/waiting/2")])
def test_a_step_that_takes_and_left_no_trace_was_not_executed(call: Call, status: str):
    assert found(call, order(status)) is None


@pytest.mark.parametrize("step", ["2", "3"])
def test_a_step_that_led_to_a_challenge_waits_for_it(step: str):
    call = replace(SALE, step=step, psp_id=f"{ORDER}/waiting/{step}")

    waits, passed = found(call, order("PAYER_ACTION_REQUIRED")), found(call, order("APPROVED"))

    following = str(int(step) + 1)
    assert (waits.kind, waits.next_step, waits.action_url) == ("ACTION_REQUIRED", None, PAGE)
    assert (passed.kind, passed.next_step, passed.psp_id) == ("PENDING", following, f"{ORDER}/waiting/{step}")


def test_a_wallet_waits_until_its_payer_has_agreed_and_then_goes_on_by_itself():
    waits, agreed = found(WALLET_1, order("PAYER_ACTION_REQUIRED")), found(WALLET_1, order("APPROVED"))

    assert (waits.kind, waits.next_step, waits.action_url) == ("ACTION_REQUIRED", None, PAGE)
    assert (agreed.kind, agreed.next_step) == ("PENDING", "2")


def test_a_voided_order_is_over():
    for call in (WALLET_1, SALE):
        assert found(call, order("VOIDED")).kind == "EXPIRED"


def test_a_capture_is_found_by_its_reference_among_others():
    others = [capture(id="4XX00000000000001", invoice_id=f"{CAPTURE.reference[:-1]}7")]
    payload = order(
        "COMPLETED", AUTHORIZE, authorizations=[authorization("PARTIALLY_CAPTURED")], captures=others
    )
    assert found(CAPTURE, payload) is None

    others.append(capture())

    assert (found(CAPTURE, payload).kind, found(CAPTURE, payload).psp_id) == ("APPROVED", CAPTURED)
    others.append(capture(id="4XX00000000000002"))
    assert found(CAPTURE, payload).code == "found_twice"


def test_a_capture_of_another_authorization_is_unknown():
    other = {"related_ids": {"authorization_id": "8AA00000000000001"}}

    assert (
        found(CAPTURE, order("COMPLETED", AUTHORIZE, captures=[capture(supplementary_data=other)])).kind
        == "UNKNOWN"
    )


def test_a_refund_is_found_by_its_reference():
    assert found(REFUND, order("COMPLETED", AUTHORIZE, refunds=[])) is None
    assert found(REFUND, order("COMPLETED", AUTHORIZE, refunds=[refund()])).psp_id == REFUNDED
    twice = [refund(), refund(id="4XX00000000000002")]
    assert found(REFUND, order("COMPLETED", AUTHORIZE, refunds=twice)).code == "found_twice"


@pytest.mark.parametrize("status", ["CREATED", "PENDING", "PARTIALLY_CAPTURED", "CAPTURED"])
def test_an_authorization_that_stands_was_not_voided(status: str):
    payload = order("COMPLETED", AUTHORIZE, authorizations=[authorization(status)], captures=[capture()])

    assert found(VOID, payload) is None


@pytest.mark.parametrize(
    ("captures", "kind"),
    [
        ([capture()], "APPROVED"),
        ([capture(), capture("DECLINED", id="4XX00000000000002")], "APPROVED"),
        ([capture(), capture(id="4XX00000000000002")], "UNKNOWN"),
        ([], "UNKNOWN"),
        ([capture(amount=None)], "UNKNOWN"),
        ([7], "UNKNOWN"),
    ],
)
def test_a_void_released_exactly_what_was_never_captured(captures: list[Any], kind: str):
    payload = order("COMPLETED", AUTHORIZE, authorizations=[authorization("VOIDED")], captures=captures)

    assert found(VOID, payload).kind == kind


def test_a_lookup_that_failed_proves_nothing():
    for call in (CREATE, SALE, CAPTURE, VOID, REFUND):
        for status in (204, 302, 400, 401, 403, 404, 429, 500, 503):
            outcome = PAYPAL.found(call, http_response(status, {"name": "RESOURCE_NOT_FOUND"}))
            assert outcome is not None
            assert outcome.kind == "UNKNOWN"


def test_another_orders_response_is_unknown():
    for call in (SALE, CAPTURE, VOID, REFUND):
        payload = order("COMPLETED", SALE, captures=[taken()], refunds=[refund()]) | {
            "id": "8MC585209K746392H"
        }
        assert found(call, payload).code == "psp_id_mismatch"


def test_what_a_dispute_took_stands_among_the_refunds_of_the_order():
    # As PayPal's sample of PAYMENT.CAPTURE.REVERSED has it: a refund without a reference of ours.
    reversal = refund(id="09E71677NS257044M", amount=usd("10.99"), note_to_payer="Payment reversed")
    del reversal["custom_id"]
    payload = order("COMPLETED", SALE, captures=[taken(status="REFUNDED")], refunds=[reversal])

    outcome = found(SALE, payload)

    assert (outcome.kind, outcome.psp_id) == ("APPROVED", CAPTURED)
    assert (outcome.balances.captured_minor, outcome.balances.refunded_minor) == (1099, 1099)
    assert PAYPAL.facts.disputes_show_as_refunds


@pytest.mark.parametrize("status", ["PENDING", "DENIED", "DECLINED"])
@pytest.mark.parametrize("reason", ["BUYER_COMPLAINT", "CHARGEBACK", "REFUNDED"])
def test_a_capture_whose_payer_disputes_it_was_captured(status: str, reason: str):
    disputed = {"status": status, "status_details": {"reason": reason}}

    sale = found(SALE, order("COMPLETED", SALE, captures=[taken(**disputed)]))
    of_part = found(CAPTURE, order("COMPLETED", AUTHORIZE, captures=[capture(**disputed)]))

    assert (sale.kind, sale.balances.captured_minor, of_part.kind) == ("APPROVED", 1099, "APPROVED")


@pytest.mark.parametrize(("status", "kind"), [("PENDING", "PENDING"), ("DECLINED", "DECLINED_SOFT")])
def test_a_capture_that_never_was_is_none_for_any_other_reason(status: str, kind: str):
    payload = taken(status=status, status_details={"reason": "PENDING_REVIEW"})

    assert found(SALE, order("COMPLETED", SALE, captures=[payload])).kind == kind
