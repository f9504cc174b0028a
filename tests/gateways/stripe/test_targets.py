from dataclasses import replace
from typing import Any

import pytest

from commands.messages import Outcome
from gateways.contract import Call, Gateway
from gateways.stripe.adapter import Stripe
from tests.gateways.stripe.payloads import (
    AUTHORIZE,
    INTENT_ID,
    authorized,
    error,
    http_response,
    intent,
    later,
    unfit,
)

STRIPE: Gateway = Stripe()
CAPTURE = later("capture", 400)
PART = later("capture", 400, multicapture=True)
VOID = later("void")
REST = later("void", 699)


def short(outcome: Outcome | None) -> tuple[str, str | None] | None:
    return None if outcome is None else (outcome.kind, outcome.code)


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        (CAPTURE, authorized("succeeded", op_c2="400")),
        (later("capture", final=True, multicapture=True), authorized("succeeded", op_c2="1099")),
        (later("capture", 1200), authorized("succeeded", op_c2="1200")),
        (PART, authorized(op_c2="400")),
        (PART, authorized(op_c2="400", op_c3="100")),
        (PART, authorized("succeeded", op_c2="400", op_c3="699")),
        (PART, authorized("canceled", op_c2="400")),
        (VOID, authorized("canceled")),
        (REST, authorized("succeeded", op_c2="400")),
        (REST, authorized("canceled", op_c2="400")),
    ],
)
def test_it_is_approved_where_the_target_shows_that_it_was_done(call: Call, shown: Any):
    for outcome in (
        STRIPE.outcome(call, http_response(200, shown)),
        STRIPE.found(call, http_response(200, shown)),
        STRIPE.outcome(call, http_response(400, unfit(shown))),
    ):
        assert outcome is not None
        assert (outcome.kind, outcome.amount_minor, outcome.currency) == (
            "APPROVED",
            call.amount_minor,
            "USD",
        )
        assert outcome.psp_id is None  # it has no object of its own


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        (CAPTURE, authorized()),
        (CAPTURE, authorized(op_c3="400")),  # another capture of the same amount
        (CAPTURE, authorized("succeeded", op_c1="1099")),
        (VOID, authorized()),
        (VOID, authorized("succeeded", op_c2="1099")),
    ],
)
def test_what_the_target_does_not_show_was_not_done(call: Call, shown: Any):
    assert STRIPE.found(call, http_response(200, shown)) is None
    assert short(STRIPE.outcome(call, http_response(400, unfit(shown)))) == ("NOT_SENT", "unexpected_state")
    # A response that claims success and shows none is no success.
    assert short(STRIPE.outcome(call, http_response(200, shown))) == ("UNKNOWN", "not_done")


def test_a_capture_of_a_canceled_authorization_is_declined_for_good():
    shown = authorized("canceled")

    assert short(STRIPE.found(CAPTURE, http_response(200, shown))) == ("DECLINED_HARD", "target_canceled")
    assert short(STRIPE.outcome(CAPTURE, http_response(400, unfit(shown)))) == (
        "DECLINED_HARD",
        "target_canceled",
    )


@pytest.mark.parametrize(
    ("call", "shown", "code"),
    [
        (CAPTURE, authorized("succeeded", op_c2="500"), "amount_mismatch"),
        (CAPTURE, authorized("succeeded", op_c2="400", amount_received=500), "amount_mismatch"),
        (CAPTURE, authorized("succeeded", op_c2="400", amount_received=None), "amount_mismatch"),
        (CAPTURE, authorized("succeeded", op_c2="400", amount_received=400.0), "amount_mismatch"),
        (CAPTURE, authorized(op_c2="400"), "unexpected_status"),  # the rest should have been released
        (replace(PART, final=True), authorized(op_c2="400"), "unexpected_status"),
        (CAPTURE, authorized("processing"), "unexpected_status"),
        (CAPTURE, authorized({"succeeded": True}), "unexpected_status"),
        (VOID, authorized("canceled", op_c2="400"), "amount_mismatch"),
        (REST, authorized("canceled"), "amount_mismatch"),
        (REST, authorized("succeeded", op_c2="400", amount_capturable=1), "amount_mismatch"),
        (VOID, authorized("canceled", amount=1199), "amount_mismatch"),
        (VOID, authorized("canceled", amount=None), "amount_mismatch"),
        (VOID, authorized("canceled", amount_capturable=None), "amount_mismatch"),
        (VOID, authorized("processing"), "unexpected_status"),
        (VOID, authorized(None), "unexpected_status"),
        *(
            (call, authorized(status, **tags, **spoilt), code)
            for call, status, tags in (
                (CAPTURE, "succeeded", {"op_c2": "400"}),
                (VOID, "canceled", {}),
            )
            for spoilt, code in (
                ({"currency": "eur"}, "currency_mismatch"),
                ({"id": "pi_another"}, "psp_id_mismatch"),
                ({"metadata": {"order_ref": "another", "op_c2": "400"}}, "reference_mismatch"),
                ({"metadata": None}, "reference_mismatch"),
                ({"object": "charge"}, "unreadable_response"),
                ({"id": 7}, "unreadable_response"),
            )
        ),
    ],
)
def test_a_target_that_shows_anything_else_leaves_it_unknown(call: Call, shown: Any, code: str):
    for outcome in (
        STRIPE.outcome(call, http_response(200, shown)),
        STRIPE.found(call, http_response(200, shown)),
        STRIPE.outcome(call, http_response(400, unfit(shown))),
    ):
        assert short(outcome) == ("UNKNOWN", code)


