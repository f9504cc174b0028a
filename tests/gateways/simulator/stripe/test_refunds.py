import asyncio
from pathlib import Path
from typing import Any

import pytest

from gateways.simulator.core.ledger import read_movements
from tests.gateways.simulator.client import INTENTS, MANUAL, PLAIN_KEY, REFUNDS, SEVERAL, Client, until
from tests.gateways.simulator.conftest import slowly
from tests.support.movements import minor

PAYMENT = "0f8fad5bd9cb469fa16570867728950e"
REFUND = f"{PAYMENT}-r2"


def refunded(ledger_file: Path) -> list[tuple[str, int | None]]:
    return [(one.reference, minor(one)) for one in read_movements(ledger_file) if one.kind == "refunded"]


async def sold(simulator: Client, token: str = "pm_card_visa") -> dict[str, Any]:
    return (await simulator.create(payment_method=token, **{"metadata[order_ref]": f"{PAYMENT}-s1"})).body


async def charge(simulator: Client, intent: dict[str, Any]) -> dict[str, Any]:
    found = await simulator.ask("GET", f"{INTENTS}/{intent['id']}?expand[]=latest_charge")
    return found.body["latest_charge"]


async def test_a_refund_gives_back_all_that_was_taken(simulator: Client, ledger_file: Path):
    intent = await sold(simulator)

    response = await simulator.refund(
        intent["id"], reason="requested_by_customer", **{"metadata[order_ref]": f"{PAYMENT}-r2"}
    )

    assert response.status == 200
    assert (response.body["object"], response.body["status"], response.body["amount"]) == (
        "refund",
        "succeeded",
        1099,
    )
    assert (response.body["payment_intent"], response.body["charge"]) == (
        intent["id"],
        intent["latest_charge"],
    )
    assert (response.body["currency"], response.body["reason"]) == ("usd", "requested_by_customer")
    assert response.body["metadata"] == {"order_ref": f"{PAYMENT}-r2"}
    (*_, moved) = read_movements(ledger_file)
    assert (moved.kind, moved.psp_id, moved.intent_id) == ("refunded", response.body["id"], intent["id"])
    assert (moved.reference, moved.intent_reference) == (f"{PAYMENT}-r2", f"{PAYMENT}-s1")
    shown = await charge(simulator, intent)
    assert (shown["amount_refunded"], shown["refunded"]) == (1099, True)


async def test_a_refund_is_read_by_its_id_and_listed_by_its_intent(simulator: Client):
    intent, other = await sold(simulator), await sold(simulator)
    made = [(await simulator.refund(intent["id"], amount=amount)).body for amount in ("100", "200")]
    await simulator.refund(other["id"])

    read = (await simulator.ask("GET", f"{REFUNDS}/{made[0]['id']}")).body
    listed = (await simulator.ask("GET", f"{REFUNDS}?payment_intent={intent['id']}&limit=1")).body
    rest = await simulator.ask(
        "GET", f"{REFUNDS}?payment_intent={intent['id']}&starting_after={listed['data'][0]['id']}"
    )

    assert read == made[0]
    assert (listed["object"], listed["data"], listed["has_more"]) == ("list", [made[1]], True)
    assert rest.body["data"] == [made[0]]


async def test_a_charge_is_read_with_its_newest_ten_refunds_where_they_are_requested(simulator: Client):
    intent = await sold(simulator)
    made = [(await simulator.refund(intent["id"], amount="10")).body for _ in range(11)]

    plain = await charge(simulator, intent)
    path = f"{INTENTS}/{intent['id']}?expand[]=latest_charge.refunds"
    shown = (await simulator.ask("GET", path)).body["latest_charge"]

    assert "refunds" not in plain
    assert shown["refunds"] == {
        "object": "list",
        "data": made[:0:-1],
        "has_more": True,
        "url": f"/v1/charges/{intent['latest_charge']}/refunds",
    }


async def test_a_refund_may_name_the_charge(simulator: Client, ledger_file: Path):
    intent = await sold(simulator)

    response = await simulator.post(
        REFUNDS, {"charge": intent["latest_charge"], "amount": "99"}, f"{REFUND}-1"
    )

    assert response.body["payment_intent"] == intent["id"]
    assert refunded(ledger_file) == [(REFUND, 99)]


