from dataclasses import replace
from typing import Any

import pytest

from commands.messages import Outcome
from gateways.adyen import codes, payments
from gateways.adyen.adapter import Adyen
from gateways.contract import Call, Gateway
from tests.gateways.adyen import official
from tests.gateways.adyen.payloads import (
    AUTHORIZE,
    BACK,
    CALL,
    PAGE,
    PAYMENT,
    PSP_ID,
    http_response,
    paid,
    redirected,
    refused,
)

ADYEN: Gateway = Adyen()
USEFUL = {"psp_id": PSP_ID, "amount_minor": 1099, "currency": "USD"}


def short(outcome: Outcome) -> tuple[str, str | None]:
    return outcome.kind, outcome.code


def outcome_of(body: Any, call: Call = AUTHORIZE) -> Outcome:
    return ADYEN.outcome(call, http_response(200, body))


@pytest.mark.parametrize("call", [AUTHORIZE, replace(BACK, kind="authorize", reference=AUTHORIZE.reference)])
def test_an_authorisation_is_approved_by_its_response(call: Call):
    assert outcome_of(paid(call), call) == Outcome(kind="APPROVED", **USEFUL)


@pytest.mark.parametrize("call", [CALL, BACK])
def test_an_authorised_sale_goes_on_with_its_capture(call: Call):
    assert outcome_of(paid(call), call) == Outcome(kind="PENDING", code="authorised", next_step="3", **USEFUL)


@pytest.mark.parametrize("call", [AUTHORIZE, CALL])
@pytest.mark.parametrize("left_out", [{"amount": ...}, {"merchantReference": ...}])
def test_a_response_that_leaves_out_what_it_is_about_waits_for_the_webhook(
    call: Call, left_out: dict[str, Any]
):
    outcome = outcome_of(paid(call, **left_out), call)

    assert short(outcome) == ("PENDING", "not_echoed")
    assert (outcome.psp_id, outcome.next_step) == (PSP_ID, None)


@pytest.mark.parametrize(
    ("result", "kind", "useless"),
    [
        ("Pending", "PENDING", False),
        ("Received", "PENDING", False),
        ("AuthenticationFinished", "PENDING", False),
        ("AuthenticationNotRequired", "PENDING", False),
        ("Success", "PENDING", False),
        ("Error", "UNKNOWN", True),
    ],
)
@pytest.mark.parametrize("call", [AUTHORIZE, CALL])
def test_a_result_that_is_no_end_is_none(call: Call, result: str, kind: str, useless: bool):
    outcome = outcome_of(paid(call, result), call)

    assert short(outcome) == (kind, result)
    assert (outcome.repeat_is_useless, outcome.next_step, outcome.unlisted) == (useless, None, False)


@pytest.mark.parametrize("result", ["SomethingNew", "authorised", ""])
def test_a_new_result_is_unknown_and_an_operator_should_list_it(result: str):
    outcome = outcome_of(paid(result=result))

    assert short(outcome) == ("UNKNOWN", "unexpected_status")
    assert outcome.unlisted
    assert outcome.repeat_is_useless


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"not json", {"resultCode": ["Authorised"]}])
def test_a_response_without_a_result_is_unknown(body: Any):
    assert short(outcome_of(body)) == ("UNKNOWN", "unreadable_response")


@pytest.mark.parametrize(
    ("spoilt", "code"),
    [
        ({"merchantReference": f"{PAYMENT}-a2"}, "reference_mismatch"),
        ({"merchantReference": None}, "reference_mismatch"),
        ({"amount": {"value": 1199, "currency": "USD"}}, "amount_mismatch"),
        ({"amount": {"value": 1099, "currency": "EUR"}}, "currency_mismatch"),
        ({"amount": {"value": "1099", "currency": "USD"}}, "amount_mismatch"),
        ({"amount": {"value": 1099.0, "currency": "USD"}}, "amount_mismatch"),
        ({"amount": {"value": True, "currency": "USD"}}, "amount_mismatch"),
        ({"amount": {"value": 2**70, "currency": "USD"}}, "unreadable_response"),  # no number for our reader
        ({"amount": None}, "currency_mismatch"),
        ({"pspReference": ...}, "psp_id_missing"),
        ({"pspReference": "4111111111111111"}, "psp_id_missing"),
        ({"pspReference": "a/b"}, "psp_id_missing"),
    ],
)
@pytest.mark.parametrize("call", [AUTHORIZE, CALL])
def test_an_authorisation_of_anything_else_is_unknown(call: Call, spoilt: dict[str, Any], code: str):
    if code == "unreadable_response":
        body: Any = b'{"resultCode": "Authorised", "amount": {"value": 1e999}}'
    else:
        body = paid(call, **spoilt)
    outcome = outcome_of(body, call)

    assert short(outcome) == ("UNKNOWN", code)
    assert outcome.repeat_is_useless


