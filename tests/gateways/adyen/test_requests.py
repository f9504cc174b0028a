import itertools
from dataclasses import replace
from typing import Any

import orjson
import pytest

from commands.messages import Outcome
from gateways.adyen.adapter import Adyen
from gateways.contract import Call, Credentials, Gateway, HttpRequest, StoredCredential
from tests.gateways.adyen import official
from tests.gateways.adyen.payloads import (
    ALL,
    AUTHORIZE,
    BACK,
    CALL,
    CAPTURES,
    CREDENTIALS,
    MERCHANT,
    PAYMENT,
    PSP_ID,
    REFERENCE,
    SECRET,
    later,
)

ADYEN: Gateway = Adyen()
STORED = [
    None,
    StoredCredential("store", "customer", "cus_7"),
    StoredCredential("reuse", "customer", "cus_7"),
    StoredCredential("reuse", "merchant", "cus_7"),
]


def sent(call: Call, credentials: Credentials = CREDENTIALS) -> HttpRequest:
    request = ADYEN.request(call, credentials)
    assert isinstance(request, HttpRequest), request
    return request


def body(call: Call) -> Any:
    return orjson.loads(sent(call).body or b"")


def refusal(call: Call, credentials: Credentials = CREDENTIALS) -> tuple[str, str | None]:
    refused = ADYEN.request(call, credentials)
    assert isinstance(refused, Outcome)
    return refused.kind, refused.code


def test_a_payment_is_only_ever_authorised_and_a_sale_is_the_same_call():
    assert body(CALL) == {
        "amount": {"value": 1099, "currency": "USD"},
        "merchantAccount": MERCHANT,
        "reference": REFERENCE,
        "returnUrl": "https://shop.example/back",
        "paymentMethod": {"type": "scheme", "storedPaymentMethodId": "8415718415172204"},
        "shopperReference": PAYMENT,
        "shopperInteraction": "Ecommerce",
        "recurringProcessingModel": "CardOnFile",
        "additionalData": {"manualCapture": "true"},
        "authenticationData": {"threeDSRequestData": {"nativeThreeDS": "disabled"}},
    }
    assert body(AUTHORIZE) == body(CALL) | {"reference": AUTHORIZE.reference}


@pytest.mark.parametrize(
    ("call", "path", "key"),
    [
        (CALL, "/v72/payments", f"{REFERENCE}-1"),
        (BACK, "/v72/payments/details", f"{REFERENCE}-2"),
        (CAPTURES, f"/v72/payments/{PSP_ID}/captures", f"{REFERENCE}-3"),
        (later("capture"), f"/v72/payments/{PSP_ID}/captures", f"{PAYMENT}-c2-1"),
        (later("void"), f"/v72/payments/{PSP_ID}/cancels", f"{PAYMENT}-v2-1"),
        (later("refund"), f"/v72/payments/{PSP_ID}/refunds", f"{PAYMENT}-r2-1"),
    ],
)
def test_each_step_is_a_post_with_a_key_of_its_own(call: Call, path: str, key: str):
    request = sent(call)

    assert (request.method, request.path) == ("POST", path)
    assert request.headers == {
        "X-API-Key": SECRET,
        "Idempotency-Key": key,
        "Content-Type": "application/json",
    }
    assert len(key) <= 64


@pytest.mark.parametrize(
    ("stored", "more"),
    [
        (
            STORED[1],
            {
                "shopperInteraction": "Ecommerce",
                "recurringProcessingModel": "CardOnFile",
                "storePaymentMethod": True,
            },
        ),
        (STORED[2], {"shopperInteraction": "ContAuth", "recurringProcessingModel": "CardOnFile"}),
        (STORED[3], {"shopperInteraction": "ContAuth", "recurringProcessingModel": "UnscheduledCardOnFile"}),
    ],
)
def test_a_stored_credential_is_sent_under_adyens_names(stored: StoredCredential, more: dict[str, Any]):
    requested = body(replace(CALL, stored_credential=stored))

    assert requested == body(CALL) | {"shopperReference": "cus_7"} | more


def test_three_d_secure_is_requested_as_a_page_of_adyens():
    assert body(replace(CALL, three_ds=True))["authenticationData"] == {
        "attemptAuthentication": "always",
        "threeDSRequestData": {"nativeThreeDS": "disabled"},
    }


def test_a_payment_without_a_page_of_its_own_goes_back_to_the_accounts():
    options = {**CREDENTIALS.options, "return_url": "https://shop.example/pay"}
    homeless = replace(CALL, return_url=None)

    shown = orjson.loads(sent(homeless, replace(CREDENTIALS, options=options)).body or b"")

    assert shown["returnUrl"] == "https://shop.example/pay"
    assert refusal(homeless) == ("NOT_SENT", "return_url_missing")


@pytest.mark.parametrize(
    ("requested", "code"),
    [
        ({"statement_text": "A" * 23}, "statement_text_not_expressible"),
        ({"statement_text": "a<b"}, "statement_text_not_expressible"),
        ({"payment_method": "x" * 65}, "payment_method_not_expressible"),
        (
            {"stored_credential": StoredCredential("reuse", "customer", "c")},
            "customer_token_not_expressible",
        ),
        ({"return_url": "https://shop.example/" + "x" * 1024}, "return_url_missing"),
        ({"amount_minor": 1, "currency": "IDR"}, "amount_not_expressible"),
        ({"currency": "XXX"}, "currency_not_supported"),
    ],
)
def test_what_adyens_fields_cannot_hold_is_not_sent(requested: dict[str, Any], code: str):
    assert refusal(replace(CALL, **requested)) == ("NOT_SENT", code)


