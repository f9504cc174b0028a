"""Authorizations, captures and releases, over HTTP and as the ledger has them."""

from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from gateways.simulator.core.ledger import Movement, read_movements
from tests.gateways.simulator.client import INTENTS, MANUAL, OVER_KEY, PLAIN_KEY, SEVERAL, Client
from tests.support.movements import captures, minor

PAYMENT = "0f8fad5bd9cb469fa16570867728950e"
REFERENCE = f"{PAYMENT}-a1"
REF = {"metadata[order_ref]": REFERENCE}


def moves(ledger_file: Path) -> list[tuple[str, str, int | None]]:
    return [(one.kind, one.reference, minor(one)) for one in read_movements(ledger_file)]


async def authorized(simulator: Client, **more: str) -> dict[str, Any]:
    response = await simulator.create(**MANUAL, **REF, **more)
    assert response.body["status"] == "requires_capture", response.raw
    return response.body


async def several(simulator: Client) -> dict[str, Any]:
    return (await simulator.create(**SEVERAL, **REF)).body


async def read(simulator: Client, intent: dict[str, Any]) -> dict[str, Any]:
    return (await simulator.ask("GET", f"{INTENTS}/{intent['id']}?expand[]=latest_charge")).body


async def test_a_manual_intent_holds_the_money_and_takes_none(simulator: Client, ledger_file: Path):
    intent = await authorized(simulator)

    charge = (await read(simulator, intent))["latest_charge"]

    assert intent["capture_method"] == "manual"
    assert (intent["amount_capturable"], intent["amount_received"]) == (1099, 0)
    assert (charge["captured"], charge["amount_captured"], charge["paid"]) == (False, 0, True)
    assert captures(ledger_file) == []
    (held,) = read_movements(ledger_file)
    assert held == Movement(
        *("stripe", "authorized", "sim-eu", intent["latest_charge"], intent["id"]),
        *(REFERENCE, REFERENCE, Decimal("10.99"), "USD", held.at),
    )


async def test_a_capture_takes_what_is_held(simulator: Client, ledger_file: Path):
    intent = await authorized(simulator)

    response = await simulator.capture(intent["id"], "k1", **{"metadata[op_c2]": "1099"})

    assert (response.status, response.body["status"]) == (200, "succeeded")
    assert (response.body["amount_capturable"], response.body["amount_received"]) == (0, 1099)
    assert response.body["metadata"] == {"order_ref": REFERENCE, "op_c2": "1099"}
    assert moves(ledger_file) == [("authorized", REFERENCE, 1099), ("captured", f"{PAYMENT}-c2", 1099)]
    (charge,) = captures(ledger_file)
    assert (charge.reference, charge.intent_id) == (f"{PAYMENT}-c2", intent["id"])


async def test_a_final_capture_of_a_part_lets_the_rest_go(simulator: Client, ledger_file: Path):
    intent = await authorized(simulator)

    response = await simulator.capture(intent["id"], amount_to_capture="700", **{"metadata[op_c2]": "700"})

    assert (response.body["status"], response.body["amount_received"]) == ("succeeded", 700)
    assert moves(ledger_file)[1:] == [("captured", f"{PAYMENT}-c2", 700), ("released", f"{PAYMENT}-c2", 399)]
    charge = (await read(simulator, intent))["latest_charge"]
    assert (charge["amount"], charge["amount_captured"]) == (1099, 700)


async def test_the_charge_keeps_the_metadata_that_it_was_made_with(simulator: Client):
    intent = await authorized(simulator)
    await simulator.capture(intent["id"], **{"metadata[op_c2]": "1099", "metadata[order_ref]": ""})

    found = await read(simulator, intent)

    assert found["metadata"] == {"op_c2": "1099"}
    assert found["latest_charge"]["metadata"] == {"order_ref": REFERENCE}


async def test_a_repeated_capture_gets_the_first_response_and_takes_nothing(
    simulator: Client, ledger_file: Path
):
    intent = await several(simulator)
    ask = {"amount_to_capture": "100", "final_capture": "false"}

    first = await simulator.capture(intent["id"], "k1", **ask)
    again = await simulator.capture(intent["id"], "k1", **ask)

    assert (again.raw, again.headers["idempotent-replayed"]) == (first.raw, "true")
    assert len(captures(ledger_file)) == 1


async def test_a_capture_without_a_tag_is_known_by_its_key(simulator: Client, ledger_file: Path):
    intent = await authorized(simulator)

    await simulator.capture(intent["id"], f"{PAYMENT}-c2-1")

    assert moves(ledger_file)[1] == ("captured", f"{PAYMENT}-c2", 1099)


async def test_several_captures_take_parts_until_the_final_one(simulator: Client, ledger_file: Path):
    intent = await several(simulator)
    first = await simulator.capture(
        intent["id"], amount_to_capture="700", final_capture="false", **{"metadata[op_c2]": "700"}
    )
    charge = (await read(simulator, intent))["latest_charge"]
    last = await simulator.capture(intent["id"], amount_to_capture="200", **{"metadata[op_c3]": "200"})

    assert (first.body["status"], first.body["amount_capturable"]) == ("requires_capture", 399)
    assert charge["payment_method_details"]["card"]["multicapture"]["status"] == "available"
    assert (last.body["status"], last.body["amount_received"]) == ("succeeded", 900)
    assert last.body["metadata"] == {"order_ref": REFERENCE, "op_c2": "700", "op_c3": "200"}
    assert moves(ledger_file)[1:] == [
        ("captured", f"{PAYMENT}-c2", 700),
        ("captured", f"{PAYMENT}-c3", 200),
        ("released", f"{PAYMENT}-c3", 199),
    ]


