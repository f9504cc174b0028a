"""Refusals, and modifications, which a response never ends."""

from dataclasses import replace
from typing import Any

import pytest

from commands.messages import Outcome
from gateways.adyen.adapter import Adyen
from gateways.contract import Call, Gateway
from tests.gateways.adyen import official
from tests.gateways.adyen.payloads import (
    ALL,
    AUTHORIZE,
    BACK,
    CALL,
    CAPTURES,
    MODIFICATION,
    PAYMENT,
    PSP_ID,
    REFERENCE,
    SECRET,
    error,
    http_response,
    later,
    paid,
    received,
)

ADYEN: Gateway = Adyen()
LATER = [later("capture"), later("capture", 400), later("void"), later("refund")]
TRANSIENT = {"transient-error": "true"}


def short(outcome: Outcome) -> tuple[str, str | None]:
    return outcome.kind, outcome.code


@pytest.mark.parametrize(
    ("status", "code", "headers", "meant"),
    [
        (400, "702", {}, ("NOT_SENT", None, False)),
        (401, "000", {}, ("NOT_SENT", "CONFIG", False)),
        (403, "901", {}, ("NOT_SENT", "CONFIG", False)),
        (403, "010", {}, ("NOT_SENT", "CONFIG", False)),
        (422, "010", {}, ("NOT_SENT", "CONFIG", False)),
        (422, "10", {}, ("NOT_SENT", "CONFIG", False)),
        (422, "901", {}, ("NOT_SENT", "CONFIG", False)),
        (409, "704", {}, ("UNKNOWN", None, True)),
        (409, "704", {"transient-error": "false"}, ("UNKNOWN", None, True)),
        (409, "704", TRANSIENT, ("UNKNOWN", None, False)),
        (422, "704", {}, ("UNKNOWN", None, True)),
        (422, "704", TRANSIENT, ("UNKNOWN", None, False)),
        (403, "704", {}, ("UNKNOWN", None, True)),
        (422, "130", {}, ("NOT_SENT", None, False)),
        (422, "14_030", {}, ("NOT_SENT", None, False)),
        (422, "100", {}, ("NOT_SENT", None, False)),
        (422, "167", {}, ("NOT_SENT", None, False)),
        (500, "905", {}, ("UNKNOWN", None, True)),
        (500, "000", TRANSIENT, ("NOT_SENT", None, False)),
        (503, "703", {"transient-error": "TRUE"}, ("NOT_SENT", None, False)),
        (503, "703", {}, ("UNKNOWN", None, True)),
        (500, "903", {}, ("UNKNOWN", None, True)),
        (422, "903", {}, ("UNKNOWN", None, True)),
        (403, "903", {}, ("UNKNOWN", None, True)),
        (500, "903", TRANSIENT, ("UNKNOWN", None, False)),
        (404, "999", {}, ("UNKNOWN", None, False)),
        (408, "999", {}, ("UNKNOWN", None, False)),
        (302, "999", {}, ("UNKNOWN", "CONFIG", False)),
    ],
)
def test_an_error_is_what_adyen_means_by_it(
    status: int, code: str, headers: dict[str, str], meant: tuple[str, str | None, bool]
):
    for call in ALL:
        if call.step == "3":
            continue
        outcome = ADYEN.outcome(call, http_response(status, error(status, code), headers))

        assert outcome.code == code
        assert (outcome.kind, outcome.hint, outcome.repeat_is_useless) == meant


def test_too_many_calls_were_not_sent():
    outcome = ADYEN.outcome(CALL, http_response(429, error(429, "029")))

    assert short(outcome) == ("NOT_SENT", "rate_limited")


@pytest.mark.parametrize(
    ("code", "kind", "hint"), [("101", "DECLINED_HARD", None), ("103", "DECLINED_SOFT", "FIX_INPUT")]
)
def test_an_error_about_the_card_declines_a_payment_and_nothing_else(code: str, kind: str, hint: str | None):
    response = http_response(422, error(422, code))

    for call in (CALL, AUTHORIZE):
        outcome = ADYEN.outcome(call, response)
        assert (*short(outcome), outcome.hint) == (kind, code, hint)
    for call in (BACK, *LATER):
        assert short(ADYEN.outcome(call, response)) == ("NOT_SENT", code)


