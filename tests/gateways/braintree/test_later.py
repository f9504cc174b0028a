"""Captures, voids and refunds, read from the state of their transaction."""

from dataclasses import replace
from typing import Any

import pytest

from commands.balances import Balances, Move
from commands.messages import Outcome
from gateways.braintree.adapter import Braintree
from gateways.contract import Call, Gateway
from tests.gateways.braintree.payloads import (
    AUTHORIZE,
    CAPTURE,
    REFUND_ALL,
    REFUND_ID,
    REFUND_PART,
    VOID,
    captured,
    error,
    failed,
    held,
    http_response,
    money,
    node,
    refund,
    refunded,
    returned,
    reversed_as,
)

BRAINTREE: Gateway = Braintree()
DONE = ["SUBMITTED_FOR_SETTLEMENT", "SETTLING", "SETTLED", "SETTLEMENT_CONFIRMED"]


def outcome(call: Call, body: Any) -> Outcome:
    return BRAINTREE.outcome(call, http_response(body))


def found(call: Call, payload: Any, typename: str = "Transaction") -> Outcome | None:
    return BRAINTREE.found(call, http_response(node(typename, payload)))


def kind(result: Outcome | None) -> tuple[str | None, str | None]:
    return (None, None) if result is None else (result.kind, result.code)


def approved(amount_minor: int, psp_id: str | None = None) -> Outcome:
    return Outcome(kind="APPROVED", psp_id=psp_id, amount_minor=amount_minor, currency="USD")


def without_balances(result: Outcome | None) -> Outcome | None:
    return None if result is None else result.model_copy(update={"balances": None})


@pytest.mark.parametrize("status", DONE)
def test_a_capture_is_approved_by_its_amount(status: str):
    assert outcome(CAPTURE, captured(held(status, "4.00"))) == approved(400)
    assert found(CAPTURE, held(status, "4.00")) == approved(400)
    assert kind(outcome(CAPTURE, captured(held(status, "10.99")))) == ("UNKNOWN", "amount_mismatch")


@pytest.mark.parametrize(
    ("payload", "in_response", "looked_up"),
    [
        (held(), ("UNKNOWN", "not_done"), (None, None)),
        (held("SETTLEMENT_PENDING", "4.00"), ("PENDING", "settlement_pending"), ("PENDING", "settlement_pending")),
        (held("VOIDED"), ("DECLINED_HARD", "voided"), ("DECLINED_HARD", "voided")),
        (held("AUTHORIZATION_EXPIRED"), ("DECLINED_HARD", "authorization_expired"), ("DECLINED_HARD", "authorization_expired")),
        (held("SETTLEMENT_DECLINED", "4.00"), ("DECLINED_HARD", "settlement_declined"), ("DECLINED_HARD", "settlement_declined")),
        (held("FAILED"), ("UNKNOWN", "unexpected_status"), ("UNKNOWN", "unexpected_status")),
        (held("TELEPORTED"), ("UNKNOWN", "TELEPORTED"), ("UNKNOWN", "TELEPORTED")),
        (held("SETTLED", id="b"), ("UNKNOWN", "psp_id_mismatch"), ("UNKNOWN", "psp_id_mismatch")),
        (held("SETTLED", orderId="b"), ("UNKNOWN", "reference_mismatch"), ("UNKNOWN", "reference_mismatch")),
        (held("SETTLED", amount=money("4.00", "EUR")), ("UNKNOWN", "currency_mismatch"), ("UNKNOWN", "currency_mismatch")),
    ],
)  # fmt: skip
def test_a_capture_is_read_from_the_state_of_its_transaction(payload: Any, in_response: Any, looked_up: Any):
    assert kind(outcome(CAPTURE, captured(payload))) == in_response
    assert kind(found(CAPTURE, payload)) == looked_up


def test_a_void_is_approved_only_where_all_of_it_is_released():
    assert outcome(VOID, reversed_as("Transaction", held("VOIDED"))) == approved(1099)
    assert found(VOID, held("VOIDED")) == approved(1099)
    assert found(VOID, held("AUTHORIZATION_EXPIRED")) == approved(1099)
    assert kind(found(VOID, held("VOIDED", "4.00"))) == ("UNKNOWN", "amount_mismatch")


