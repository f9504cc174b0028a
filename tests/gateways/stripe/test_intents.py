from dataclasses import replace
from typing import Any

import pytest

from commands.balances import Balances, Move
from commands.messages import Outcome
from gateways.contract import Gateway
from gateways.stripe.adapter import Stripe
from tests.gateways.stripe.payloads import (
    AUTHORIZE,
    CALL,
    INTENT_ID,
    authorized,
    error,
    http_response,
    intent,
    refund,
    search,
    unfit,
)

STRIPE: Gateway = Stripe()
CANCEL = replace(CALL, step="x", psp_id=INTENT_ID)


def short(outcome: Outcome | None) -> tuple[str, str | None]:
    assert outcome is not None
    return outcome.kind, outcome.code


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        ("requires_capture", "APPROVED", None),
        ("succeeded", "UNKNOWN", "captured_unrequested"),
        ("requires_action", "ACTION_REQUIRED", "requires_action"),
        ("processing", "PENDING", "processing"),
        ("requires_confirmation", "NOT_SENT", "not_confirmed"),
        ("canceled", "EXPIRED", "canceled"),
        ("something_new", "UNKNOWN", "unexpected_status"),
    ],
)
def test_an_authorization_is_approved_while_its_money_is_held(status: str, kind: str, code: str | None):
    outcome = STRIPE.outcome(AUTHORIZE, http_response(200, authorized(status)))

    assert short(outcome) == (kind, code)
    assert outcome.psp_id == INTENT_ID
    if kind == "APPROVED":
        assert (outcome.amount_minor, outcome.currency) == (1099, "USD")


@pytest.mark.parametrize(
    ("spoilt", "code"),
    [
        ({"amount": 1199}, "amount_mismatch"),
        ({"amount_capturable": 1199}, "amount_mismatch"),
        ({"amount_capturable": 500}, "amount_mismatch"),  # a partial approval, for which we never ask
        ({"amount_capturable": None}, "amount_mismatch"),
        ({"amount_received": 1}, "amount_mismatch"),
        ({"amount_received": None}, "amount_mismatch"),
        ({"amount_capturable": True}, "amount_mismatch"),
        ({"currency": "eur"}, "currency_mismatch"),
        ({"metadata": {"order_ref": "another-a1"}}, "reference_mismatch"),
        ({"object": "charge"}, "unreadable_response"),
    ],
)
def test_an_authorization_of_anything_else_is_unknown(spoilt: dict[str, Any], code: str):
    assert short(STRIPE.outcome(AUTHORIZE, http_response(200, authorized(**spoilt)))) == ("UNKNOWN", code)


@pytest.mark.parametrize(
    "shown",
    [
        authorized(),
        authorized(op_c2="400"),
        authorized(op_c2="400", op_c3="699"),
        authorized("succeeded", op_c2="400"),
        authorized("succeeded", op_c2="400", op_c3="699"),
        authorized("succeeded", op_c2="1200"),  # overcapture
        authorized(op_c2="1200", amount_capturable=0),
    ],
)
def test_an_authorization_stays_approved_for_its_whole_amount_whatever_we_captured_since(shown: Any):
    found = STRIPE.found(replace(AUTHORIZE, psp_id=INTENT_ID), http_response(200, shown))

    assert found is not None
    assert (found.kind, found.amount_minor) == ("APPROVED", 1099)


@pytest.mark.parametrize(
    "shown",
    [
        authorized(op_c2="400", amount_received=500, amount_capturable=599),
        authorized("succeeded", op_c2="400", amount_received=1099, amount_capturable=0),
        authorized("canceled", amount_received=400, amount_capturable=0),
    ],
)
def test_how_much_of_an_authorization_was_captured_by_whomever_are_its_balances(shown: Any):
    charge = {"object": "charge", "amount_refunded": 300}
    found = STRIPE.found(
        replace(AUTHORIZE, psp_id=INTENT_ID), http_response(200, shown | {"latest_charge": charge})
    )

    assert found is not None
    assert (found.kind, found.amount_minor) == ("APPROVED", 1099)
    assert found.balances == Balances(
        captured_minor=shown["amount_received"], refunded_minor=300, held_minor=shown["amount_capturable"]
    )


def test_each_refund_that_counts_is_named_so_that_one_that_failed_can_be_distinguished_from_the_others():
    # As the API reference has an expanded charge: a list object, the newest first.
    stands = [
        refund(id="re_pending", amount=200, status="pending"),
        refund(id="re_asks", amount=50, status="requires_action"),
        refund(id="re_done", amount=100),
    ]
    failed = [refund("failed", id="re_failed", amount=300), refund("canceled", id="re_ended", amount=30)]
    listed = {"object": "list", "data": stands + failed, "has_more": False, "url": "/v1/charges/ch_1/refunds"}
    charge = {"id": "ch_1", "object": "charge", "amount_refunded": 350, "refunds": listed}

    found = STRIPE.found(
        replace(CALL, psp_id=INTENT_ID), http_response(200, intent("succeeded", latest_charge=charge))
    )

    assert found is not None
    assert found.balances is not None
    assert found.balances.refunded_minor == 350
    moves = [("re_pending", 200), ("re_asks", 50), ("re_done", 100)]
    assert found.balances.moves == tuple(Move(kind="refund", psp_id=one, amount_minor=m) for one, m in moves)


