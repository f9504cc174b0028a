from pathlib import Path

import pytest

from gateways.simulator.accounts import Account, Accounts
from gateways.simulator.ledger import read_movements
from tests.gateways.simulator.client import INTENTS, MANUAL, PLAIN_KEY, Client

REF = {"metadata[order_ref]": "r-1"}


def test_one_plain_key_is_the_account_default():
    assert Accounts.parse("sk_test_a").by_key == {"sk_test_a": Account("default")}


def test_pairs_are_accounts_with_options():
    text = "sim-eu+multicapture=sk_a, sim-us=sk_b,three+overcapture:15+multicapture=sk_c"

    assert Accounts.parse(text).by_key == {
        "sk_a": Account("sim-eu", multicapture=True),
        "sk_b": Account("sim-us"),
        "sk_c": Account("three", multicapture=True, overcapture_percent=15),
    }


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a=k1,a=k2",
        "a=secretkey,b=secretkey",
        "a=",
        "=secretkey",
        "a=secretkey,",
        "a+fast=secretkey",
        "k1,k2",
    ],
)
def test_what_makes_no_sense_is_refused_without_showing_a_key(text: str):
    with pytest.raises(ValueError) as refused:
        Accounts.parse(text)

    assert "secretkey" not in str(refused.value)


async def test_each_account_has_its_own_intents_and_keys(simulator: Client, ledger_file: Path):
    other = simulator.of_account(PLAIN_KEY)
    ours = (await simulator.create(key="k1", **REF, **MANUAL)).body
    theirs = (await other.create(key="k1", **REF, **MANUAL)).body

    searched = (await other.ask("GET", f"{INTENTS}/search?query=metadata['order_ref']:'r-1'")).body["data"]
    listed = (await other.ask("GET", INTENTS)).body["data"]

    assert [intent["id"] for intent in searched] == [intent["id"] for intent in listed] == [theirs["id"]]
    for said in (
        await other.ask("GET", f"{INTENTS}/{ours['id']}"),
        await other.ask("GET", f"{INTENTS}?starting_after={ours['id']}"),
        await other.capture(ours["id"]),
        await other.cancel(ours["id"]),
    ):
        assert (said.status, said.body["error"]["code"]) == (404, "resource_missing")
    assert {(one.account, one.intent_id) for one in read_movements(ledger_file)} == {
        ("sim-eu", ours["id"]),
        ("sim-us", theirs["id"]),
    }


async def test_a_card_may_be_declined_at_the_first_account_only(simulator: Client):
    first = await simulator.create(payment_method="pm_sim_soft_here")
    other = await simulator.of_account(PLAIN_KEY).create(payment_method="pm_sim_soft_here")

    assert (first.status, first.body["error"]["decline_code"]) == (402, "insufficient_funds")
    assert (other.status, other.body["status"]) == (200, "succeeded")