def test_a_part_is_approved_as_what_it_is():
    part = paid(result="PartiallyAuthorised", amount={"value": 400, "currency": "USD"})

    assert outcome_of(part) == Outcome(
        kind="APPROVED", code="partially_authorised", psp_id=PSP_ID, amount_minor=400, currency="USD"
    )


@pytest.mark.parametrize(
    ("call", "spoilt"),
    [
        (CALL, {"amount": {"value": 400, "currency": "USD"}}),  # its next step would capture the whole
        (AUTHORIZE, {"amount": {"value": 1099, "currency": "USD"}}),
        (AUTHORIZE, {"amount": {"value": 0, "currency": "USD"}}),
        (AUTHORIZE, {"amount": {"value": 400, "currency": "EUR"}}),
        (AUTHORIZE, {"amount": ...}),
        (AUTHORIZE, {"amount": {"value": 400, "currency": "USD"}, "merchantReference": ...}),
    ],
)
def test_no_other_part_is(call: Call, spoilt: dict[str, Any]):
    assert short(outcome_of(paid(call, "PartiallyAuthorised", **spoilt), call)) == (
        "UNKNOWN",
        "partially_authorised",
    )


SOFT = "2 3 9 12 15 16 21 27 28 29 39 40".split()  # noqa: SIM905 - a table reads better as a paragraph
HARD = "5 6 7 8 10 14 17 18 19 20 22 23 25 26 31 33 34 35 36 37 41 43 44 45 46".split()  # noqa: SIM905
CLASSES = {
    **dict.fromkeys(SOFT, ("DECLINED_SOFT", None)),
    **dict.fromkeys(["24", "32"], ("DECLINED_SOFT", "FIX_INPUT")),
    **dict.fromkeys(["11", "38", "42"], ("DECLINED_SOFT", "RETRY_WITH_3DS")),
    **dict.fromkeys(HARD, ("DECLINED_HARD", None)),
    "50": ("DECLINED_HARD", "REFRESH_TOKEN"),
    "4": ("UNKNOWN", None),
}


@pytest.mark.parametrize("result", ["Refused", "Cancelled"])
@pytest.mark.parametrize("code", codes.REFUSALS)
def test_a_refusal_is_read_by_its_code(code: str, result: str):
    outcome = outcome_of(refused(code) | {"resultCode": result})

    assert (outcome.kind, outcome.hint) == CLASSES[code]
    assert (outcome.code, outcome.unlisted) == (code, False)


@pytest.mark.parametrize("without", [None, "0"])
@pytest.mark.parametrize(("code", "text"), [(code, text) for code, (text, _) in codes.REFUSALS.items()])
def test_a_refusal_without_a_code_is_read_by_its_text(code: str, text: str, without: str | None):
    outcome = outcome_of(refused(without, text))

    assert (outcome.kind, outcome.code, outcome.hint) == (CLASSES[code][0], code, CLASSES[code][1])


@pytest.mark.parametrize("call", [AUTHORIZE, CALL, BACK])
def test_an_error_on_the_acquirers_side_waits_for_the_webhook(call: Call):
    body = refused("4", "Acquirer Error") | {"merchantReference": call.reference}

    outcome = outcome_of(body, call)

    assert (outcome.kind, outcome.psp_id, outcome.repeat_is_useless) == ("UNKNOWN", PSP_ID, True)
    assert not outcome.unlisted


@pytest.mark.parametrize(("code", "text"), [("99", "Refused"), (None, "A new reason"), ("0", "A new reason")])
def test_a_new_refusal_is_soft_and_an_operator_should_list_it(code: str | None, text: str):
    outcome = outcome_of(refused(code, text))

    assert outcome.kind == "DECLINED_SOFT"
    assert outcome.unlisted


