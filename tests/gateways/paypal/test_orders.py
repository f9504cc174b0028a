"""Of an authorize and a sale: every status of the tables, and every issue."""

# ruff: noqa: SIM905 - a table of codes reads better as a paragraph

from dataclasses import replace
from typing import Any

import pytest

from gateways.contract import Call
from gateways.paypal import codes
from tests.gateways.paypal.payloads import (
    AUTHORIZE,
    AUTHORIZED,
    CAPTURE,
    CAPTURED,
    CREATE,
    ORDER,
    PAGE,
    REFUND,
    SALE,
    VOID,
    WALLET,
    authorized,
    http_response,
    issue,
    link,
    order,
    sold,
    taken,
    usd,
)
from tests.gateways.paypal.reading import PAYPAL, WALLET_2, short

WAITING = f"{ORDER}/waiting/2"


def test_a_new_order_of_a_vaulted_card_goes_on_at_once_with_its_id_known():
    outcome = PAYPAL.outcome(CREATE, http_response(201, order("CREATED")))

    assert (outcome.kind, outcome.next_step, outcome.psp_id) == ("PENDING", "2", ORDER)


@pytest.mark.parametrize("status", ["PAYER_ACTION_REQUIRED", "CREATED", "SAVED"])
def test_a_new_order_of_a_wallet_sends_its_payer_to_paypal(status: str):
    outcome = PAYPAL.outcome(WALLET, http_response(200, order(status)))

    assert (outcome.kind, outcome.next_step) == ("ACTION_REQUIRED", None)
    assert (outcome.psp_id, outcome.action_url) == (ORDER, PAGE)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("COMPLETED", "APPROVED"),
        ("PARTIALLY_REFUNDED", "APPROVED"),
        ("REFUNDED", "APPROVED"),
        ("PENDING", "PENDING"),
    ],
)
@pytest.mark.parametrize("step", ["1", "2", "3", "4"])
def test_a_sale_is_what_its_capture_is(status: str, kind: str, step: str):
    """Also where the repeat of an earlier step gives the order's latest state."""
    outcome = PAYPAL.outcome(replace(SALE, step=step), http_response(201, sold(status=status)))

    assert (outcome.kind, outcome.psp_id) == (kind, CAPTURED)
    assert (outcome.amount_minor, outcome.currency, outcome.next_step) == (1099, "USD", None)


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("CREATED", "APPROVED"),
        ("PARTIALLY_CAPTURED", "APPROVED"),
        ("CAPTURED", "APPROVED"),
        ("PENDING", "PENDING"),
        ("VOIDED", "EXPIRED"),
    ],
)
def test_an_authorize_is_what_its_authorization_is(status: str, kind: str):
    response = http_response(201, authorized(status=status))

    for outcome in (
        PAYPAL.outcome(AUTHORIZE, response),
        PAYPAL.found(AUTHORIZE, http_response(200, authorized(status=status))),
    ):
        assert outcome is not None
        assert (outcome.kind, outcome.psp_id) == (kind, AUTHORIZED)
        assert (outcome.amount_minor, outcome.currency) == (1099, "USD")


def test_the_reason_of_a_pending_capture_is_reported():
    response = sold(status="PENDING", status_details={"reason": "ECHECK"})

    assert short(PAYPAL.outcome(SALE, http_response(201, response))) == ("PENDING", "ECHECK")


def test_a_completed_order_without_its_payment_is_no_success():
    for payload in (
        order("COMPLETED"),
        order("COMPLETED", authorizations=[]),
        order("COMPLETED", captures=[]),
    ):
        assert short(PAYPAL.outcome(SALE, http_response(201, payload))) == (
            "UNKNOWN",
            "completed_without_payment",
        )


def test_a_payment_of_the_other_intent_is_none_of_ours():
    payload = order("COMPLETED", AUTHORIZE, captures=[taken(custom_id=None, invoice_id=None)])

    assert PAYPAL.outcome(AUTHORIZE, http_response(201, payload)).kind == "UNKNOWN"


def test_a_declined_capture_in_a_completed_order_is_declined():
    outcome = PAYPAL.outcome(SALE, http_response(201, sold(status="DECLINED", processor="5400")))

    assert (outcome.kind, outcome.code, outcome.psp_id) == ("DECLINED_HARD", "5400", CAPTURED)


