"""Stripe's events about disputes."""

from typing import Any

import pytest

from tests.gateways.stripe.payloads import (
    INTENT_ID,
)
from tests.gateways.stripe.reading import notice
from tests.gateways.stripe.webhooks import dispute


@pytest.mark.parametrize(
    ("status", "state"),
    [
        ("needs_response", "opened"),
        ("under_review", "opened"),
        ("warning_needs_response", "inquiry"),
        ("warning_under_review", "inquiry"),
        ("never_heard_of", "opened"),
        ("won", "won"),
        ("warning_closed", "closed"),
        ("prevented", "won"),
        ("lost", "lost"),
    ],
)
def test_a_dispute_has_its_state_amount_and_deadline_and_is_found_by_its_intent(status: str, state: str):
    found = notice("charge.dispute.updated", dispute(status))

    assert (found.reference, found.psp_id, found.outcome) == (None, INTENT_ID, None)
    assert found.dispute is not None
    assert found.dispute.model_dump() | {"respond_by": None} == {
        "dispute_id": "du_1MtJUT2eZvKYlo2CNaw2HvEv",
        "state": state,
        "amount_minor": 1099,
        "currency": "USD",
        "reason": "fraudulent",
        "respond_by": None,
    }
    assert found.dispute.respond_by is not None
    assert found.dispute.respond_by.timestamp() == 1795000000


@pytest.mark.parametrize(
    ("currency", "wire", "minor"),
    [("jpy", 500, 500), ("kwd", 5120, 5120), ("isk", 500, 5), ("usd", 500, 500)],
)
def test_a_disputes_amount_is_in_our_minor_units(currency: str, wire: int, minor: int):
    found = notice("charge.dispute.created", dispute(amount=wire, currency=currency))

    assert found.dispute is not None
    assert (found.dispute.amount_minor, found.dispute.currency) == (minor, currency.upper())


@pytest.mark.parametrize("broken", [{"amount": "1099"}, {"amount": 0}, {"currency": None}, {"id": "a b"}])
def test_a_dispute_that_cannot_be_read_is_an_alarm_beside_its_payment(broken: dict[str, Any]):
    found = notice("charge.dispute.created", dispute(**broken))

    assert (found.dispute, found.outcome) == (None, None)
    assert (found.alarm, found.psp_id) == ("dispute_unreadable", INTENT_ID)


@pytest.mark.parametrize(
    "more",
    [
        {"evidence_details": {"due_by": None}},
        {"evidence_details": {"due_by": 0}},
        {"evidence_details": {}},
        {"evidence_details": None},
        {"evidence_details": {"due_by": 2**60}},
        {"reason": None},
        {"reason": "x" * 101},
    ],
)
def test_what_is_only_for_reading_never_costs_the_dispute(more: dict[str, Any]):
    found = notice("charge.dispute.created", dispute(**more))

    assert found.dispute is not None
    assert (found.dispute.state, found.dispute.amount_minor) == ("opened", 1099)


@pytest.mark.parametrize("kind", ["funds_withdrawn", "funds_reinstated"])
def test_where_a_disputes_money_moves_its_state_is_reported_too(kind: str):
    found = notice(f"charge.dispute.{kind}", dispute("won"))

    assert found.dispute is not None
    assert found.dispute.state == "won"
