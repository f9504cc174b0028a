"""The outcome of each response to a charge or an authorization: each row of Braintree's tables."""

from dataclasses import replace
from typing import Any

import pytest

from commands.balances import Balances
from commands.messages import Outcome
from gateways.braintree import codes
from tests.gateways.braintree.payloads import (
    AUTHORIZE,
    CALL,
    CAPTURE,
    TRANSACTION_ID,
    authorized,
    by_id,
    charged,
    declined,
    error,
    failed,
    held,
    money,
    rejected,
    search,
    transaction,
)
from tests.gateways.braintree.reading import KNOWN, found, kinds, outcome

KNOWN_AUTHORIZE = replace(AUTHORIZE, psp_id=TRANSACTION_ID)


@pytest.mark.parametrize(
    "status", ["SUBMITTED_FOR_SETTLEMENT", "SETTLING", "SETTLED", "SETTLEMENT_CONFIRMED"]
)
def test_a_captured_transaction_is_an_approved_sale(status: str):
    approved = Outcome(kind="APPROVED", psp_id=TRANSACTION_ID, amount_minor=1099, currency="USD")

    assert outcome(charged(transaction(status))) == approved
    shown = approved.model_copy(update={"balances": Balances(captured_minor=1099, held_minor=0)})
    assert found(by_id(transaction(status)), KNOWN) == shown
    assert found(search(transaction(status))) == shown


def test_an_authorized_transaction_is_an_approved_authorization_and_no_sale():
    assert outcome(authorized(held()), AUTHORIZE).kind == "APPROVED"
    sale = outcome(charged(transaction("AUTHORIZED")))
    assert kinds(sale) == ("UNKNOWN", "unexpected_status", None)
    assert (sale.repeat_is_useless, sale.unlisted) == (True, False)


@pytest.mark.parametrize("status", ["AUTHORIZING", "SETTLEMENT_PENDING"])
def test_what_is_not_decided_yet_is_pending(status: str):
    assert kinds(outcome(charged(transaction(status)))) == ("PENDING", status.lower(), None)


@pytest.mark.parametrize("status", ["SUBMITTED_FOR_SETTLEMENT", "SETTLED", "SETTLEMENT_PENDING"])
def test_an_authorization_that_was_captured_since_is_approved_by_what_was_held(status: str):
    looked_up = found(by_id(held(status, "4.00")), KNOWN_AUTHORIZE)

    balances = Balances(captured_minor=400, refunded_minor=0, held_minor=0)
    fields = {"amount_minor": 1099, "currency": "USD", "balances": balances}
    assert looked_up == Outcome(kind="APPROVED", psp_id=TRANSACTION_ID, **fields)
    assert outcome(authorized(held(status, "10.99")), AUTHORIZE).code == "captured_unrequested"
    without = held(status, "4.00", statusHistory=[])
    assert (found(by_id(without), KNOWN_AUTHORIZE) or CALL).kind == "UNKNOWN"


@pytest.mark.parametrize("status", ["VOIDED", "AUTHORIZATION_EXPIRED"])
def test_what_was_released_is_over(status: str):
    looked_up = found(by_id(held(status)), KNOWN_AUTHORIZE)

    assert looked_up is not None
    assert kinds(looked_up) == ("EXPIRED", status.lower(), None)


def test_a_settlement_that_is_declined_after_the_fact_is_a_decline_of_the_sale_and_the_end_of_a_hold():
    sale = found(by_id(transaction("SETTLEMENT_DECLINED")), KNOWN)
    hold = found(by_id(held("SETTLEMENT_DECLINED")), KNOWN_AUTHORIZE)

    assert sale is not None
    assert kinds(sale) == ("DECLINED_HARD", "settlement_declined", None)
    assert hold is not None
    assert kinds(hold) == ("EXPIRED", "settlement_declined", None)


