# ruff: noqa: SIM905 - a table of codes reads better as a paragraph

from dataclasses import replace
from typing import Any

import orjson
import pytest

from gateways.contract import Gateway
from gateways.stripe.adapter import Stripe
from tests.gateways.stripe.payloads import CALL, INTENT_ID, declined, error, http_response, intent, search

STRIPE: Gateway = Stripe()
KNOWN = replace(CALL, psp_id=INTENT_ID)
REPLAYED = {"idempotent-replayed": "true"}


def test_a_succeeded_intent_is_approved_with_its_id_amount_and_currency():
    outcome = STRIPE.outcome(CALL, http_response(200, intent()))

    assert outcome.kind == "APPROVED"
    assert (outcome.psp_id, outcome.amount_minor, outcome.currency) == (INTENT_ID, 1099, "USD")


def test_an_approved_amount_is_in_our_minor_units():
    isk = replace(CALL, amount_minor=5, currency="ISK")

    outcome = STRIPE.outcome(isk, http_response(200, intent(amount=500, amount_received=500, currency="isk")))

    assert (outcome.kind, outcome.amount_minor, outcome.currency) == ("APPROVED", 5, "ISK")


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        ("succeeded", "APPROVED", None),
        ("requires_action", "ACTION_REQUIRED", "requires_action"),
        ("processing", "PENDING", "processing"),
        ("requires_payment_method", "NOT_SENT", "not_confirmed"),
        ("requires_confirmation", "NOT_SENT", "not_confirmed"),
        ("canceled", "EXPIRED", "canceled"),
        ("requires_capture", "UNKNOWN", "unexpected_status"),  # we requested the capture
        ("something_new", "UNKNOWN", "unexpected_status"),
    ],
)
def test_the_status_of_an_intent_decides(status: str, kind: str, code: str | None):
    outcome = STRIPE.outcome(CALL, http_response(200, intent(status)))

    assert (outcome.kind, outcome.code) == (kind, code)


def test_a_challenge_carries_the_address_for_the_shopper():
    url = "https://hooks.stripe.com/3d_secure_2/x?client_secret=pi_1_secret_2"
    action = {
        "type": "redirect_to_url",
        "redirect_to_url": {"url": url, "return_url": "https://shop.example"},
    }

    outcome = STRIPE.outcome(CALL, http_response(200, intent("requires_action", next_action=action)))

    assert (outcome.kind, outcome.code, outcome.action_url) == ("ACTION_REQUIRED", "redirect_to_url", url)


@pytest.mark.parametrize(
    ("spoilt", "code"),
    [
        ({"amount": 1199}, "amount_mismatch"),
        ({"amount_received": 1}, "amount_mismatch"),
        ({"amount_received": None}, "amount_mismatch"),
        ({"amount": 1099.0}, "amount_mismatch"),
        ({"amount": "1099"}, "amount_mismatch"),
        ({"currency": "eur"}, "currency_mismatch"),
        ({"currency": None}, "currency_mismatch"),
        ({"metadata": {"order_ref": "another-s1"}}, "reference_mismatch"),
        ({"metadata": {}}, "reference_mismatch"),
        ({"metadata": None}, "reference_mismatch"),
        ({"id": None}, "unreadable_response"),
        ({"id": "ch_1"}, "unreadable_response"),
        ({"object": "charge"}, "unreadable_response"),
        ({"status": None}, "unreadable_response"),
    ],
)
def test_an_approval_of_anything_else_is_unknown(spoilt: dict[str, Any], code: str):
    outcome = STRIPE.outcome(CALL, http_response(200, intent(**spoilt)))

    assert (outcome.kind, outcome.code) == ("UNKNOWN", code)


def test_a_mismatch_keeps_stripes_message_and_says_that_only_a_query_can_tell_more():
    outcome = STRIPE.outcome(CALL, http_response(200, intent(amount=1199, amount_received=1199)))

    assert (outcome.amount_minor, outcome.currency, outcome.psp_id) == (1199, "USD", INTENT_ID)
    assert outcome.repeat_is_useless


def test_the_id_of_anothers_intent_is_never_taken_for_ours():
    outcome = STRIPE.outcome(CALL, http_response(200, intent(metadata={"order_ref": "another"})))

    assert outcome.psp_id is None
    assert INTENT_ID in (outcome.detail or "")