@pytest.mark.parametrize("call", [CAPTURE, VOID], ids=["capture", "void"])
@pytest.mark.parametrize(
    ("status", "body", "kind", "code", "hint"),
    [
        (400, error(code="amount_too_large"), "NOT_SENT", "invalid_request", None),
        (400, unfit(None), "UNKNOWN", "unreadable_response", None),
        (400, error(code="charge_already_captured"), "UNKNOWN", "unreadable_response", None),
        (400, error("idempotency_error"), "UNKNOWN", "idempotency_error", None),
        (409, error(code="idempotency_key_in_use"), "UNKNOWN", "idempotency_key_in_use", None),
        (400, error(code="charge_expired_for_capture"), "DECLINED_HARD", "charge_expired_for_capture", None),
        (402, error("card_error", decline_code="do_not_honor"), "DECLINED_SOFT", "do_not_honor", None),
        (402, error("card_error", decline_code="lost_card"), "DECLINED_HARD", "lost_card", None),
        (404, error(code="resource_missing"), "NOT_SENT", "resource_missing", "CONFIG"),
        (401, error(), "NOT_SENT", "refused", "CONFIG"),
        (429, error(code="rate_limit"), "NOT_SENT", "rate_limited", None),
        (429, b"slow down", "UNKNOWN", "http_429", None),
        (500, error("api_error"), "UNKNOWN", "http_500", None),
        (503, b"", "UNKNOWN", "http_503", None),
        (302, b"", "UNKNOWN", "http_302", "CONFIG"),
        (200, b"", "UNKNOWN", "unreadable_response", None),
        (200, b"<html>", "UNKNOWN", "unreadable_response", None),
    ],
)
def test_a_refusal_is_what_stripe_calls_it(
    call: Call, *, status: int, body: Any, kind: str, code: str, hint: str | None
):
    outcome = STRIPE.outcome(call, http_response(status, body))

    assert (outcome.kind, outcome.code, outcome.hint) == (kind, code, hint)


@pytest.mark.parametrize("shown", [authorized("succeeded", op_c2="400"), intent(metadata={})])
def test_a_declined_capture_whose_target_says_otherwise_is_unknown(shown: Any):
    body = error("card_error", decline_code="do_not_honor", payment_intent=shown)

    assert short(STRIPE.outcome(CAPTURE, http_response(402, body))) == ("UNKNOWN", "unexpected_status")


@pytest.mark.parametrize("shown", [authorized(), authorized("canceled")])
def test_a_declined_capture_whose_target_does_not_show_it_is_declined(shown: Any):
    body = error("card_error", decline_code="do_not_honor", payment_intent=shown)

    assert short(STRIPE.outcome(CAPTURE, http_response(402, body))) == ("DECLINED_SOFT", "do_not_honor")


@pytest.mark.parametrize(("status", "code"), [(404, "http_404"), (500, "http_500"), (429, "http_429")])
def test_a_failed_look_up_is_no_absence(status: int, code: str):
    assert short(STRIPE.found(CAPTURE, http_response(status, error()))) == ("UNKNOWN", code)


def test_a_mismatch_says_what_the_target_holds_and_that_a_repeat_says_no_more():
    shown = authorized("succeeded", op_c2="400", amount_received=500)

    outcome = STRIPE.outcome(CAPTURE, http_response(200, shown))

    assert outcome.repeat_is_useless
    assert "amount_received 500" in (outcome.detail or "")
    assert AUTHORIZE.amount_minor == 1099
    assert INTENT_ID not in (outcome.psp_id or "")
