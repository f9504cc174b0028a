"""Challenges and declines of every kind, over HTTP and as the ledger has them."""

from pathlib import Path
from typing import Any

import pytest

from gateways.simulator.core.ledger import read_movements
from tests.gateways.simulator.client import INTENTS, MANUAL, Client
from tests.support.movements import captures, minor

PAYMENT = "0f8fad5bd9cb469fa16570867728950e"
REFERENCE = f"{PAYMENT}-a1"
REF = {"metadata[order_ref]": REFERENCE}
CHALLENGE = {"payment_method": "pm_card_threeDSecure2Required", "return_url": "https://shop.example/back"}


def moves(ledger_file: Path) -> list[tuple[str, str, int | None]]:
    return [(one.kind, one.reference, minor(one)) for one in read_movements(ledger_file)]


async def read(simulator: Client, intent: dict[str, Any]) -> dict[str, Any]:
    return (await simulator.ask("GET", f"{INTENTS}/{intent['id']}?expand[]=latest_charge")).body


async def test_a_challenge_of_a_manual_intent_ends_in_an_authorization(simulator: Client, ledger_file: Path):
    intent = (await simulator.create(**CHALLENGE, **MANUAL, **REF)).body
    assert moves(ledger_file) == []

    await simulator.pass_challenge(intent)

    assert (await read(simulator, intent))["status"] == "requires_capture"
    assert moves(ledger_file) == [("authorized", REFERENCE, 1099)]
    assert (await simulator.capture(intent["id"])).body["status"] == "succeeded"


@pytest.mark.parametrize(
    ("token", "status"),
    [("pm_card_visa", "succeeded"), ("pm_card_visa_chargeDeclined", "requires_payment_method")],
)
async def test_a_challenge_may_be_demanded_of_any_card(simulator: Client, token: str, status: str):
    demand = {"payment_method_options[card][request_three_d_secure]": "any"}
    intent = (await simulator.create(**{**CHALLENGE, "payment_method": token}, **demand)).body
    assert intent["status"] == "requires_action"
    assert intent["payment_method_options"]["card"]["request_three_d_secure"] == "any"

    await simulator.pass_challenge(intent)

    assert (await read(simulator, intent))["status"] == status


async def test_without_the_customer_a_challenge_is_a_decline(simulator: Client):
    response = await simulator.create(**CHALLENGE, off_session="true")

    assert (response.status, response.body["error"]["code"]) == (402, "authentication_required")


async def test_what_does_nothing_stands_in_the_intent(simulator: Client):
    response = await simulator.create(
        customer="cus_1", setup_future_usage="off_session", statement_descriptor_suffix="ORDER 7"
    )

    names = ("customer", "setup_future_usage", "statement_descriptor_suffix")
    assert [response.body[name] for name in names] == ["cus_1", "off_session", "ORDER 7"]


@pytest.mark.parametrize(("token", "attempts"), [("pm_sim_declined_once", 2), ("pm_sim_declined_twice", 3)])
async def test_a_payment_may_be_declined_before_it_succeeds(simulator: Client, token: str, attempts: int):
    responses = [
        (await simulator.create(payment_method=token, **{"metadata[order_ref]": f"{PAYMENT}-s{number}"}))
        for number in range(1, attempts + 1)
    ]
    other = await simulator.create(payment_method=token, **{"metadata[order_ref]": "another-s1"})

    assert [response.status for response in responses] == [402] * (attempts - 1) + [200]
    assert other.status == 402


async def test_an_intent_may_be_unlisted_for_a_while_and_still_be_there(simulator: Client, ledger_file: Path):
    intent = (await simulator.create(payment_method="pm_sim_unlisted", **REF)).body

    found = await simulator.ask("GET", f"{INTENTS}/search?query=metadata['order_ref']:'{REFERENCE}'")
    listed = await simulator.ask("GET", INTENTS)

    assert (found.body["data"], listed.body["data"]) == ([], [])
    assert (await read(simulator, intent))["status"] == "succeeded"
    assert len(captures(ledger_file)) == 1


@pytest.mark.parametrize(
    ("token", "code", "network"),
    [
        ("pm_card_visa_chargeDeclined__ada", "generic_decline", "05"),
        ("pm_card_visa_chargeDeclinedLostCard__order-7", "lost_card", "41"),
        ("pm_sim_never_again", "generic_decline", "14"),
    ],
)
async def test_a_cards_name_behind_a_token_chooses_nothing(
    simulator: Client, token: str, code: str, network: str
):
    response = await simulator.create(payment_method=token, **REF)

    error = response.body["error"]
    assert (response.status, error["decline_code"], error["network_decline_code"]) == (402, code, network)
    assert error["payment_method"]["id"] == token