def test_a_status_that_is_new_is_unknown_and_named():
    result = outcome(charged(transaction("TELEPORTED")))

    assert (result.kind, result.code, result.unlisted, result.repeat_is_useless) == (
        "UNKNOWN",
        "TELEPORTED",
        True,
        True,
    )


SOFT = {
    *("2000", "2001", "2002", "2003", "2034", "2035", "2038", "2046", "2048", "2057", "2062", "2078", "2092"),
    *(str(code) for code in range(2101, 2107)),
    *(str(code) for code in range(2109, 3000)),
    *("2099", "3000"),
}
CONFIG = {"2025", "2026", "2040", "2042", "2080"}


@pytest.mark.parametrize("code", [str(code) for code in (*range(2000, 2120), 2999, 3000)])
def test_a_processors_code_decides_where_the_decline_has_no_type(code: str):
    result = outcome(charged(declined(code)))

    if code == "2016":
        assert kinds(result) == ("UNKNOWN", "2016", None)
        assert result.repeat_is_useless
    elif code in CONFIG:
        assert kinds(result) == ("NOT_SENT", code, "CONFIG")
    else:
        hint = "RETRY_WITH_3DS" if code == "2099" else None
        assert kinds(result) == ("DECLINED_SOFT" if code in SOFT else "DECLINED_HARD", code, hint)
        assert not result.unlisted
        assert (result.psp_id, result.amount_minor) == (TRANSACTION_ID, 1099)


@pytest.mark.parametrize(
    ("code", "decline_type", "wanted"),
    [
        ("2000", "HARD", ("DECLINED_HARD", "2000", None)),
        ("2004", "SOFT", ("DECLINED_SOFT", "2004", None)),
        ("2099", "SOFT", ("DECLINED_SOFT", "2099", "RETRY_WITH_3DS")),
        ("2042", "HARD", ("DECLINED_HARD", "2042", "CONFIG")),
        ("2016", "SOFT", ("UNKNOWN", "2016", None)),
        ("9999", "HARD", ("DECLINED_HARD", "9999", None)),
        (None, "SOFT", ("DECLINED_SOFT", "processor_declined", None)),
        ("2004", "FIRM", ("DECLINED_HARD", "2004", None)),
    ],
)
def test_the_declines_own_type_goes_before_the_table(
    code: str | None, decline_type: str, wanted: tuple[str, str, str | None]
):
    assert kinds(outcome(charged(declined(code, decline_type)))) == wanted


@pytest.mark.parametrize("code", ["9999", "20000", "soft", None])
def test_a_code_that_is_new_is_a_soft_decline_and_named(code: str | None):
    result = outcome(charged(declined(code)))

    assert (result.kind, result.code, result.unlisted) == (
        "DECLINED_SOFT",
        code or "processor_declined",
        True,
    )


@pytest.mark.parametrize("code", ["1000", "1001", "1002", "1003", "1004", "1005"])
def test_a_decline_with_the_code_of_an_approval_contradicts_itself(code: str):
    assert kinds(outcome(charged(declined(code)))) == ("UNKNOWN", "contradictory_response", None)


@pytest.mark.parametrize("code", ["3000", None])
def test_what_failed_on_its_way_to_the_processor_is_looked_up_since_it_may_have_arrived(code: str | None):
    event = {"processorResponse": {"legacyCode": code, "message": "Processor Network Unavailable"}}
    failed_since = transaction("FAILED", event=event)

    result = outcome(charged(failed_since))

    assert kinds(result) == ("UNKNOWN", "failed", None)
    assert (result.psp_id, result.repeat_is_useless) == (TRANSACTION_ID, True)
    assert kinds(found(by_id(failed_since), KNOWN)) == ("DECLINED_SOFT", code or "failed", None)