def test_a_statement_text_of_adyens_letters_is_sent():
    assert body(replace(CALL, statement_text="Order 7, it's + more"))["shopperStatement"] == (
        "Order 7, it's + more"
    )


def test_what_the_customer_brought_back_is_passed_on_and_nothing_else():
    assert body(replace(BACK, returned={"redirectResult": "X6X!Y", "other": "z"})) == {
        "details": {"redirectResult": "X6X!Y"}
    }


@pytest.mark.parametrize("returned", [{}, {"redirectResult": ""}, {"other": "z"}])
def test_a_customer_without_a_result_completes_nothing(returned: dict[str, str]):
    assert refusal(replace(BACK, returned=returned)) == ("NOT_SENT", "redirect_result_missing")


@pytest.mark.parametrize(
    ("call", "more"),
    [
        (CAPTURES, {"amount": {"value": 1099, "currency": "USD"}}),
        (later("capture", 400), {"amount": {"value": 400, "currency": "USD"}}),
        (later("void"), {}),
        (later("refund", 5, currency="ISK"), {"amount": {"value": 500, "currency": "ISK"}}),
    ],
)
def test_a_modification_carries_our_reference(call: Call, more: dict[str, Any]):
    assert body(call) == {"merchantAccount": MERCHANT, "reference": call.reference} | more


@pytest.mark.parametrize("target", [None, "pi_1", "a/b", "993617895204576J/x", "4111111111111111"])
def test_without_adyens_id_of_its_target_nothing_is_sent(target: str | None):
    for kind in ("capture", "void", "refund"):
        assert refusal(replace(later(kind), target_psp_id=target)) == (
            "NOT_SENT",
            "target_unknown",
        )


def test_a_sale_whose_authorisation_is_not_known_is_not_over():
    assert refusal(replace(CAPTURES, psp_id=None)) == ("UNKNOWN", "psp_id_unknown")


@pytest.mark.parametrize("digits", ["9913140798220028", "8816118280275544"])
def test_an_id_of_sixteen_digits_is_one(digits: str):
    assert sent(replace(CAPTURES, psp_id=digits)).path == f"/v72/payments/{digits}/captures"


def test_a_technical_cancel_names_the_payment_by_our_reference():
    request = ADYEN.cancel(replace(CALL, step="x"), CREDENTIALS)

    assert isinstance(request, HttpRequest)
    assert (request.method, request.path) == ("POST", "/v72/cancels")
    assert request.headers["Idempotency-Key"] == f"{REFERENCE}-x"
    assert orjson.loads(request.body or b"") == {
        "paymentReference": REFERENCE,
        "merchantAccount": MERCHANT,
        "reference": f"{REFERENCE}-x",
    }


@pytest.mark.parametrize("call", ALL, ids=lambda call: f"{call.kind}-{call.step}")
def test_a_repeat_sends_the_same_bytes_whatever_was_learnt_since(call: Call):
    learnt = call if call.step == "3" else replace(call, psp_id=PSP_ID)

    assert ADYEN.request(learnt, CREDENTIALS) == ADYEN.request(call, CREDENTIALS)


@pytest.mark.parametrize("call", ALL, ids=lambda call: f"{call.kind}-{call.step}")
def test_the_secret_is_in_one_header_and_in_no_repr(call: Call):
    request = sent(call)

    assert [name for name, value in request.headers.items() if SECRET in value] == ["X-API-Key"]
    assert SECRET.encode() not in (request.body or b"")
    assert SECRET not in request.path
    assert SECRET not in repr(request)


def test_adyen_cannot_be_queried():
    for call in ALL:
        lookup = ADYEN.lookup(call, CREDENTIALS)
        assert isinstance(lookup, Outcome)
        assert (lookup.kind, lookup.code) == ("UNKNOWN", "no_lookup")
        assert ADYEN.absence_delay_s(call) is None


def test_every_step_holds_or_moves_money_and_lives_six_days():
    for call in ALL:
        assert ADYEN.moves_money(call)
        assert ADYEN.key_life_s(call, CREDENTIALS) == 6 * 24 * 3600
    assert ADYEN.steps_we_send(CALL) == ("2", "3")
    assert ADYEN.steps_we_send(AUTHORIZE) == ("2",)


SCHEMAS = {"1": "PaymentRequest", "2": "PaymentDetailsRequest", "3": "PaymentCaptureRequest"}


def test_every_request_is_one_of_adyens_official_description():
    for call, stored, three_ds, text in itertools.product(
        (CALL, AUTHORIZE, BACK, CAPTURES), STORED, (False, True), (None, "Order 7")
    ):
        requested = replace(call, stored_credential=stored, three_ds=three_ds, statement_text=text)
        assert official.errors("checkout", SCHEMAS[call.step], body(requested)) == []
    for kind, schema in (("capture", "Capture"), ("void", "Cancel"), ("refund", "Refund")):
        assert official.errors("checkout", f"Payment{schema}Request", body(later(kind))) == []
    cancel = ADYEN.cancel(replace(CALL, step="x"), CREDENTIALS)
    assert isinstance(cancel, HttpRequest)
    payload = orjson.loads(cancel.body or b"")
    assert official.errors("checkout", "StandalonePaymentCancelRequest", payload) == []


def test_the_official_description_refuses_what_is_none_of_its_requests():
    assert official.errors("checkout", "PaymentRequest", body(CALL) | {"invented": 1})
    assert official.errors("checkout", "PaymentCaptureRequest", {"merchantAccount": MERCHANT})
