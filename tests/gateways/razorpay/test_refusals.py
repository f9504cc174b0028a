"""Razorpay's error table, row by row: of a call that was refused, and of a payment that is found failed."""

from typing import Any

import pytest

from commands.messages import Outcome
from gateways.contract import Call, Gateway
from gateways.razorpay.adapter import Razorpay
from tests.gateways.razorpay.payloads import (
    AUTHORIZE,
    CAPTURE,
    ORDER,
    ORDER_ID,
    PAY,
    PAYMENT_ID,
    REFUND,
    TAKE,
    error,
    failed,
    http_response,
    listed,
    published,
)

RAZORPAY: Gateway = Razorpay()
CALLS = [ORDER, PAY, TAKE, AUTHORIZE, CAPTURE, REFUND]

SOFT = [
    *("insufficient_funds", "insufficient_fund", "card_declined", "payment_failed", "payment_cancelled"),
    *("transaction_limit_exceeded", "transaction_daily_limit_exceeded", "bank_technical_error"),
    "card_not_enrolled",
]
FIX_INPUT = [
    *("incorrect_cvv", "incorrect_otp", "incorrect_card_details", "incorrect_card_expiry_date"),
    "authentication_failed",
]
HARD = [
    *("card_expired", "debit_instrument_blocked", "debit_instrument_inactive", "card_number_invalid"),
    *("card_disabled_for_online_payments", "card_type_invalid", "payment_risk_check_failed"),
    *("compliance_violation", "international_transaction_not_allowed"),
]
UNDECIDED = ["gateway_technical_error", "payment_timed_out", "verification_failed", "server_error"]
DUPLICATE = ["order_already_paid", "duplicate_request", "duplicate_refund_id"]
PENDING = ["payment_pending_approval", "collect_request_pending"]
CONFIG = ["merchant_not_activated", "live_mode_not_enabled", "card_network_not_enabled"]
INVALID = ["input_validation_failed", "order_amount_mismatch", "invalid_amount", "invalid_currency"]


def rows(kind: str, reasons: list[str], hint: str | None = None) -> list[tuple[str, str, str | None]]:
    return [(reason, kind, hint) for reason in reasons]


OF_A_CALL = [
    *rows("DECLINED_SOFT", SOFT),
    *rows("DECLINED_SOFT", FIX_INPUT, "FIX_INPUT"),
    *rows("DECLINED_HARD", HARD),
    *rows("UNKNOWN", UNDECIDED + DUPLICATE),
    *rows("PENDING", PENDING),
    *rows("NOT_SENT", CONFIG, "CONFIG"),
    *rows("NOT_SENT", INVALID),
]
OF_A_PAYMENT = [
    *rows("DECLINED_SOFT", SOFT),
    *rows("DECLINED_SOFT", FIX_INPUT, "FIX_INPUT"),
    *rows("DECLINED_HARD", HARD + DUPLICATE + INVALID),
    *rows("DECLINED_HARD", CONFIG, "CONFIG"),
    *rows("ACTION_REQUIRED", UNDECIDED + PENDING),
]


def refused(call: Call, status: int, body: Any) -> Outcome:
    return RAZORPAY.outcome(call, http_response(status, body))


@pytest.mark.parametrize(("reason", "kind", "hint"), OF_A_CALL)
@pytest.mark.parametrize("of", [None, PAYMENT_ID])
def test_a_reason_says_what_a_refused_call_was(reason: str, kind: str, hint: str | None, of: str | None):
    outcome = refused(PAY, 400, error(reason, of=of))

    assert (outcome.kind, outcome.hint, outcome.unlisted) == (kind, hint, False)
    assert outcome.code == ("invalid_request" if reason in INVALID else reason)
    assert outcome.repeat_is_useless == (reason in DUPLICATE)


@pytest.mark.parametrize(("reason", "kind", "hint"), OF_A_PAYMENT)
@pytest.mark.parametrize("call", [PAY, AUTHORIZE], ids=lambda call: call.kind)
def test_a_reason_says_what_a_failed_payment_was(call: Call, reason: str, kind: str, hint: str | None):
    outcome = RAZORPAY.found(call, http_response(200, listed(failed(reason, call=call))))

    assert outcome is not None
    assert (outcome.kind, outcome.code, outcome.hint) == (kind, reason, hint)
    assert (outcome.psp_id, outcome.amount_minor, outcome.unlisted) == (ORDER_ID, 1099, False)