REASONS = {
    **dict.fromkeys(
        ("FRAUD", "RISK_THRESHOLD", "PAYMENT_METHOD_BLOCKED", "EXCESSIVE_RETRY", "TOKEN_ISSUANCE"),
        ("DECLINED_HARD", None),
    ),
    "TOO_MANY_CONFIRMATION_ATTEMPTS": ("DECLINED_HARD", None),
    **dict.fromkeys(("AVS", "CVV", "AVS_AND_CVV"), ("DECLINED_SOFT", "FIX_INPUT")),
    "THREE_D_SECURE": ("DECLINED_SOFT", "REFRESH_TOKEN"),
    "APPLICATION_INCOMPLETE": ("NOT_SENT", "CONFIG"),
    "MANUAL_TRANSACTIONS_DISABLED": ("NOT_SENT", "CONFIG"),
    "UNION_PAY_ENROLLMENT_REQUIRED": ("NOT_SENT", "CONFIG"),
    "DUPLICATE": ("UNKNOWN", None),
}


@pytest.mark.parametrize("reason", REASONS)
def test_each_reason_of_a_rejection_has_a_row(reason: str):
    kind, hint = REASONS[reason]
    result = outcome(charged(rejected(reason)))

    assert kinds(result) == (kind, reason, hint)
    assert not result.unlisted


def test_a_reason_that_is_new_is_a_soft_decline_and_named():
    result = outcome(charged(rejected("MOON_PHASE")))

    assert (result.kind, result.code, result.unlisted) == ("DECLINED_SOFT", "MOON_PHASE", True)


@pytest.mark.parametrize(
    ("error_class", "kind", "hint"),
    [
        ("VALIDATION", "NOT_SENT", None),
        ("NOT_FOUND", "NOT_SENT", None),
        ("NOT_IMPLEMENTED", "NOT_SENT", None),
        ("RESOURCE_LIMIT", "NOT_SENT", None),
        ("AUTHENTICATION", "NOT_SENT", "CONFIG"),
        ("AUTHORIZATION", "NOT_SENT", "CONFIG"),
        ("UNSUPPORTED_CLIENT", "NOT_SENT", "CONFIG"),
        ("INTERNAL", "UNKNOWN", None),
        ("SERVICE_AVAILABILITY", "UNKNOWN", None),
        ("UNKNOWN", "UNKNOWN", None),
        (None, "UNKNOWN", None),
    ],
)
def test_each_class_of_errors_has_a_row(error_class: str | None, kind: str, hint: str | None):
    result = outcome(failed(error(error_class)))

    assert (result.kind, result.hint, result.unlisted) == (kind, hint, False)
    assert "a-uuid-of-the-request" in (result.detail or "")


def test_a_class_of_errors_that_is_new_is_unknown_and_named():
    result = outcome(failed(error("WEATHER")))

    assert (result.kind, result.code, result.unlisted) == ("UNKNOWN", "WEATHER", True)


@pytest.mark.parametrize(
    ("others", "kind", "hint"),
    [
        (["VALIDATION", "INTERNAL"], "UNKNOWN", None),
        (["AUTHORIZATION", None], "UNKNOWN", None),
        (["VALIDATION", "AUTHORIZATION"], "NOT_SENT", "CONFIG"),
    ],
)
def test_of_several_errors_the_one_that_says_least_counts(
    others: list[str | None], kind: str, hint: str | None
):
    for several in (others, others[::-1]):
        result = outcome(failed(*(error(one) for one in several)))
        assert (result.kind, result.hint) == (kind, hint)


@pytest.mark.parametrize("errors", [{}, "no", [None], [[]], 7, [error(), "?"]])
def test_errors_that_cannot_be_read_report_nothing_of_what_was_done(errors: Any):
    assert outcome({"errors": errors, "data": None}).kind == "UNKNOWN"


def test_an_error_beside_what_was_done_is_not_believed():
    result = outcome(failed(error(), data=charged(transaction())["data"]))

    assert (result.kind, result.code, result.repeat_is_useless) == ("UNKNOWN", "errors_beside_data", True)


