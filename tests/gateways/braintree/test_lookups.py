"""Charges and authorizations as a lookup finds them, by id or by our order id."""

from typing import Any, Final

import pytest

from commands.balances import Balances, Move
from gateways.braintree import transactions
from tests.gateways.braintree.payloads import (
    REFERENCE,
    TRANSACTION_ID,
    by_id,
    charged,
    declined,
    error,
    failed,
    money,
    node,
    rejected,
    search,
    transaction,
)
from tests.gateways.braintree.reading import KNOWN, found, kinds, outcome


@pytest.mark.parametrize(
    ("shown", "balances"),
    [
        (transaction("AUTHORIZED"), Balances(captured_minor=0, held_minor=1099)),
        (transaction("SETTLED", refunds=[]), Balances(captured_minor=1099, refunded_minor=0, held_minor=0)),
        (
            transaction("SETTLEMENT_DECLINED", refunds=[]),
            Balances(captured_minor=0, refunded_minor=0, held_minor=0),
        ),
        (
            transaction(
                "SETTLED",
                refunds=[
                    {"id": "cmVmdW5kXzE", "status": "SETTLED", "amount": money("4.00")},
                    {"id": "cmVmdW5kXzI", "status": "PROCESSOR_DECLINED", "amount": money("2.00")},
                ],
            ),
            Balances(
                captured_minor=1099,
                refunded_minor=400,
                held_minor=0,
                moves=(Move(kind="refund", psp_id="cmVmdW5kXzE", amount_minor=400),),
            ),
        ),
        (transaction("VOIDED"), Balances(captured_minor=0, refunded_minor=0, held_minor=0)),
        # Voided before its settlement: what was taken was given back.
        (
            transaction(
                "VOIDED", statusHistory=[{"status": "VOIDED"}, {"status": "SUBMITTED_FOR_SETTLEMENT"}]
            ),
            Balances(captured_minor=1099, refunded_minor=1099, held_minor=0),
        ),
        (transaction("AUTHORIZING"), None),
        (transaction("SETTLED", amount=None), None),
    ],
)
def test_a_transaction_shows_who_ever_moved_its_money(shown: dict[str, Any], balances: Balances | None):
    assert transactions.balances(shown) == balances


def test_a_lookup_ends_what_the_account_was_not_set_up_for():
    result = found(search(rejected("APPLICATION_INCOMPLETE")))

    assert result is not None
    assert kinds(result) == ("DECLINED_SOFT", "APPLICATION_INCOMPLETE", "CONFIG")


@pytest.mark.parametrize(
    ("earlier", "adopted"),
    [
        ({"id": "dHJhbnNhY3Rpb25fb25l", "orderId": REFERENCE}, "dHJhbnNhY3Rpb25fb25l"),
        ({"id": "dHJhbnNhY3Rpb25fb25l", "orderId": "another"}, None),
        (None, None),
    ],
)
def test_a_duplicate_is_looked_up_by_the_id_of_the_earlier_one_if_that_is_ours(
    earlier: Any, adopted: str | None
):
    result = outcome(charged(rejected("DUPLICATE", duplicateOf=earlier)))

    assert (result.kind, result.repeat_is_useless, result.psp_id) == ("UNKNOWN", True, adopted)


def test_the_search_that_finds_nothing_is_none():
    assert found(search()) is None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (search(transaction(), transaction(id="b")), "found_twice"),
        (search(declined(), declined()), "found_several"),
        (search(transaction(orderId="another")), "reference_mismatch"),
        (search(more=True), "found_several"),
        (search(None), "unreadable_response"),
        ({"data": {"search": None}}, "unreadable_response"),
        ({"data": {"search": {"transactions": {"edges": []}}}}, "unreadable_response"),
        (failed(error("AUTHENTICATION")), "look_up_refused"),
        (failed(error("INTERNAL"), data=search()["data"]), "look_up_refused"),
    ],
)
def test_a_search_that_does_not_tell_is_unknown(body: Any, code: str):
    result = found(body)

    assert result is not None
    assert (result.kind, result.code) == ("UNKNOWN", code)


def test_the_one_that_took_money_is_found_among_those_that_did_not():
    result = found(search(rejected("DUPLICATE"), transaction(id="b"), declined()))

    assert result is not None
    assert (result.kind, result.psp_id) == ("APPROVED", "b")


def test_a_duplicate_without_the_one_before_it_is_searched_for_further():
    result = found(search(rejected("DUPLICATE")))

    assert result is not None
    assert result.kind == "UNKNOWN"


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"data": {"node": None}}, "psp_id_not_found"),
        (failed(error("NOT_FOUND"), data={"node": None}), "look_up_refused"),
        (node("Refund", transaction()), "unreadable_response"),
        (by_id(transaction(id="b")), "psp_id_mismatch"),
        (node("Transaction", transaction()), "unreadable_response"),
        (by_id(transaction(), transaction(id="b", orderId="another")), "reference_mismatch"),
        (by_id(transaction(), more=True), "found_several"),
    ],
)
def test_a_node_that_is_not_ours_or_does_not_tell_is_unknown(body: Any, code: str):
    result = found(body, KNOWN)

    assert result is not None
    assert (result.kind, result.code) == ("UNKNOWN", code)


SECOND: Final = transaction("SETTLED", id="c2Vjb25k")
GIVEN_BACK: Final = {"id": "cmVmdW5kXzE", "status": "SETTLED", "amount": money()}


@pytest.mark.parametrize(
    "others",
    [
        (),
        (rejected("DUPLICATE"),),
        (transaction("VOIDED", id="b"),),
        (SECOND | {"refunds": [GIVEN_BACK]},),
    ],
)
def test_beside_what_took_nothing_or_gave_all_of_it_back_ours_is_read(others: tuple[Any, ...]):
    result = found(by_id(transaction("SETTLED"), *others), KNOWN)

    assert result is not None
    assert (result.kind, result.psp_id) == ("APPROVED", TRANSACTION_ID)


@pytest.mark.parametrize("other", [SECOND, SECOND | {"refunds": [GIVEN_BACK | {"amount": money("4.00")}]}])
@pytest.mark.parametrize("ours", [transaction("SETTLED"), declined()])
def test_a_second_charge_under_one_order_id_is_reported_by_its_own_id(ours: Any, other: Any):
    result = found(by_id(ours, other), KNOWN)

    assert result is not None
    assert (result.kind, result.psp_id, result.amount_minor) == ("APPROVED", "c2Vjb25k", 1099)


@pytest.mark.parametrize(
    "shown",
    [
        by_id(transaction("SETTLEMENT_PENDING"), SECOND),
        by_id(declined(), SECOND, transaction(id="dGhpcmQ")),
    ],
)
def test_of_several_charges_none_is_picked(shown: Any):
    result = found(shown, KNOWN)

    assert result is not None
    assert (result.kind, result.code) == ("UNKNOWN", "found_twice")
    assert "c2Vjb25k" in (result.detail or "")


def test_no_secret_or_card_number_of_a_response_is_kept():
    result = outcome(charged(declined("2000", message="card 4111 1111 1111 1111, key sk_live_PLANTED")))

    assert "4111" not in (result.detail or "")
    assert "PLANTED" not in repr(result)