@pytest.mark.parametrize("of", [None, PAYMENT_ID])
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.kind + call.step)
@pytest.mark.parametrize("code", ["GATEWAY_ERROR", "SERVER_ERROR"])
def test_an_error_of_the_bank_or_of_razorpay_decides_nothing(call: Call, of: str | None, code: str):
    for status in (400, 500, 502):
        assert refused(call, status, error(None, of=of, code=code)).kind == "UNKNOWN"
        assert refused(call, status, error("something_new", of=of, code=code)).kind == "UNKNOWN"


def test_an_error_of_the_bank_with_a_reason_of_the_table_is_what_the_table_says():
    outcome = refused(PAY, 400, error("authentication_failed", of=PAYMENT_ID, code="GATEWAY_ERROR"))

    assert (outcome.kind, outcome.hint) == ("DECLINED_SOFT", "FIX_INPUT")


@pytest.mark.parametrize("status", [500, 502, 503, 504])
@pytest.mark.parametrize("reason", [*SOFT, *HARD, *INVALID])
def test_no_server_error_is_an_end_whatever_it_names(status: int, reason: str):
    assert refused(PAY, status, error(reason, of=PAYMENT_ID)).kind == "UNKNOWN"


@pytest.mark.parametrize("reason", [None, "", "NA"])
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.kind + call.step)
def test_a_refusal_without_reason_and_payment_was_not_executed(call: Call, reason: str | None):
    outcome = refused(call, 400, error(reason, field="amount", description="The amount is invalid"))

    # What a capture is refused for may be that it was captured.
    captures = call.kind == "capture" or call.step == "3"
    kind = "UNKNOWN" if captures else "NOT_SENT"
    assert (outcome.kind, outcome.code, outcome.hint) == (kind, "invalid_request", None)
    assert outcome.repeat_is_useless is captures
    assert outcome.detail == "BAD_REQUEST_ERROR, amount, The amount is invalid, HTTP 400"


def test_the_published_refusal_was_not_executed():
    assert refused(ORDER, 400, published("bad_request_error.json")).kind == "NOT_SENT"


@pytest.mark.parametrize("reason", [None, "NA", "something_new"])
def test_a_refusal_that_names_the_payment_it_made_is_a_decline(reason: str | None):
    outcome = refused(PAY, 400, error(reason, of=PAYMENT_ID, description="Authentication failed"))

    assert (outcome.kind, outcome.unlisted, outcome.psp_id) == ("DECLINED_SOFT", True, ORDER_ID)


@pytest.mark.parametrize("call", [ORDER, TAKE, CAPTURE, REFUND], ids=lambda call: call.kind + call.step)
@pytest.mark.parametrize("of", [None, PAYMENT_ID])
def test_a_new_reason_of_another_call_decides_nothing(call: Call, of: str | None):
    outcome = refused(call, 400, error("something_new", of=of))

    assert (outcome.kind, outcome.code, outcome.unlisted) == ("UNKNOWN", "something_new", True)


def test_a_refused_capture_or_refund_that_names_its_target_decides_nothing():
    assert [refused(call, 400, error("NA", of=PAYMENT_ID)).kind for call in (TAKE, CAPTURE, REFUND)] == [
        "UNKNOWN"
    ] * 3


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (401, "The api key provided is invalid"),
        (401, "Something else"),
        (400, "Authentication failed"),
        (400, "The api key provided is invalid"),
    ],
)
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.kind + call.step)
def test_a_wrong_key_is_a_matter_of_our_configuration(call: Call, status: int, words: str):
    response = http_response(status, error("NA", description=words))

    outcome, found = RAZORPAY.outcome(call, response), RAZORPAY.found(call, response)

    assert (outcome.kind, outcome.hint) == ("NOT_SENT", "CONFIG")
    assert found is not None
    assert (found.kind, found.hint) == ("UNKNOWN", "CONFIG")


def test_a_refund_without_funds_calls_an_operator():
    words = "Your account does not have enough balance to carry out the refund operation."

    outcome = refused(REFUND, 400, error("NA", description=words))

    assert (outcome.kind, outcome.hint) == ("NOT_SENT", "CONFIG")


@pytest.mark.parametrize("call", [TAKE, CAPTURE], ids=lambda call: call.kind)
@pytest.mark.parametrize(
    "words",
    [
        "This payment has already been captured",
        "Only payments which have been authorized and not yet captured can be captured",
    ],
)
def test_a_capture_refused_for_the_payments_state_is_looked_up(call: Call, words: str):
    outcome = refused(call, 400, error("NA", description=words))

    assert (outcome.kind, outcome.repeat_is_useless) == ("UNKNOWN", True)


def test_a_refunds_key_with_another_body_is_a_duplicate():
    words = "Different request with the same idempotency key has been sent"

    outcome = refused(REFUND, 400, error(None, description=words))

    assert (outcome.kind, outcome.repeat_is_useless) == ("UNKNOWN", True)


