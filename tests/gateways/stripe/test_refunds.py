from dataclasses import replace
from typing import Any

import pytest

from commands.messages import Outcome
from gateways.contract import Gateway
from gateways.stripe.adapter import Stripe
from tests.gateways.stripe.payloads import PAYMENT, REFUND_ID, error, http_response, later, listed, refund

STRIPE: Gateway = Stripe()
REFUND = later("refund")
KNOWN = replace(REFUND, psp_id=REFUND_ID)
ANOTHER = {"order_ref": f"{PAYMENT}-r3"}


def short(outcome: Outcome | None) -> tuple[str, str | None] | None:
    return None if outcome is None else (outcome.kind, outcome.code)


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        ("succeeded", "APPROVED", None),
        ("pending", "PENDING", "pending"),
        ("requires_action", "PENDING", "requires_action"),
        ("failed", "DECLINED_HARD", "failed"),
        ("canceled", "DECLINED_HARD", "canceled"),
        ("something_new", "UNKNOWN", "unexpected_status"),
        (None, "UNKNOWN", "unexpected_status"),
        (["succeeded"], "UNKNOWN", "unexpected_status"),
    ],
)
def test_the_status_of_a_refund_decides(status: Any, kind: str, code: str | None):
    shown = refund(status)
    for outcome in (
        STRIPE.outcome(REFUND, http_response(200, shown)),
        STRIPE.found(KNOWN, http_response(200, shown)),
        STRIPE.found(REFUND, http_response(200, listed(refund(id="re_b", metadata=ANOTHER), shown))),
    ):
        assert outcome is not None
        assert short(outcome) == (kind, code)
        assert (outcome.psp_id, outcome.amount_minor, outcome.currency) == (REFUND_ID, 1099, "USD")


def test_a_failed_refund_says_why():
    shown = refund("failed", failure_reason="expired_or_canceled_card")

    assert short(STRIPE.outcome(REFUND, http_response(200, shown))) == (
        "DECLINED_HARD",
        "expired_or_canceled_card",
    )


@pytest.mark.parametrize(
    ("spoilt", "code"),
    [
        ({"amount": 1199}, "amount_mismatch"),
        ({"amount": None}, "amount_mismatch"),
        ({"amount": 1099.0}, "amount_mismatch"),
        ({"currency": "eur"}, "currency_mismatch"),
        ({"payment_intent": "pi_another"}, "target_mismatch"),
        ({"payment_intent": None}, "target_mismatch"),
        ({"metadata": ANOTHER}, "reference_mismatch"),
        ({"metadata": None}, "reference_mismatch"),
        ({"id": "pi_1"}, "unreadable_response"),
        ({"object": "charge"}, "unreadable_response"),
    ],
)
def test_a_refund_of_anything_else_is_unknown(spoilt: dict[str, Any], code: str):
    assert short(STRIPE.outcome(REFUND, http_response(200, refund(**spoilt)))) == ("UNKNOWN", code)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (listed(), None),
        (listed(refund(metadata=ANOTHER), refund(id="re_c", metadata={})), None),
        (listed(refund(), refund(id="re_b")), ("UNKNOWN", "found_twice")),
        (listed(refund(), refund("failed", id="re_b")), ("UNKNOWN", "found_twice")),
        (listed(more=True), ("UNKNOWN", "list_too_long")),
        (listed(refund(), more=True), ("APPROVED", None)),
        (listed(refund(payment_intent="pi_another")), ("UNKNOWN", "psp_id_mismatch")),
        (listed(refund(), "x"), ("UNKNOWN", "unreadable_response")),
        (listed(refund(amount=1)), ("UNKNOWN", "amount_mismatch")),
        ({"object": "list", "data": []}, ("UNKNOWN", "unreadable_response")),
        ({"object": "search_result", "data": [], "has_more": False}, ("UNKNOWN", "unreadable_response")),
        (b"", ("UNKNOWN", "unreadable_response")),
    ],
)
def test_the_refunds_of_an_intent_hold_ours_or_prove_that_it_is_not_there(
    body: Any, expected: tuple[str, str | None] | None
):
    assert short(STRIPE.found(REFUND, http_response(200, body))) == expected


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (404, error(code="resource_missing"), "psp_id_not_found"),
        (500, error("api_error"), "http_500"),
        (200, refund(id="re_another"), "psp_id_mismatch"),
        (200, listed(refund()), "unreadable_response"),
    ],
)
def test_a_failed_look_up_by_id_is_no_absence(status: int, body: Any, code: str):
    assert short(STRIPE.found(KNOWN, http_response(status, body))) == ("UNKNOWN", code)


@pytest.mark.parametrize(
    ("status", "body", "kind", "code"),
    [
        (400, error(code="charge_already_refunded"), "NOT_SENT", "invalid_request"),
        (400, error(), "NOT_SENT", "invalid_request"),
        (400, error("idempotency_error"), "UNKNOWN", "idempotency_error"),
        (402, error("card_error", decline_code="do_not_honor"), "DECLINED_SOFT", "do_not_honor"),
        (404, error(code="resource_missing"), "NOT_SENT", "resource_missing"),
        (429, error(code="rate_limit"), "NOT_SENT", "rate_limited"),
        (409, error(code="lock_timeout"), "UNKNOWN", "lock_timeout"),
        (500, error("api_error"), "UNKNOWN", "http_500"),
        (200, b"", "UNKNOWN", "unreadable_response"),
    ],
)
def test_a_refused_refund_is_what_stripe_calls_it(status: int, body: Any, kind: str, code: str):
    assert short(STRIPE.outcome(REFUND, http_response(status, body))) == (kind, code)