def test_a_capture_that_failed_by_an_error_is_declined_only_once_a_lookup_shows_it_too():
    response = http_response(201, sold(status="FAILED", processor="5400"))

    outcome = PAYPAL.outcome(SALE, response)
    assert (outcome.kind, outcome.code, outcome.psp_id) == ("UNKNOWN", "FAILED", CAPTURED)
    assert outcome.repeat_is_useless
    found = PAYPAL.found(replace(SALE, psp_id=CAPTURED), replace(response, status=200))
    assert found is not None
    assert (found.kind, found.code) == ("DECLINED_HARD", "5400")


def test_a_denied_authorization_without_a_code_is_soft():
    outcome = PAYPAL.outcome(AUTHORIZE, http_response(201, authorized(status="DENIED")))

    assert (outcome.kind, outcome.code, outcome.unlisted) == ("DECLINED_SOFT", "declined", False)


def test_a_capture_that_was_declined_before_another_one_took_does_not_hide_it():
    failed = taken("DECLINED", id="4XX00000000000001")

    assert (
        PAYPAL.outcome(SALE, http_response(201, order("COMPLETED", captures=[failed, taken()]))).kind
        == "APPROVED"
    )


def test_two_captures_of_one_sale_are_not_decided():
    payload = order("COMPLETED", captures=[taken(), taken(id="4XX00000000000001")])

    assert short(PAYPAL.outcome(SALE, http_response(201, payload))) == ("UNKNOWN", "found_twice")


SOFT = "0100 0500 0960 5100 5120 5710 5920 8000 8100 8110 8220 9100 PPEL PPER PPDT".split()
HARD = """0390 0580 1330 1335 1352 1380 1382 5140 5150 5160 5180 5210 5400 5700 5900 5910 5930 5950 6300 7800 9500 9510
9520 9530 9540 PP06 PPRN PPAB PPEF PPFI PPFR""".split()


@pytest.mark.parametrize(
    ("code", "kind", "hint"),
    [
        *((code, "DECLINED_SOFT", None) for code in SOFT),
        *((code, "DECLINED_SOFT", "FIX_INPUT") for code in ("00N7", "5110", "PCVV", "5170")),
        *((code, "DECLINED_SOFT", "RETRY_WITH_3DS") for code in ("5650", "7700", "7710")),
        *((code, "DECLINED_HARD", None) for code in HARD),
        ("5200", "UNKNOWN", None),
        *((code, "NOT_SENT", "CONFIG") for code in "1340 1350 1370 8010 8020 8030 PPAE PPAU PPCE".split()),
    ],
)
def test_every_code_of_a_processor_has_its_row(code: str, kind: str, hint: str | None):
    outcome = PAYPAL.outcome(SALE, http_response(201, sold(status="DECLINED", processor=code)))

    assert (outcome.kind, outcome.code, outcome.hint, outcome.unlisted) == (kind, code, hint, False)
    assert outcome.repeat_is_useless == (code == "5200")
    # The lookup is where all of them end.
    found = PAYPAL.found(SALE, http_response(200, sold(status="DECLINED", processor=code)))
    assert found is not None
    assert found.kind == ("DECLINED_SOFT" if kind == "DECLINED_SOFT" else "DECLINED_HARD")


def test_a_new_code_of_a_processor_is_soft_and_is_reported_as_new():
    outcome = PAYPAL.outcome(SALE, http_response(201, sold(status="DECLINED", processor="QQQQ")))

    assert (outcome.kind, outcome.code, outcome.unlisted) == ("DECLINED_SOFT", "QQQQ", True)


@pytest.mark.parametrize(
    ("advice", "kind", "hint"),
    [
        ("01", "DECLINED_HARD", "REFRESH_TOKEN"),
        ("02", "DECLINED_SOFT", None),
        ("03", "DECLINED_HARD", None),
        ("21", "DECLINED_HARD", None),
        ("77", "DECLINED_SOFT", None),
    ],
)
def test_the_networks_advice_goes_before_the_processors_code(advice: str, kind: str, hint: str | None):
    outcome = PAYPAL.outcome(
        SALE, http_response(201, sold(status="DECLINED", processor="5120", advice=advice))
    )

    assert (outcome.kind, outcome.code, outcome.hint) == (kind, "5120", hint)