def test_a_refunds_key_whose_first_call_still_runs_is_sent_again():
    outcome = refused(REFUND, 409, error(None, description="Request already in progress"))

    assert (outcome.kind, outcome.repeat_is_useless) == ("UNKNOWN", False)


@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.kind + call.step)
@pytest.mark.parametrize(
    ("status", "body", "kind", "hint"),
    [
        (429, error(), "NOT_SENT", None),
        (429, b"too many", "UNKNOWN", None),
        (403, error(), "NOT_SENT", "CONFIG"),
        (404, error(), "NOT_SENT", "CONFIG"),
        (401, b"a proxy's page", "UNKNOWN", "CONFIG"),
        (302, b"", "UNKNOWN", "CONFIG"),
        (400, b"a proxy's page", "UNKNOWN", None),
        (408, b"", "UNKNOWN", None),
        (402, error(), "UNKNOWN", None),
        (503, b"", "UNKNOWN", None),
        (200, b"", "UNKNOWN", None),
        (200, b'{"id": "pay_', "UNKNOWN", None),
        (201, b"{}", "UNKNOWN", None),
    ],
)
def test_any_other_response_decides_only_what_it_plainly_says(
    call: Call, status: int, body: Any, kind: str, hint: str | None
):
    outcome = refused(call, status, body)

    assert (outcome.kind, outcome.hint) == (kind, hint)
    found = RAZORPAY.found(call, http_response(status, body))
    assert found is not None
    assert found.kind == "UNKNOWN"


@pytest.mark.parametrize(
    ("reason", "code", "kind", "unlisted"),
    [
        ("something_new", "BAD_REQUEST_ERROR", "DECLINED_SOFT", True),
        (None, "BAD_REQUEST_ERROR", "DECLINED_SOFT", True),
        (None, "GATEWAY_ERROR", "ACTION_REQUIRED", False),
        ("something_new", "GATEWAY_ERROR", "ACTION_REQUIRED", True),
    ],
)
def test_a_failed_payment_with_a_new_reason_is_declined_unless_its_bank_gave_no_response(
    reason: str | None, code: str, kind: str, unlisted: bool
):
    outcome = RAZORPAY.found(PAY, http_response(200, listed(failed(reason, code))))

    assert outcome is not None
    assert (outcome.kind, outcome.unlisted) == (kind, unlisted)


def test_a_card_number_or_a_secret_in_razorpays_words_goes_no_further():
    words = "card 4100 2800 0000 1007 refused; Basic cnpwX3Rlc3Q6c2VjcmV0 is wrong"
    bodies = [error("card_declined", description=words), error("4100280000001007", of=PAYMENT_ID)]
    payment = failed("card_declined") | {"error_description": words}

    outcomes = [refused(call, 400, body) for call in CALLS for body in bodies]
    outcomes += [RAZORPAY.found(PAY, http_response(200, listed(payment))) or outcomes[0]]

    for outcome in outcomes:
        shown = outcome.model_dump_json()
        assert "1007" not in shown
        assert "cnpwX3Rlc3Q6c2VjcmV0" not in shown


BUSY = "Request failed because another payment operation is in progress"


def test_another_operation_in_progress_is_a_refusal_for_some_seconds():
    """Source: Razorpay's pages on refunds and captures: "wait a few seconds and retry"."""
    for call in (REFUND, CAPTURE):
        for payload in (
            error(description=BUSY),
            error(description=f"{BUSY}.", reason="input_validation_failed"),
        ):
            refused = RAZORPAY.outcome(call, http_response(400, payload))

            assert (refused.kind, refused.code, refused.hint) == ("NOT_SENT", "operation_in_progress", None)
            assert refused.again_after_s == 5
    # A sale's own capture: the money is held, and has to be read.
    assert RAZORPAY.outcome(TAKE, http_response(400, error(description=BUSY))).kind == "UNKNOWN"


def test_an_empty_balance_of_ours_is_an_operators_matter():
    refused = RAZORPAY.outcome(REFUND, http_response(400, error(description="invalid request sent")))
    other = RAZORPAY.outcome(CAPTURE, http_response(400, error(description="invalid request sent")))

    assert (refused.kind, refused.hint, refused.again_after_s) == ("NOT_SENT", "CONFIG", None)
    assert other.hint is None


def test_a_refund_that_a_dispute_blocks_says_so():
    text = "The refund is blocked due to a dispute"
    refused = RAZORPAY.outcome(REFUND, http_response(400, error(description=text)))

    assert (refused.kind, refused.code, refused.hint) == ("NOT_SENT", "blocked_by_dispute", None)
    assert refused.detail is not None
    assert text in refused.detail