def test_a_refusal_may_leave_out_its_amount_but_is_of_no_other_payment():
    body = refused("12", "Not enough balance")
    del body["amount"]

    assert short(outcome_of(body)) == ("DECLINED_SOFT", "12")
    assert short(outcome_of(body | {"merchantReference": "another"})) == ("UNKNOWN", "reference_mismatch")


@pytest.mark.parametrize("call", [AUTHORIZE, CALL])
def test_a_redirect_is_a_page_for_the_customer(call: Call):
    outcome = outcome_of(redirected(call), call)

    assert outcome == Outcome(
        kind="ACTION_REQUIRED", code="RedirectShopper", action_url=PAGE, next_step="2", **USEFUL
    )


def test_a_redirect_need_not_have_an_id_yet():
    body = redirected()
    del body["pspReference"], body["amount"], body["merchantReference"]

    assert outcome_of(body).kind == "ACTION_REQUIRED"


NATIVE = {"type": "threeDS2", "subtype": "challenge", "token": "eyJ0"}


@pytest.mark.parametrize(
    "body",
    [
        paid(result="IdentifyShopper", action=NATIVE),
        paid(result="ChallengeShopper", action=NATIVE),
        paid(result="PresentToShopper", action={"type": "voucher"}),
        redirected(method="POST", data={"MD": "x"}),
        redirected(url=None),
        redirected(url="javascript:alert(1)"),
        redirected(type="threeDS2"),
        paid(result="RedirectShopper"),
        paid(result="RedirectShopper", action="redirect"),
    ],
)
def test_a_challenge_without_a_page_that_a_link_opens_ends_by_a_cancel(body: Any):
    outcome = outcome_of(body)

    assert short(outcome) == ("UNKNOWN", "challenge_not_supported")
    assert outcome.repeat_is_useless
    assert not outcome.unlisted


def test_a_second_challenge_is_not_supported():
    back = replace(BACK, kind="authorize", reference=AUTHORIZE.reference)

    assert short(outcome_of(redirected(), back)) == ("UNKNOWN", "challenge_not_supported")


def test_each_result_of_the_official_description_is_read():
    schema = official.description("checkout")["components"]["schemas"]["PaymentResponse"]

    assert set(schema["properties"]["resultCode"]["enum"]) == payments.RESULT_CODES


def test_the_responses_of_these_tests_are_adyens():
    for body in (paid(), refused("2"), redirected(), paid(result="PartiallyAuthorised")):
        assert official.errors("checkout", "PaymentResponse", body) == []


def test_the_examples_of_the_official_description_are_read_as_what_they_are():
    examples = official.description("checkout")["components"]["examples"]
    read = {
        name: short(outcome_of(shown["value"] | ({"merchantReference": AUTHORIZE.reference})))
        for name, shown in examples.items()
        if name.startswith(("post-payments-card", "post-payments-details-00")) and name.endswith("-200")
    }

    assert read == {
        "post-payments-card-3d-secure-2-web-200": ("UNKNOWN", "challenge_not_supported"),
        "post-payments-card-3d-secure-redirect-200": ("ACTION_REQUIRED", "RedirectShopper"),
        "post-payments-card-direct-200": ("PENDING", "not_echoed"),
        "post-payments-card-securedfields-200": ("PENDING", "not_echoed"),
        "post-payments-details-00.redirect-200": ("PENDING", "not_echoed"),
    }


def test_a_refusal_after_the_customers_return_declines_ours_only_where_it_names_ours():
    """The browser may have brought back the result of another payment."""
    payload = refused("5") | {"merchantReference": BACK.reference}
    nameless = {name: value for name, value in payload.items() if name != "merchantReference"}
    anothers = payload | {"merchantReference": "0" * 32 + "-s1"}

    assert short(outcome_of(nameless, BACK)) == ("UNKNOWN", "not_echoed")
    assert outcome_of(anothers, BACK).kind == "UNKNOWN"
    assert outcome_of(payload, BACK).kind == "DECLINED_HARD"
    assert outcome_of(nameless, CALL).kind == "DECLINED_HARD"