@pytest.mark.parametrize("code", sorted(codes.TOKEN_IS_SPENT))
def test_a_token_that_is_spent_has_to_be_made_anew(code: str):
    assert kinds(outcome(failed(error(legacyCode=code)))) == ("NOT_SENT", code, "REFRESH_TOKEN")


@pytest.mark.parametrize(
    ("message", "wanted", "useless"),
    [
        (
            "A request with this apiRequestKey is still in progress.",
            ("UNKNOWN", "api_request_key_in_use", None),
            False,
        ),
        (
            "apiRequestKey was used with other parameters.",
            ("UNKNOWN", "api_request_key_reused", None),
            True,
        ),
        (
            "Field 'apiRequestKey' is not defined by type 'ChargePaymentMethodInput'.",
            ("NOT_SENT", "api_request_key_not_taken", "CONFIG"),
            False,
        ),
    ],
)
def test_each_error_about_the_key_has_its_outcome(
    message: str, wanted: tuple[str, str, str | None], useless: bool
):
    result = outcome(failed(error(message=message)))

    assert kinds(result) == wanted
    assert result.repeat_is_useless == useless


def test_the_key_may_also_be_named_by_the_path_of_the_input():
    result = outcome(failed(error(message="Is in progress.", inputPath=["input", "apiRequestKey"])))

    assert result.code == "api_request_key_in_use"


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (302, "CONFIG"),
        (401, "CONFIG"),
        (403, "CONFIG"),
        (404, None),
        (408, None),
        (429, None),
        (500, None),
        (503, None),
    ],
)
@pytest.mark.parametrize("body", [b"<html>no</html>", b"", b"[]", charged(transaction())])
def test_any_other_status_without_braintrees_words_is_unknown(status: int, hint: str | None, body: Any):
    assert kinds(outcome(body, status=status)) == ("UNKNOWN", f"http_{status}", hint)


@pytest.mark.parametrize("status", [408, 500, 502, 503])
def test_a_servers_error_is_unknown_whatever_it_says(status: int):
    assert outcome(failed(error()), status=status).kind == "UNKNOWN"


def test_too_many_requests_in_braintrees_words_were_not_sent():
    assert outcome(failed(error("RESOURCE_LIMIT")), status=429).kind == "NOT_SENT"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json",
        b"[]",
        {},
        {"data": None},
        {"data": {"chargePaymentMethod": None}},
        {"data": {"chargePaymentMethod": {"transaction": None}}},
        authorized(transaction()),
        charged(transaction(id="4111111111111111")),
        charged(transaction(id="a" * 256)),
        charged({**transaction(), "status": None}),
    ],
)
def test_what_cannot_be_read_is_unknown(body: Any):
    assert kinds(outcome(body)) == ("UNKNOWN", "unreadable_response", None)


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"amount": money("10.98")}, "amount_mismatch"),
        ({"amount": money("10.99", "EUR")}, "currency_mismatch"),
        ({"amount": {"value": 10.99, "currencyCode": "USD"}}, "amount_mismatch"),
        ({"amount": None}, "currency_mismatch"),
        ({"orderId": "another"}, "reference_mismatch"),
        ({"orderId": None}, "reference_mismatch"),
    ],
)
def test_another_amount_currency_or_reference_is_never_approved(more: dict[str, Any], code: str):
    result = outcome(charged(transaction(**more)))

    assert (result.kind, result.code, result.repeat_is_useless) == ("UNKNOWN", code, True)


def test_a_part_of_the_amount_is_not_approved():
    result = outcome(authorized(held(amount=money("5.00"))), AUTHORIZE)

    assert (result.kind, result.code, result.amount_minor) == ("UNKNOWN", "amount_mismatch", 500)


def test_a_capture_that_the_state_does_not_allow_may_have_been_done():
    result = outcome(failed(error(legacyCode="91507")), CAPTURE)

    assert (result.kind, result.code, result.repeat_is_useless) == ("UNKNOWN", "91507", True)