SOFT = """generic_decline do_not_honor insufficient_funds card_velocity_exceeded withdrawal_count_limit_exceeded
try_again_later issuer_not_available processing_error reenter_transaction call_issuer no_action_taken approve_with_id
a_reason_of_next_year""".split()
FIX_INPUT = "incorrect_cvc invalid_cvc incorrect_zip incorrect_address incorrect_pin".split()
WITH_3DS = ["authentication_required", "authentication_not_handled"]
HARD = """lost_card stolen_card pickup_card restricted_card fraudulent merchant_blacklist expired_card
invalid_expiry_month invalid_expiry_year incorrect_number invalid_number invalid_account
new_account_information_available card_not_supported currency_not_supported invalid_amount transaction_not_allowed
not_permitted service_not_allowed security_violation stop_payment_order revocation_of_authorization
revocation_of_all_authorizations do_not_try_again pin_try_exceeded""".split()
DECLINES = [
    *((reason, "DECLINED_SOFT", None) for reason in SOFT),
    *((reason, "DECLINED_SOFT", "FIX_INPUT") for reason in FIX_INPUT),
    *((reason, "DECLINED_SOFT", "RETRY_WITH_3DS") for reason in WITH_3DS),
    *((reason, "DECLINED_HARD", None) for reason in HARD),
    ("duplicate_transaction", "UNKNOWN", None),
    ("testmode_decline", "NOT_SENT", "CONFIG"),
]


@pytest.mark.parametrize(("reason", "kind", "hint"), DECLINES)
def test_a_decline_is_read_by_its_decline_code(reason: str, kind: str, hint: str | None):
    outcome = STRIPE.outcome(CALL, http_response(402, declined(decline_code=reason)))

    assert (outcome.kind, outcome.code, outcome.hint) == (kind, reason, hint)
    assert outcome.psp_id == (None if reason == "duplicate_transaction" else INTENT_ID)


@pytest.mark.parametrize(("reason", "kind", "hint"), DECLINES)
def test_a_decline_without_a_decline_code_is_read_by_its_code(reason: str, kind: str, hint: str | None):
    outcome = STRIPE.outcome(CALL, http_response(402, declined(code=reason)))

    assert (outcome.kind, outcome.code, outcome.hint) == (kind, reason, hint)


@pytest.mark.parametrize(
    ("advice", "kind", "hint"),
    [
        ("do_not_try_again", "DECLINED_HARD", None),
        ("try_again_later", "DECLINED_SOFT", None),
        ("confirm_card_data", "DECLINED_SOFT", "FIX_INPUT"),
        ("an_advice_of_next_year", "DECLINED_HARD", None),
    ],
)
def test_the_issuers_advice_goes_before_its_reason(advice: str, kind: str, hint: str | None):
    outcome = STRIPE.outcome(CALL, http_response(402, declined(decline_code="lost_card", advice_code=advice)))

    assert (outcome.kind, outcome.hint) == (kind, hint)


def test_a_duplicate_is_looked_up_by_our_reference_and_nobody_else_is_tried():
    body = declined(decline_code="duplicate_transaction")

    outcome = STRIPE.outcome(CALL, http_response(402, body))
    assert (outcome.kind, outcome.psp_id, outcome.repeat_is_useless) == ("UNKNOWN", None, True)
    found = STRIPE.found(KNOWN, http_response(200, body["error"]["payment_intent"]))
    assert found is not None
    assert (found.kind, found.code) == ("DECLINED_HARD", "duplicate_transaction")


@pytest.mark.parametrize(
    "advice", [{}, {"advice_code": "try_again_later"}, {"advice_code": "do_not_try_again"}]
)
@pytest.mark.parametrize("name", ["code", "decline_code"])
@pytest.mark.parametrize("code", ["payment_method_provider_timeout", "payment_method_not_available"])
def test_a_provider_that_did_not_respond_in_time_may_have_charged_until_the_intent_shows_that_it_did_not(
    code: str, name: str, advice: dict[str, str]
):
    body = declined(**{name: code}, **advice)

    outcome = STRIPE.outcome(CALL, http_response(402, body))
    assert (outcome.kind, outcome.code) == ("UNKNOWN", code)
    assert (outcome.psp_id, outcome.repeat_is_useless, outcome.unlisted) == (INTENT_ID, True, False)
    found = STRIPE.found(KNOWN, http_response(200, body["error"]["payment_intent"]))
    assert found is not None
    assert found.kind == ("DECLINED_HARD" if "do_not_try_again" in advice.values() else "DECLINED_SOFT")
    assert not found.unlisted
    charged = STRIPE.found(KNOWN, http_response(200, intent("succeeded")))
    assert charged is not None
    assert charged.kind == "APPROVED"