@pytest.mark.parametrize(
    ("payload", "looked_up"),
    [
        (held(), (None, None)),
        (held("SETTLED", "10.99"), ("UNKNOWN", "captured")),
        (held("SETTLED", "10.99", refunds=[returned()]), ("DECLINED_HARD", "refunded_instead")),
        (held("SETTLED", "10.99", refunds=[returned("SETTLEMENT_PENDING")]), ("UNKNOWN", "refunded_instead")),
        (held("SETTLED", "10.99", refunds=[returned("FAILED")]), ("UNKNOWN", "refunded_instead")),
        (held("SETTLED", "10.99", refunds=[refund()]), ("UNKNOWN", "refunded_instead")),
        (held("SETTLEMENT_PENDING"), ("UNKNOWN", "captured")),
        (held("SETTLEMENT_DECLINED"), ("UNKNOWN", "unexpected_status")),
        (held("TELEPORTED"), ("UNKNOWN", "TELEPORTED")),
    ],
)
def test_a_void_that_is_looked_up_is_read_from_its_transaction(payload: Any, looked_up: Any):
    assert kind(found(VOID, payload)) == looked_up


def test_a_refund_that_came_back_for_a_void_is_not_a_void_and_ends_it_once_all_is_given_back():
    assert kind(outcome(VOID, reversed_as("Refund", returned()))) == ("DECLINED_HARD", "refunded_instead")


@pytest.mark.parametrize(
    "payload",
    [
        returned("SETTLEMENT_PENDING"),
        returned("FAILED"),
        returned(amount=money("4.00")),
        returned(refundedTransaction={"id": "b"}),
        returned(orderId="another"),
    ],
)
def test_a_refund_for_a_void_that_is_not_plainly_all_of_it_is_queried(payload: Any):
    result = outcome(VOID, reversed_as("Refund", payload))

    assert (result.kind, result.code, result.repeat_is_useless) == ("UNKNOWN", "refunded_instead", True)


@pytest.mark.parametrize("call", [VOID, REFUND_ALL])
@pytest.mark.parametrize("code", ["91504", "91512"])
def test_a_reversal_that_the_state_does_not_allow_may_have_been_done(call: Call, code: str):
    result = outcome(call, failed(error(legacyCode=code)))

    assert (result.kind, result.repeat_is_useless) == ("UNKNOWN", True)


@pytest.mark.parametrize("typename", ["Settlement", None])
@pytest.mark.parametrize("call", [VOID, REFUND_ALL])
def test_a_reversal_of_another_type_is_unknown(call: Call, typename: Any):
    assert kind(outcome(call, reversed_as(typename, held("VOIDED")))) == ("UNKNOWN", "unreadable_response")


def test_all_is_given_back_by_a_void_before_the_settlement_and_by_a_refund_after_it():
    assert outcome(REFUND_ALL, reversed_as("Transaction", held("VOIDED"))) == approved(1099)
    assert outcome(REFUND_ALL, reversed_as("Refund", returned())) == approved(1099, REFUND_ID)


@pytest.mark.parametrize(
    ("payload", "looked_up"),
    [
        (held("SETTLED"), None),
        (held("VOIDED"), approved(1099)),
        (held("SETTLED", refunds=[returned()]), approved(1099, REFUND_ID)),
        (held("SETTLED", refunds=[returned("FAILED"), returned(id="b")]), approved(1099, "b")),
        (held("SETTLED", refunds=[returned("FAILED")]), None),
        (held("SETTLED", refunds=[returned("PROCESSOR_DECLINED", amount=money("4.00"))]), None),
        (held("SETTLED", refunds=[returned("AUTHORIZING", amount=money("4.00"))]), None),
    ],
)
def test_a_reversal_is_found_by_what_it_left(payload: Any, looked_up: Outcome | None):
    assert without_balances(found(REFUND_ALL, payload)) == looked_up


BY_HAND = returned("SETTLED", id="cmVmdW5kX2J5X2hhbmQ", amount=money("7.00"))


@pytest.mark.parametrize("other", [BY_HAND, BY_HAND | {"orderId": "another"}, refund(orderId="another")])
def test_a_reversal_beside_anothers_part_was_not_made(other: Any):
    result = found(REFUND_ALL, held("SETTLED", refunds=[other]))

    assert kind(result) == ("DECLINED_HARD", "more_than_is_left")
    assert result is not None
    assert result.psp_id is None


@pytest.mark.parametrize(
    ("by_hand", "looked_up"),
    [("6.99", (None, None)), ("7.00", ("DECLINED_HARD", "more_than_is_left"))],
)
def test_a_part_for_which_another_left_too_little_was_not_made(by_hand: str, looked_up: Any):
    other = BY_HAND | {"amount": money(by_hand)}

    assert kind(found(REFUND_PART, held("SETTLED", refunds=[other]))) == looked_up