async def test_a_final_capture_of_nothing_lets_the_rest_go(simulator: Client, ledger_file: Path):
    intent = await several(simulator)
    await simulator.capture(intent["id"], amount_to_capture="700", final_capture="false")

    response = await simulator.capture(intent["id"], amount_to_capture="0", **{"metadata[op_v3]": "399"})

    assert (response.body["status"], response.body["amount_received"]) == ("succeeded", 700)
    assert moves(ledger_file)[-1] == ("released", f"{PAYMENT}-v3", 399)


async def test_several_captures_need_an_account_and_an_intent_that_allow_them(simulator: Client):
    plain = simulator.of_account(PLAIN_KEY)
    of_plain = (await plain.create(**SEVERAL)).body
    not_asked_for = await authorized(simulator)

    refused = [
        await plain.capture(of_plain["id"], amount_to_capture="1", final_capture="false"),
        await simulator.capture(not_asked_for["id"], amount_to_capture="1", final_capture="false"),
    ]

    assert [(response.status, response.body["error"]["param"]) for response in refused] == [
        (400, "final_capture")
    ] * 2


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"amount_to_capture": "1100"}, "amount_too_large", None),
        ({"amount_to_capture": "0"}, "parameter_invalid_integer", "amount"),
        ({"amount_to_capture": "-1"}, "parameter_invalid_integer", "amount_to_capture"),
        ({"amount": "1"}, "parameter_unknown", "amount"),
        ({"final_capture": "no"}, None, "final_capture"),
    ],
)
async def test_a_capture_that_stripe_refuses_takes_nothing(
    simulator: Client, ledger_file: Path, fields: dict[str, str], code: str | None, param: str | None
):
    intent = await authorized(simulator)

    response = await simulator.capture(intent["id"], **fields)

    assert response.status == 400
    assert (response.body["error"].get("code"), response.body["error"].get("param")) == (code, param)
    assert captures(ledger_file) == []


async def test_an_account_with_overcapture_takes_more_up_to_its_bound(simulator: Client, ledger_file: Path):
    over = simulator.of_account(OVER_KEY)
    ask = {**MANUAL, "payment_method_options[card][request_overcapture]": "if_available"}
    intent = (await over.create(**ask, amount="1000")).body
    charge = (await read(over, intent))["latest_charge"]

    too_much = await over.capture(intent["id"], amount_to_capture="1201")
    response = await over.capture(intent["id"], amount_to_capture="1200")

    assert charge["payment_method_details"]["card"]["overcapture"]["maximum_amount_capturable"] == 1200
    assert (too_much.status, too_much.body["error"]["code"]) == (400, "amount_too_large")
    assert (response.body["status"], response.body["amount_received"]) == ("succeeded", 1200)
    assert [minor(charge) for charge in captures(ledger_file)] == [1200]


@pytest.mark.parametrize("end", ["capture", "cancel"])
async def test_what_has_ended_is_refused_with_the_intent(simulator: Client, end: str):
    intent = await authorized(simulator)
    ended = (await simulator.post(f"{INTENTS}/{intent['id']}/{end}", {})).body

    refused = [await simulator.capture(intent["id"]), await simulator.cancel(intent["id"])]

    for response in refused:
        assert (response.status, response.body["error"]["code"]) == (400, "payment_intent_unexpected_state")
        assert response.body["error"]["payment_intent"] == ended


async def test_a_cancel_lets_go_what_is_held(simulator: Client, ledger_file: Path):
    intent = await authorized(simulator)

    response = await simulator.cancel(
        intent["id"], f"{PAYMENT}-v2-1", cancellation_reason="requested_by_customer"
    )
    again = await simulator.cancel(
        intent["id"], f"{PAYMENT}-v2-1", cancellation_reason="requested_by_customer"
    )

    assert (response.body["status"], response.body["amount_capturable"]) == ("canceled", 0)
    assert response.body["cancellation_reason"] == "requested_by_customer"
    assert again.raw == response.raw
    assert moves(ledger_file) == [("authorized", REFERENCE, 1099), ("released", f"{PAYMENT}-v2", 1099)]


async def test_a_cancel_after_a_capture_of_a_part_leaves_what_was_taken(simulator: Client, ledger_file: Path):
    intent = await several(simulator)
    await simulator.capture(intent["id"], amount_to_capture="700", final_capture="false")

    response = await simulator.cancel(intent["id"])

    assert (response.body["status"], response.body["amount_received"]) == ("succeeded", 700)
    assert response.body["canceled_at"] is None
    assert Counter(kind for kind, _, _ in moves(ledger_file)) == Counter(
        ["authorized", "captured", "released"]
    )