@pytest.mark.parametrize(
    ("status", "code", "headers", "read"),
    [
        (400, "702", {}, ("NOT_SENT", None, True)),
        (422, "167", {}, ("NOT_SENT", None, True)),
        (401, "000", {}, ("UNKNOWN", "CONFIG", False)),
        (429, "029", {}, ("UNKNOWN", None, False)),
        (500, "905", {}, ("UNKNOWN", None, True)),
        (422, "704", TRANSIENT, ("UNKNOWN", None, False)),
    ],
)
def test_a_sale_whose_capture_was_not_executed_is_over_only_where_a_repeat_would_be_refused_too(
    status: int, code: str, headers: dict[str, str], read: tuple[str, str | None, bool]
):
    outcome = ADYEN.outcome(CAPTURES, http_response(status, error(status, code), headers))

    assert (outcome.kind, outcome.hint, outcome.repeat_is_useless) == read


@pytest.mark.parametrize(("status", "code"), [(500, "000"), (502, "000"), (503, "703"), (504, "000")])
def test_an_adyen_that_is_not_available_for_a_while_has_done_nothing_and_it_is_no_attempt(
    status: int, code: str
):
    response = http_response(status, error(status, code, errorType="internal"), TRANSIENT)

    for call in ALL:
        outcome = ADYEN.outcome(call, response)
        assert (*short(outcome), outcome.unreached) == ("NOT_SENT", code, True)


def test_what_the_account_is_not_set_up_for_is_an_attempt_whatever_the_status():
    """905, as Adyen's own description of its interface has it at HTTP 500."""
    payload = official.description("checkout")["components"]["examples"]["generic-500"]["value"]
    assert (payload["errorCode"], payload["errorType"]) == ("905", "configuration")

    for call in ALL:
        assert not ADYEN.outcome(call, http_response(500, payload, TRANSIENT)).unreached


@pytest.mark.parametrize("body", [b"<html>Bad Gateway</html>", b"", {"errorCode": ["704"]}, {"status": 500}])
@pytest.mark.parametrize("status", [400, 401, 408, 409, 422, 429, 500, 502, 503, 504])
def test_what_adyen_did_not_send_proves_nothing(status: int, body: Any):
    for call in ALL:
        outcome = ADYEN.outcome(call, http_response(status, body, TRANSIENT))
        assert short(outcome) == ("UNKNOWN", f"http_{status}")
        assert not outcome.repeat_is_useless


@pytest.mark.parametrize("call", LATER, ids=lambda call: call.kind)
def test_a_modification_that_was_received_waits_for_its_webhook(call: Call):
    outcome = ADYEN.outcome(call, http_response(201, received(call)))

    assert short(outcome) == ("PENDING", "received")
    assert (outcome.psp_id, outcome.next_step) == (MODIFICATION, None)
    if call.kind != "void":
        assert (outcome.amount_minor, outcome.currency) == (call.amount_minor, "USD")


def test_a_sale_keeps_the_id_of_its_authorisation():
    outcome = ADYEN.outcome(CAPTURES, http_response(201, received(CAPTURES)))

    assert (*short(outcome), outcome.psp_id, outcome.next_step) == ("PENDING", "received", PSP_ID, None)


@pytest.mark.parametrize(
    ("spoilt", "code"),
    [
        ({"paymentPspReference": MODIFICATION}, "target_mismatch"),
        ({"paymentPspReference": ...}, "target_mismatch"),
        ({"reference": f"{PAYMENT}-c9"}, "reference_mismatch"),
        ({"pspReference": ...}, "unreadable_response"),
        ({"status": "done"}, "unexpected_status"),
        ({"status": ...}, "unexpected_status"),
    ],
)
@pytest.mark.parametrize("call", [*LATER, CAPTURES], ids=lambda call: call.kind)
def test_a_modification_of_anything_else_is_unknown(call: Call, spoilt: dict[str, Any], code: str):
    outcome = ADYEN.outcome(call, http_response(201, received(call, **spoilt)))

    assert short(outcome) == ("UNKNOWN", code)
    assert outcome.repeat_is_useless