@pytest.mark.parametrize("call", [SALE, AUTHORIZE, CAPTURE], ids=lambda call: call.kind)
@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *(
            (code, "DECLINED_SOFT")
            for code in """INSTRUMENT_DECLINED TRANSACTION_REFUSED PAYMENT_SOURCE_DECLINED_BY_PROCESSOR PAYER_CANNOT_PAY
            REDIRECT_PAYER_FOR_ALTERNATE_FUNDING TRANSACTION_LIMIT_EXCEEDED""".split()
        ),
        *(
            (code, "DECLINED_HARD")
            for code in """CARD_EXPIRED PAYER_ACCOUNT_LOCKED_OR_CLOSED PAYER_ACCOUNT_RESTRICTED
            AGREEMENT_ALREADY_CANCELLED TOKEN_EXPIRED COMPLIANCE_VIOLATION TRANSACTION_BLOCKED_BY_PAYEE
            MAX_NUMBER_OF_PAYMENT_ATTEMPTS_EXCEEDED""".split()
        ),
        *(
            (code, "UNKNOWN")
            for code in """DUPLICATE_INVOICE_ID ORDER_ALREADY_CAPTURED ORDER_ALREADY_AUTHORIZED
            AUTHORIZATION_ALREADY_CAPTURED CAPTURE_FULLY_REFUNDED PREVIOUSLY_CAPTURED PREVIOUSLY_VOIDED""".split()
        ),
        *((code, "PENDING") for code in ("ORDER_COMPLETION_IN_PROGRESS", "PENDING_CAPTURE")),
        *(
            (code, "NOT_SENT")
            for code in """PAYEE_ACCOUNT_RESTRICTED PAYEE_ACCOUNT_INVALID AUTH_CAPTURE_NOT_ENABLED
            NOT_ENABLED_FOR_CARD_PROCESSING AUTHORIZATION_EXPIRED AUTHORIZATION_VOIDED AUTHORIZATION_DENIED
            REFUND_AMOUNT_EXCEEDED REFUND_TIME_LIMIT_EXCEEDED MAX_CAPTURE_COUNT_EXCEEDED DECIMAL_PRECISION
            DECIMALS_NOT_SUPPORTED CURRENCY_MISMATCH""".split()
        ),
    ],
)
def test_every_issue_of_a_422_has_its_row(call: Call, code: str, kind: str):
    outcome = PAYPAL.outcome(call, http_response(422, issue(code)))

    setup = code.startswith(("PAYEE_ACCOUNT_", "NOT_ENABLED_", "AUTH_CAPTURE_"))
    assert (outcome.kind, outcome.code, outcome.unlisted) == (kind, code, False)
    assert outcome.hint == ("CONFIG" if setup else None)
    assert outcome.repeat_is_useless == (kind == "UNKNOWN")


def test_an_issue_that_is_new_refuses_the_request_and_is_reported_as_new():
    outcome = PAYPAL.outcome(SALE, http_response(422, issue("SOMETHING_NEW")))

    assert (outcome.kind, outcome.code, outcome.unlisted) == ("NOT_SENT", "SOMETHING_NEW", True)


@pytest.mark.parametrize("code", sorted(codes.NOT_APPROVED))
@pytest.mark.parametrize("step", ["2", "3"])
def test_a_payer_who_has_yet_to_agree_is_sent_there_and_the_order_queried_again(code: str, step: str):
    call = replace(WALLET_2, step=step)

    outcome = PAYPAL.outcome(call, http_response(422, issue(code, links=[link("payer-action")])))

    assert (outcome.kind, outcome.code, outcome.next_step) == ("ACTION_REQUIRED", code, None)
    assert (outcome.action_url, outcome.psp_id) == (PAGE, f"{ORDER}/waiting/{step}")


def test_a_payer_who_has_not_agreed_when_no_step_is_left_is_a_soft_decline():
    for response in (
        http_response(422, issue("ORDER_NOT_APPROVED")),
        http_response(201, order("PAYER_ACTION_REQUIRED")),
    ):
        assert PAYPAL.outcome(replace(SALE, step="4"), response).kind == "DECLINED_SOFT"


def test_a_card_that_has_to_pass_3d_secure_is_sent_there():
    outcome = PAYPAL.outcome(SALE, http_response(201, order("PAYER_ACTION_REQUIRED")))

    assert (outcome.kind, outcome.next_step) == ("ACTION_REQUIRED", None)
    assert (outcome.action_url, outcome.psp_id) == (PAGE, WAITING)


@pytest.mark.parametrize("call", [CAPTURE, VOID, REFUND], ids=lambda call: call.kind)
def test_an_operation_without_a_payer_is_only_refused(call: Call):
    for code in codes.NOT_APPROVED:
        assert PAYPAL.outcome(call, http_response(422, issue(code))).kind == "NOT_SENT"