async def test_a_repeated_refund_gives_back_once(simulator: Client, ledger_file: Path):
    intent = await sold(simulator)

    first = await simulator.refund(intent["id"], f"{REFUND}-1", amount="100")
    again = await simulator.refund(intent["id"], f"{REFUND}-1", amount="100")

    assert first.raw == again.raw
    assert refunded(ledger_file) == [(REFUND, 100)]


async def test_no_more_is_given_back_than_was_taken(simulator: Client, ledger_file: Path):
    intent = await sold(simulator)
    await simulator.refund(intent["id"], amount="1000")

    too_much = await simulator.refund(intent["id"], amount="100")
    rest = await simulator.refund(intent["id"])
    nothing_left = await simulator.refund(intent["id"])

    assert too_much.status == 400
    assert (too_much.body["error"]["param"], too_much.body["error"].get("code")) == ("amount", None)
    assert rest.body["amount"] == 99
    assert (nothing_left.status, nothing_left.body["error"]["code"]) == (400, "charge_already_refunded")
    assert sum(amount or 0 for _, amount in refunded(ledger_file)) == 1099


async def test_what_was_captured_so_far_can_be_refunded_and_no_more(simulator: Client):
    intent = (await simulator.create(**SEVERAL)).body
    held = await simulator.refund(intent["id"])
    await simulator.capture(intent["id"], amount_to_capture="700", final_capture="false")

    too_much = await simulator.refund(intent["id"], amount="701")
    response = await simulator.refund(intent["id"])

    assert (held.status, too_much.status) == (400, 400)
    assert response.body["amount"] == 700
    assert (await charge(simulator, intent))["refunded"] is False


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"amount": "0"}, "amount"),
        ({"amount": "1.5"}, "amount"),
        ({"reason": "regret"}, "reason"),
        ({"charge": "ch_1"}, "payment_intent"),
        ({"reverse_transfer": "true"}, "reverse_transfer"),
    ],
)
async def test_a_refund_that_stripe_refuses_names_the_parameter(
    simulator: Client, ledger_file: Path, fields: dict[str, str], param: str
):
    intent = await sold(simulator)

    response = await simulator.refund(intent["id"], **fields)

    assert (response.status, response.body["error"]["param"]) == (400, param)
    assert refunded(ledger_file) == []


async def test_an_authorization_has_nothing_to_refund(simulator: Client):
    intent = (await simulator.create(**MANUAL)).body

    assert (await simulator.refund(intent["id"])).status == 400


@slowly
async def test_a_pending_refund_reserves_and_succeeds_later(simulator: Client, ledger_file: Path):
    intent = await sold(simulator, "pm_card_pendingRefund")
    pending = (await simulator.refund(intent["id"], amount="1000")).body

    too_much = await simulator.refund(intent["id"], amount="100")
    before = refunded(ledger_file)
    await until(lambda: refunded(ledger_file) != [])

    assert (pending["status"], too_much.status, before) == ("pending", 400, [])
    assert (await simulator.ask("GET", f"{REFUNDS}/{pending['id']}")).body["status"] == "succeeded"


@slowly
async def test_a_pending_refund_that_fails_lets_go_what_it_reserved(simulator: Client, ledger_file: Path):
    intent = await sold(simulator, "pm_sim_refund_pending_fails")
    pending = (await simulator.refund(intent["id"])).body
    assert (await charge(simulator, intent))["amount_refunded"] == 1099

    async with asyncio.timeout(20):
        while (read := (await simulator.ask("GET", f"{REFUNDS}/{pending['id']}")).body)[
            "status"
        ] == "pending":
            pass

    assert (read["status"], read["failure_reason"]) == ("failed", "expired_or_canceled_card")
    assert (await charge(simulator, intent))["amount_refunded"] == 0
    assert refunded(ledger_file) == []


async def test_a_refund_may_fail_at_once(simulator: Client, ledger_file: Path):
    intent = await sold(simulator, "pm_sim_refund_failed")

    response = await simulator.refund(intent["id"])

    assert (response.status, response.body["status"]) == (200, "failed")
    assert refunded(ledger_file) == []


async def test_a_refund_of_another_account_is_not_there(simulator: Client):
    intent = await sold(simulator)
    refund = (await simulator.refund(intent["id"], amount="1")).body
    other = simulator.of_account(PLAIN_KEY)

    assert (await other.refund(intent["id"])).status == 404
    assert (await other.ask("GET", f"{REFUNDS}/{refund['id']}")).status == 404
    assert (await other.ask("GET", REFUNDS)).body["data"] == []
