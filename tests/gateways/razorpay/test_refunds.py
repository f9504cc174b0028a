from dataclasses import replace
from typing import Any

import pytest

from commands.messages import Outcome
from gateways.contract import Gateway
from gateways.razorpay.adapter import Razorpay
from tests.gateways.razorpay.payloads import (
    PAYMENT_ID,
    REFUND,
    REFUND_ID,
    http_response,
    listed,
    published,
    refund,
)

RAZORPAY: Gateway = Razorpay()
KNOWN = replace(REFUND, psp_id=REFUND_ID)


def all_ways(body: dict[str, Any]) -> list[Outcome]:
    """Of the call, of a lookup by id, of a lookup by our reference."""
    found = [
        RAZORPAY.found(KNOWN, http_response(200, body)),
        RAZORPAY.found(REFUND, http_response(200, listed(body))),
    ]
    return [RAZORPAY.outcome(REFUND, http_response(200, body)), *(one for one in found if one is not None)]


@pytest.mark.parametrize(
    ("status", "kind"),
    [("processed", "APPROVED"), ("pending", "PENDING"), ("failed", "DECLINED_HARD"), ("new", "UNKNOWN")],
)
def test_a_refunds_status_decides(status: str, kind: str):
    outcomes = all_ways(refund(status))

    assert len(outcomes) == 3
    for outcome in outcomes:
        assert (outcome.kind, outcome.psp_id, outcome.amount_minor) == (kind, REFUND_ID, 400)
        assert outcome.unlisted == (status == "new")


@pytest.mark.parametrize(
    ("more", "code"),
    [
        ({"amount": 401}, "amount_mismatch"),
        ({"amount": 2**63}, "amount_mismatch"),
        ({"currency": "USD"}, "currency_mismatch"),
        ({"receipt": "another"}, "reference_mismatch"),
        ({"notes": {"order_ref": "another"}}, "reference_mismatch"),
        ({"receipt": None, "notes": []}, "reference_mismatch"),
        ({"payment_id": "pay_another"}, "target_mismatch"),
    ],
)
def test_a_refund_that_is_not_the_one_that_was_requested_is_never_accepted(more: dict[str, Any], code: str):
    for outcome in all_ways(refund(**more))[:2]:
        assert (outcome.kind, outcome.code) == ("UNKNOWN", code)
    listed_one = RAZORPAY.found(REFUND, http_response(200, listed(refund(**more))))
    assert listed_one is None or listed_one.kind == "UNKNOWN"


def test_a_refund_that_lost_one_of_our_two_references_is_found_by_the_other():
    for body in (refund(receipt=None), refund(notes=[])):
        assert [outcome.kind for outcome in all_ways(body)] == ["APPROVED"] * 3


def test_a_refund_of_another_operation_beside_ours_is_left_out():
    theirs = refund(id="rfnd_b", receipt="another", notes=[])

    assert RAZORPAY.found(REFUND, http_response(200, listed(theirs))) is None
    ours = RAZORPAY.found(REFUND, http_response(200, listed(theirs, refund())))
    assert ours is not None
    assert (ours.kind, ours.psp_id) == ("APPROVED", REFUND_ID)


def test_two_refunds_with_our_reference_are_not_chosen_from():
    outcome = RAZORPAY.found(REFUND, http_response(200, listed(refund(), refund(id="rfnd_b"))))

    assert outcome is not None
    assert (outcome.kind, outcome.code) == ("UNKNOWN", "found_twice")


def test_a_list_that_may_go_on_proves_nothing():
    theirs = [refund(id=f"rfnd_{n}", receipt="another", notes=[]) for n in range(100)]

    outcome = RAZORPAY.found(REFUND, http_response(200, listed(*theirs)))

    assert outcome is not None
    assert outcome.code == "list_too_long"


@pytest.mark.parametrize(
    "body",
    [
        {},
        listed({}),
        {"entity": "collection", "count": 1, "items": []},
        listed(refund(payment_id="pay_another")),
    ],
)
def test_a_list_that_cannot_be_read_proves_nothing(body: dict[str, Any]):
    outcome = RAZORPAY.found(REFUND, http_response(200, body))

    assert outcome is not None
    assert outcome.kind == "UNKNOWN"


def test_another_refund_than_the_one_requested_is_never_accepted():
    outcome = RAZORPAY.found(KNOWN, http_response(200, refund(id="rfnd_b")))

    assert outcome is not None
    assert outcome.code == "psp_id_mismatch"


def test_a_refund_of_the_published_shape_is_read():
    body = published("fake_refund.json")
    call = replace(
        REFUND, reference=body["receipt"], target_psp_id=body["payment_id"], amount_minor=body["amount"]
    )

    outcome = RAZORPAY.outcome(call, http_response(200, body))

    assert (outcome.kind, outcome.psp_id, outcome.amount_minor) == ("APPROVED", body["id"], 300100)
    assert body["payment_id"] != PAYMENT_ID