@pytest.mark.parametrize("status", ["succeeded", "processing", "requires_action", "something_new"])
def test_a_decline_whose_intent_may_still_charge_is_unknown(status: str):
    body = declined(decline_code="do_not_honor")
    body["error"]["payment_intent"]["status"] = status

    assert STRIPE.outcome(CALL, http_response(402, body)).kind == "UNKNOWN"


def test_a_decline_of_anothers_intent_is_unknown():
    body = declined(decline_code="do_not_honor")
    body["error"]["payment_intent"]["metadata"] = {"order_ref": "another"}

    assert STRIPE.outcome(CALL, http_response(402, body)).code == "reference_mismatch"


def test_a_decline_in_a_plain_response_is_a_decline_too():
    payload = intent(
        "requires_payment_method", last_payment_error={"code": "expired_card", "type": "card_error"}
    )

    assert STRIPE.outcome(CALL, http_response(200, payload)).kind == "DECLINED_HARD"


@pytest.mark.parametrize(
    ("status", "body", "kind", "code", "hint"),
    [
        (400, error(code="resource_missing"), "NOT_SENT", "invalid_request", None),
        (400, error("idempotency_error"), "UNKNOWN", "idempotency_error", None),
        (409, error("idempotency_error"), "UNKNOWN", "idempotency_error", None),
        (409, error(code="idempotency_key_in_use"), "UNKNOWN", "idempotency_key_in_use", None),
        (409, error(code="lock_timeout"), "UNKNOWN", "lock_timeout", None),
        (429, error(code="lock_timeout"), "UNKNOWN", "lock_timeout", None),
        (401, error(), "NOT_SENT", "refused", "CONFIG"),
        (403, error(code="account_closed"), "NOT_SENT", "account_closed", "CONFIG"),
        (404, error(), "NOT_SENT", "refused", "CONFIG"),
        (424, error("api_error"), "UNKNOWN", "http_424", None),
        (429, error(code="rate_limit"), "NOT_SENT", "rate_limited", None),
        (429, b"slow down", "UNKNOWN", "http_429", None),
        (403, b"<html>", "UNKNOWN", "http_403", "CONFIG"),
        (402, error("api_error"), "UNKNOWN", "http_402", None),
        (400, error("card_error"), "UNKNOWN", "http_400", None),
        (400, b"", "UNKNOWN", "http_400", None),
        (500, error("api_error"), "UNKNOWN", "http_500", None),
        (502, b"", "UNKNOWN", "http_502", None),
        (503, b"<html>", "UNKNOWN", "http_503", None),
        (504, b"", "UNKNOWN", "http_504", None),
        (408, b"", "UNKNOWN", "http_408", None),
        (302, b"", "UNKNOWN", "http_302", "CONFIG"),
        (307, error(), "UNKNOWN", "http_307", "CONFIG"),
        (201, intent(), "UNKNOWN", "http_201", None),
        (204, b"", "UNKNOWN", "http_204", None),
        (200, b"", "UNKNOWN", "unreadable_response", None),
        (200, orjson.dumps(intent())[:-3], "UNKNOWN", "unreadable_response", None),
        (200, b"[]", "UNKNOWN", "unreadable_response", None),
        (200, error(), "UNKNOWN", "unreadable_response", None),
    ],
)
def test_only_what_stripe_says_itself_is_proof(
    status: int, body: Any, kind: str, code: str, hint: str | None
):
    outcome = STRIPE.outcome(CALL, http_response(status, body))

    assert (outcome.kind, outcome.code, outcome.hint) == (kind, code, hint)


def test_an_unexpected_state_is_read_from_the_intent_inside():
    body = error(code="payment_intent_unexpected_state", payment_intent=intent())

    assert STRIPE.outcome(CALL, http_response(400, body)).kind == "APPROVED"


@pytest.mark.parametrize(
    ("headers", "useless"),
    [
        ({}, False),
        (REPLAYED, True),
        ({"stripe-should-retry": "false"}, True),
        ({"stripe-should-retry": "true"}, False),
    ],
)
def test_a_stored_500_says_that_a_repeat_is_useless(headers: dict[str, str], useless: bool):
    assert STRIPE.outcome(CALL, http_response(500, error("api_error"), headers)).repeat_is_useless is useless