@pytest.mark.parametrize("listed", [None, 7, [], {}, {"data": 7}, {"data": [7, {"id": 4}, {"status": []}]}])
def test_a_list_of_refunds_that_cannot_be_read_names_none(listed: Any):
    charge = {"object": "charge", "amount_refunded": 300, "refunds": listed}
    found = STRIPE.found(
        replace(CALL, psp_id=INTENT_ID), http_response(200, intent("succeeded", latest_charge=charge))
    )

    assert found is not None
    assert found.balances == Balances(captured_minor=1099, refunded_minor=300, held_minor=0)


@pytest.mark.parametrize("received", [-1, 2**60, "400", None, True, 4.5])
def test_an_amount_that_cannot_be_one_is_no_balance(received: Any):
    found = STRIPE.found(
        replace(AUTHORIZE, psp_id=INTENT_ID),
        http_response(200, authorized("succeeded", amount_received=received)),
    )

    assert found is not None
    assert found.balances is None or found.balances.captured_minor is None


def test_a_sale_that_was_canceled_after_it_took_money_has_not_expired():
    shown = intent("canceled", amount_received=400)

    assert short(STRIPE.outcome(CALL, http_response(200, shown))) == ("UNKNOWN", "unexpected_status")


@pytest.mark.parametrize(
    ("intents", "kind", "code"),
    [
        ((authorized(), authorized("canceled", id="pi_b")), "APPROVED", None),
        ((authorized(), authorized(id="pi_b")), "UNKNOWN", "found_twice"),
        ((authorized(), authorized("succeeded", id="pi_b", op_c2="1099")), "UNKNOWN", "found_twice"),
        ((authorized("processing"), authorized("canceled", id="pi_b")), "UNKNOWN", "found_several"),
    ],
)
def test_a_search_finds_the_one_authorization_or_does_not_know(
    intents: tuple[Any, ...], kind: str, code: str | None
):
    assert short(STRIPE.found(AUTHORIZE, http_response(200, search(*intents)))) == (kind, code)


# The end of a challenge


@pytest.mark.parametrize(
    ("shown", "kind", "code"),
    [
        (intent("succeeded"), "APPROVED", None),
        (intent("processing"), "PENDING", "processing"),
        (intent("canceled"), "EXPIRED", "canceled"),
        (
            intent("requires_payment_method", last_payment_error={"code": "expired_card"}),
            "DECLINED_HARD",
            "expired_card",
        ),
        (intent("requires_action"), "UNKNOWN", "cancel_refused"),
        (intent("requires_confirmation"), "UNKNOWN", "cancel_refused"),
        (intent("something_new"), "UNKNOWN", "unexpected_status"),
        (intent(amount=1, amount_received=1), "UNKNOWN", "amount_mismatch"),
        (intent(currency="eur"), "UNKNOWN", "currency_mismatch"),
        (intent(metadata={"order_ref": "another"}), "UNKNOWN", "reference_mismatch"),
        (intent(id="pi_another"), "UNKNOWN", "psp_id_mismatch"),
        (None, "UNKNOWN", "unreadable_response"),
        ("x", "UNKNOWN", "unreadable_response"),
    ],
)
def test_a_cancel_says_how_the_operation_stands(shown: Any, kind: str, code: str | None):
    refused = STRIPE.cancelled(CANCEL, http_response(400, unfit(shown)))

    assert short(refused) == (kind, code)
    assert refused.psp_id in {None, INTENT_ID}
    if isinstance(shown, dict):
        assert short(STRIPE.cancelled(CANCEL, http_response(200, shown))) == (kind, code)


def test_a_cancel_lets_go_of_an_authorization_whose_customer_came_at_the_last_moment():
    cancel = replace(AUTHORIZE, step="x", psp_id=INTENT_ID)

    assert short(STRIPE.cancelled(cancel, http_response(200, authorized("canceled")))) == (
        "EXPIRED",
        "canceled",
    )


@pytest.mark.parametrize(
    ("status", "body", "code", "hint"),
    [
        (400, error(), "cancel_refused", None),
        (401, error(), "cancel_refused", "CONFIG"),
        (404, error(code="resource_missing"), "cancel_refused", None),
        (409, error(code="idempotency_key_in_use"), "cancel_refused", None),
        (429, error(code="rate_limit"), "cancel_refused", None),
        (403, b"<html>", "cancel_refused", "CONFIG"),
        (500, error("api_error"), "http_500", None),
        (503, b"", "http_503", None),
        (302, b"", "http_302", "CONFIG"),
        (409, unfit(intent()), "cancel_refused", None),
        (200, b"", "unreadable_response", None),
        (200, b"[]", "unreadable_response", None),
    ],
)
def test_a_cancel_whose_response_leaves_out_the_operation_is_unknown(
    status: int, body: Any, code: str, hint: str | None
):
    outcome = STRIPE.cancelled(CANCEL, http_response(status, body))

    assert (outcome.kind, outcome.code, outcome.hint) == ("UNKNOWN", code, hint)
