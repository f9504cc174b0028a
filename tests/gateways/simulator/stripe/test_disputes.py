"""Disputes: opened by themselves some time after the payment, and ended by the token or by the merchant's
evidence.
"""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tests.gateways.simulator.client import INTENTS, MANUAL, PLAIN_KEY, Client, until
from tests.gateways.simulator.receiver import Receiver
from tests.gateways.simulator.stripe.test_events import PAYMENT, read
from tests.gateways.simulator.taken import taken

REF = {"metadata[order_ref]": f"{PAYMENT}-s1"}


async def event(receiver: Receiver, kind: str) -> dict[str, Any]:
    """The object of the one of this kind, once it has come."""
    kind = f"charge.dispute.{kind}"
    await until(lambda: kind in receiver.types, 10)
    found: dict[str, Any] = receiver.came[receiver.types.index(kind)].event["data"]["object"]
    return found


async def test_a_dispute_is_opened_and_the_money_withdrawn(hearing: Client, receiver: Receiver):
    intent = (await hearing.create(payment_method="pm_card_createDispute", **REF)).body

    dispute = await event(receiver, "created")
    await event(receiver, "funds_withdrawn")

    assert (dispute["status"], dispute["reason"]) == ("needs_response", "fraudulent")
    assert (dispute["amount"], dispute["currency"]) == (1099, "usd")
    assert (dispute["payment_intent"], dispute["charge"]) == (intent["id"], intent["latest_charge"])
    shown = (await hearing.ask("GET", f"{INTENTS}/{intent['id']}?expand[]=latest_charge")).body
    assert shown["latest_charge"]["disputed"]
    assert (await hearing.ask("GET", f"/v1/disputes/{dispute['id']}")).body == dispute
    assert (await hearing.refund(intent["id"])).body["error"]["code"] == "charge_disputed"


@pytest.mark.parametrize(
    ("token", "ends"),
    [
        ("pm_sim_dispute_won", ("won", "won")),
        ("pm_sim_dispute_lost", ("lost", "lost")),
        ("pm_card_createDisputeInquiry", ("warning_closed", "closed")),
    ],
)
async def test_a_dispute_may_end_by_itself(
    hearing: Client, receiver: Receiver, ledger_file: Path, token: str, ends: tuple[str, str]
):
    await hearing.create(payment_method=token, **REF)

    closed = await event(receiver, "closed")

    status, state = ends
    assert closed["status"] == status
    (notice,) = read(receiver.came[receiver.types.index("charge.dispute.closed")])
    assert notice.dispute is not None
    assert (notice.dispute.state, notice.psp_id) == (state, closed["payment_intent"])
    assert taken(ledger_file) == {closed["id"]: Decimal("10.99") if state == "lost" else Decimal()}


@pytest.mark.parametrize(("evidence", "status"), [("winning_evidence", "won"), ("losing_evidence", "lost")])
async def test_the_shops_evidence_ends_a_dispute(
    hearing: Client, receiver: Receiver, evidence: str, status: str
):
    await hearing.create(payment_method="pm_card_createDisputeProductNotReceived")
    dispute = await event(receiver, "created")
    form = {"evidence[uncategorized_text]": evidence}

    response = await hearing.post(f"/v1/disputes/{dispute['id']}", form)

    assert (response.status, response.body["status"]) == (200, status)
    assert (await event(receiver, "closed"))["status"] == status
    assert (await hearing.post(f"/v1/disputes/{dispute['id']}", form)).status == 400


async def test_a_hold_is_not_disputed_before_it_is_captured(hearing: Client, receiver: Receiver):
    held = (await hearing.create(payment_method="pm_card_createDispute", **MANUAL)).body["id"]
    sold = (await hearing.create(payment_method="pm_card_createDispute")).body["id"]

    assert (await event(receiver, "created"))["payment_intent"] == sold
    await hearing.capture(held)

    def disputed() -> set[str]:
        return {
            one.event["data"]["object"]["payment_intent"]
            for one in receiver.came
            if one.event["type"] == "charge.dispute.created"
        }

    await until(lambda: disputed() == {held, sold}, 10)


async def test_a_dispute_of_another_account_is_not_there(hearing: Client, receiver: Receiver):
    await hearing.create(payment_method="pm_card_createDispute")
    dispute = await event(receiver, "created")

    response = await hearing.of_account(PLAIN_KEY).ask("GET", f"/v1/disputes/{dispute['id']}")

    assert (response.status, response.body["error"]["code"]) == (404, "resource_missing")