@pytest.mark.parametrize("call", [SALE, AUTHORIZE, CAPTURE, VOID, REFUND], ids=lambda call: call.kind)
@pytest.mark.parametrize(
    ("status", "body", "kind", "hint"),
    [
        (400, issue("INVALID_PARAMETER_SYNTAX"), "NOT_SENT", None),
        (401, issue("INVALID_ACCOUNT_STATUS"), "NOT_SENT", "CONFIG"),
        (
            401,
            {"error": "invalid_token", "error_description": "Token signature verification failed"},
            "NOT_SENT",
            "CONFIG",
        ),
        (403, issue("PERMISSION_DENIED"), "NOT_SENT", "CONFIG"),
        (403, issue("NOT_ENABLED_FOR_CARD_PROCESSING"), "NOT_SENT", "CONFIG"),
        (409, issue("PREVIOUS_REQUEST_IN_PROGRESS"), "UNKNOWN", None),
        (429, {"name": "RATE_LIMIT_REACHED", "message": "Too many requests."}, "NOT_SENT", None),
        (500, {"name": "INTERNAL_SERVER_ERROR", "debug_id": "b1"}, "UNKNOWN", None),
        (503, {"name": "SERVICE_UNAVAILABLE"}, "UNKNOWN", None),
        (408, {"name": "TIMEOUT"}, "UNKNOWN", None),
        (302, b"", "UNKNOWN", "CONFIG"),
        *((status, b"<html>", "UNKNOWN", None) for status in (400, 404, 409, 422, 429, 500, 502, 504)),
        *((status, b"{}", "UNKNOWN", None) for status in (200, 201, 202, 204, 400, 422)),
    ],
)
def test_every_status_of_http_has_its_row(call: Call, status: int, body: Any, kind: str, hint: str | None):
    if (call.kind, status) == ("void", 204):
        return
    outcome = PAYPAL.outcome(call, http_response(status, body))

    assert (outcome.kind, outcome.hint, outcome.repeat_is_useless) == (kind, hint, False)


def test_what_is_not_there_is_not_executed_and_only_a_payment_that_is_gone_is_alarming():
    response = http_response(404, {**issue("INVALID_RESOURCE_ID"), "name": "RESOURCE_NOT_FOUND"})

    outcomes = [PAYPAL.outcome(call, response) for call in (SALE, CAPTURE, VOID, REFUND)]

    assert [(outcome.kind, outcome.hint) for outcome in outcomes] == [
        ("NOT_SENT", None),
        *[("NOT_SENT", "CONFIG")] * 3,
    ]


def test_a_payers_consent_is_requested_where_it_is_missing():
    assert PAYPAL.outcome(SALE, http_response(403, issue("CONSENT_NEEDED"))).kind == "ACTION_REQUIRED"
    refused = PAYPAL.outcome(CAPTURE, http_response(403, issue("CONSENT_NEEDED")))
    assert (refused.kind, refused.hint) == ("NOT_SENT", "CONFIG")


@pytest.mark.parametrize("status", [400, 422])
def test_a_key_that_was_used_for_another_request_may_hide_an_execution(status: int):
    outcome = PAYPAL.outcome(SALE, http_response(status, {"name": "DUPLICATE_REQUEST_ID", "message": "used"}))

    assert (outcome.kind, outcome.repeat_is_useless) == ("UNKNOWN", True)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"amount": usd("10.98")}, "amount_mismatch"),
        ({"amount": usd("110.99")}, "amount_mismatch"),
        ({"amount": {"currency_code": "EUR", "value": "10.99"}}, "currency_mismatch"),
        ({"amount": {"currency_code": "KWD", "value": "1.099"}}, "amount_unreadable"),
        ({"amount": None}, "amount_unreadable"),
        ({"invoice_id": AUTHORIZE.reference}, "reference_mismatch"),
        ({"id": None}, "unreadable_response"),
        ({"status": "EXPLODED"}, "EXPLODED"),
        ({"status": None}, "unreadable_response"),
    ],
)
def test_a_payment_of_another_amount_currency_or_reference_is_unknown(change: dict[str, Any], code: str):
    response = sold(**change)

    for outcome in (
        PAYPAL.outcome(SALE, http_response(201, response)),
        PAYPAL.found(SALE, http_response(200, response)),
    ):
        assert short(outcome) == ("UNKNOWN", code)