@pytest.mark.parametrize(
    ("amount", "code"),
    [
        ({"value": 1, "currency": "USD"}, "amount_mismatch"),
        ({"value": 1099, "currency": "EUR"}, "currency_mismatch"),
        (None, "currency_mismatch"),
    ],
)
@pytest.mark.parametrize("call", [later("capture"), later("refund"), CAPTURES], ids=lambda call: call.kind)
def test_a_modification_of_another_amount_is_unknown(call: Call, amount: Any, code: str):
    assert short(ADYEN.outcome(call, http_response(201, received(call, amount=amount)))) == ("UNKNOWN", code)


@pytest.mark.parametrize("call", LATER, ids=lambda call: call.kind)
def test_only_a_201_is_a_receipt_and_only_a_200_a_result(call: Call):
    assert ADYEN.outcome(call, http_response(200, received(call))).kind == "UNKNOWN"
    assert ADYEN.outcome(AUTHORIZE, http_response(201, paid())).kind == "UNKNOWN"


def test_the_response_to_a_technical_cancel_ends_nothing():
    cancel = replace(CALL, step="x")
    taken = {"paymentReference": REFERENCE, "pspReference": MODIFICATION, "status": "received"}
    responses = [
        http_response(201, taken),
        http_response(422, error(422, "167")),
        http_response(401, error(401, "000")),
        http_response(422, error(422, "704")),
        http_response(500, b""),
    ]

    outcomes = [ADYEN.cancelled(cancel, one) for one in responses]

    assert [short(one) for one in outcomes] == [
        ("UNKNOWN", "cancel_received"),
        ("UNKNOWN", "cancel_refused"),
        ("UNKNOWN", "cancel_refused"),
        ("UNKNOWN", "http_422"),
        ("UNKNOWN", "http_500"),
    ]
    assert outcomes[2].hint == "CONFIG"


def test_a_lookup_that_is_never_made_finds_nothing_out():
    for call in ALL:
        found = ADYEN.found(call, http_response(200, paid(call)))
        assert found is not None
        assert short(found) == ("UNKNOWN", "no_lookup")


CARD = "4111 1111 1111 1111"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (200, paid(result="Refused", refusalReason=f"x-api-key: {SECRET} of {CARD}")),
        (200, paid(result="Refused", refusalReasonCode=CARD, refusalReason=f"key {SECRET}")),
        (200, paid(result="Error", refusalReason=f"{SECRET} {CARD}", pspReference=CARD.replace(" ", ""))),
        (200, paid(result=CARD)),
        (401, error(401, "000", f"the key {SECRET} is unknown")),
        (422, error(422, CARD.replace(" ", ""), f"{CARD} {SECRET}", pspReference=CARD.replace(" ", ""))),
        (500, error(500, "905", f"X-API-Key={SECRET}; {CARD}")),
        (201, received(later("refund"), status=CARD, reference=SECRET)),
    ],
)
def test_no_outcome_shows_a_secret_or_a_card(status: int, body: Any):
    for call in ALL:
        for outcome in (
            ADYEN.outcome(call, http_response(status, body)),
            ADYEN.cancelled(call, http_response(status, body)),
        ):
            dumped = outcome.model_dump_json()
            assert SECRET not in dumped
            assert CARD not in dumped
            assert CARD.replace(" ", "") not in dumped


def test_the_responses_of_these_tests_are_adyens():
    for call, schema in (
        (later("capture"), "Capture"),
        (later("void"), "Cancel"),
        (later("refund"), "Refund"),
    ):
        assert official.errors("checkout", f"Payment{schema}Response", received(call)) == []
    assert official.errors("checkout", "ServiceError", error(422, "704", pspReference=PSP_ID)) == []