def test_a_key_used_for_other_input_is_looked_up_and_one_in_use_is_repeated():
    assert STRIPE.outcome(CALL, http_response(400, error("idempotency_error"))).repeat_is_useless
    in_use = error(code="idempotency_key_in_use")
    assert not STRIPE.outcome(CALL, http_response(409, in_use)).repeat_is_useless


def test_a_detail_holds_the_request_id_and_neither_card_number_nor_secret():
    text = "Card 4242 4242 4242 4242 of sk_test_4eC39HqLyjWDarjtT1zdp7dc refused, see 4242-4242-4242-4242\x00"
    headers = {"request-id": "req_8xYzAbC"}

    outcome = STRIPE.outcome(
        CALL, http_response(402, declined(decline_code="do_not_honor", message=text), headers)
    )

    assert outcome.detail is not None
    assert "4242" not in outcome.detail
    assert "4eC39HqLyjWDarjtT1zdp7dc" not in outcome.detail
    assert "\x00" not in outcome.detail
    assert "req_8xYzAbC" in outcome.detail


# Lookups


@pytest.mark.parametrize(
    ("body", "kind", "code"),
    [
        (search(intent()), "APPROVED", None),
        (search(intent(), intent("requires_payment_method", id="pi_other")), "APPROVED", None),
        (search(intent("processing")), "PENDING", "processing"),
        (search(intent("canceled")), "EXPIRED", "canceled"),
        (search(intent(), intent(id="pi_second")), "UNKNOWN", "found_twice"),
        (search(intent(), intent(id="pi_second"), more=True), "UNKNOWN", "found_twice"),
        (search(intent(), more=True), "UNKNOWN", "found_several"),
        (search(intent("processing"), intent("canceled", id="pi_b")), "UNKNOWN", "found_several"),
        (search(more=True), "UNKNOWN", "found_several"),
        (search(intent(metadata={"order_ref": "another"})), "UNKNOWN", "reference_mismatch"),
        (search(intent(), "x"), "UNKNOWN", "reference_mismatch"),
        (search(intent(amount=1, amount_received=1)), "UNKNOWN", "amount_mismatch"),
        ({"object": "search_result", "data": []}, "UNKNOWN", "unreadable_response"),
        ({"object": "list", "data": [], "has_more": False}, "UNKNOWN", "unreadable_response"),
        (b"", "UNKNOWN", "unreadable_response"),
    ],
)
def test_a_search_finds_the_one_intent_of_our_reference_or_does_not_know(
    body: Any, kind: str, code: str | None
):
    outcome = STRIPE.found(CALL, http_response(200, body))

    assert outcome is not None
    assert (outcome.kind, outcome.code) == (kind, code)


@pytest.mark.parametrize(
    "intents", [(), (intent("requires_confirmation"),), (intent("requires_payment_method"),)]
)
def test_an_empty_search_or_an_intent_that_nobody_confirmed_is_not_found(intents: tuple[Any, ...]):
    assert STRIPE.found(CALL, http_response(200, search(*intents))) is None


def test_a_lookup_by_id_reads_the_intent_with_its_charge():
    outcome = STRIPE.found(
        KNOWN, http_response(200, intent(latest_charge={"id": "ch_1", "object": "charge"}))
    )

    assert outcome is not None
    assert outcome.kind == "APPROVED"


@pytest.mark.parametrize(
    ("status", "body", "code", "hint"),
    [
        (404, error(code="resource_missing"), "psp_id_not_found", None),
        (401, error(), "http_401", "CONFIG"),
        (429, error(code="rate_limit"), "http_429", None),
        (500, error("api_error"), "http_500", None),
        (302, b"", "http_302", "CONFIG"),
        (200, b"", "unreadable_response", None),
        (200, intent(id="pi_another"), "psp_id_mismatch", None),
        (200, search(intent()), "unreadable_response", None),
    ],
)
def test_a_failed_look_up_by_id_is_no_absence(status: int, body: Any, code: str, hint: str | None):
    outcome = STRIPE.found(KNOWN, http_response(status, body))

    assert outcome is not None
    assert (outcome.kind, outcome.code, outcome.hint) == ("UNKNOWN", code, hint)


def test_a_search_that_stripe_does_not_know_is_no_absence_either():
    outcome = STRIPE.found(CALL, http_response(404, error()))

    assert outcome is not None
    assert (outcome.kind, outcome.code) == ("UNKNOWN", "http_404")