def test_what_another_gave_back_shows_beside_a_refund_of_ours():
    wanted = Balances(
        captured_minor=1099,
        refunded_minor=799,
        held_minor=0,
        moves=(
            Move(kind="refund", psp_id="cmVmdW5kX2J5X2hhbmQ", amount_minor=399),
            Move(kind="refund", psp_id=REFUND_ID, amount_minor=400),
        ),
    )
    ours, other = refund(), BY_HAND | {"amount": money("3.99")}
    target = held("SETTLED", refunds=[other, ours])

    result = outcome(REFUND_PART, refunded(ours | {"refundedTransaction": target}))
    looked_up = found(REFUND_PART, target)
    by_its_id = found(
        replace(REFUND_PART, psp_id=REFUND_ID), ours | {"refundedTransaction": target}, "Refund"
    )

    for each in (result, looked_up, by_its_id):
        assert each is not None
        assert (each.kind, each.psp_id, each.balances) == ("APPROVED", REFUND_ID, wanted)


@pytest.mark.parametrize("status", DONE)
def test_a_part_is_given_back_under_our_reference(status: str):
    assert outcome(REFUND_PART, refunded(refund(status))) == approved(400, REFUND_ID)
    looked_up = found(REFUND_PART, held("SETTLED", refunds=[refund(status)]))
    assert without_balances(looked_up) == approved(400, REFUND_ID)
    known = replace(REFUND_PART, psp_id=REFUND_ID)
    assert found(known, refund(status), "Refund") == approved(400, REFUND_ID)


@pytest.mark.parametrize(
    ("payload", "wanted"),
    [
        (refund("AUTHORIZING"), ("PENDING", "authorizing")),
        (refund("SETTLEMENT_PENDING"), ("PENDING", "settlement_pending")),
        (refund("SETTLEMENT_DECLINED"), ("DECLINED_HARD", "settlement_declined")),
        (refund("VOIDED"), ("DECLINED_HARD", "voided")),
        (refund("FAILED"), ("DECLINED_SOFT", "failed")),
        (
            refund("PROCESSOR_DECLINED", event={"declineType": "HARD"}),
            ("DECLINED_HARD", "processor_declined"),
        ),
        (refund("GATEWAY_REJECTED", event={"gatewayRejectionReason": "FRAUD"}), ("DECLINED_HARD", "FRAUD")),
        (refund("AUTHORIZED"), ("UNKNOWN", "AUTHORIZED")),
        (refund(amount=money("4.01")), ("UNKNOWN", "amount_mismatch")),
        (refund(amount=money("4.00", "EUR")), ("UNKNOWN", "currency_mismatch")),
        (refund(orderId=AUTHORIZE.reference), ("UNKNOWN", "reference_mismatch")),
        (refund(refundedTransaction={"id": "b"}), ("UNKNOWN", "target_mismatch")),
        (refund(refundedTransaction=None), ("UNKNOWN", "target_mismatch")),
        (None, ("UNKNOWN", "unreadable_response")),
    ],
)
def test_a_refund_is_read_from_its_own_state(payload: Any, wanted: tuple[str, str]):
    assert kind(outcome(REFUND_PART, refunded(payload))) == wanted


@pytest.mark.parametrize(
    ("payload", "looked_up"),
    [
        (held("SETTLED"), (None, None)),
        (held("SETTLED", refunds=[refund(orderId="another")]), (None, None)),
        (held("SETTLED", refunds=[refund("FAILED")]), ("DECLINED_SOFT", "failed")),
        (held("SETTLED", refunds=[refund(), refund(id="b")]), ("UNKNOWN", "found_twice")),
        (held("SETTLED", refunds=None), ("UNKNOWN", "unreadable_response")),
        (held("SETTLED", refunds=[None]), ("UNKNOWN", "unreadable_response")),
        (held("VOIDED"), ("UNKNOWN", "unexpected_status")),
        (held("SETTLED", orderId="another", refunds=[refund()]), ("UNKNOWN", "reference_mismatch")),
    ],
)
def test_a_part_is_found_among_the_refunds_of_its_transaction(payload: Any, looked_up: Any):
    assert kind(found(REFUND_PART, payload)) == looked_up


def test_a_refund_that_is_read_by_its_id_is_that_refund():
    known = replace(REFUND_PART, psp_id=REFUND_ID)

    assert kind(found(known, refund(id="b"), "Refund")) == ("UNKNOWN", "psp_id_mismatch")
    assert kind(found(known, held("SETTLED"))) == ("UNKNOWN", "unreadable_response")


@pytest.mark.parametrize("code", ["91506", "91574"])
def test_a_part_cannot_be_given_back_before_the_settlement(code: str):
    refused = outcome(REFUND_PART, failed(error(legacyCode=code)))

    assert kind(refused) == ("NOT_SENT", "not_settled_yet")
    assert refused.again_after_s == 600


def test_a_part_of_more_than_is_left_is_refused_for_good():
    refused = outcome(REFUND_PART, failed(error(legacyCode="91521")))

    assert kind(refused) == ("NOT_SENT", "more_than_is_left")
    assert "91521" in (refused.detail or "")
