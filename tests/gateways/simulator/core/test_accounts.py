from pathlib import Path

import pytest

from gateways.simulator import registry
from gateways.simulator.core.accounts import Account, Accounts
from gateways.simulator.core.ledger import read_movements
from tests.gateways.simulator.client import INTENTS, MANUAL, PLAIN_KEY, Client

REF = {"metadata[order_ref]": "r-1"}


def section(name: str = "a", gateway: str = "stripe", secret: str = "secretkey", more: str = "") -> str:
    return f'[accounts.{name}]\ngateway = "{gateway}"\nsecret = "{secret}"\n{more}\n'


def test_without_a_file_each_psp_has_the_one_account_that_anybody_knows():
    accounts = registry.accounts(None)

    assert accounts.well_known
    assert [(one.gateway, one.name) for one in accounts.all] == [(p.name, p.name) for p in registry.PSPS]


def test_an_account_is_all_that_its_table_says():
    more = 'login = "l"\noptions = { multicapture = "true" }\nwebhook_secret = "w"\nwebhook_url = "http://localhost/w"'

    (account,) = registry.accounts(section(more=more)).all

    assert account == Account(
        "a", "stripe", "secretkey", "l", {"multicapture": "true"}, "http://localhost/w", "w"
    )
    assert "secretkey" not in repr(account)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "accounts = 1",
        "[accounts]",
        "[accounts",
        "secretkey",
        section(gateway="nobody"),
        section(secret=""),
        section(name="A"),
        section(more="webhook_url = 'secretkey'"),
        section(more="fast = 'secretkey'"),
        section(more="secret = 'secretkey'"),
        section(more="options = { fast = 'secretkey' }"),
        section(more="options = { overcapture_percent = 'secretkey' }"),
        section(more="options = { multicapture = 1 }"),
        section() + section(name="b"),
    ],
)
def test_what_makes_no_sense_is_refused_without_showing_a_secret(text: str):
    with pytest.raises(ValueError) as refused:
        registry.accounts(text)

    assert "secretkey" not in str(refused.value)


def test_a_secret_is_one_of_its_psp_and_goes_with_its_login():
    accounts = Accounts([Account("a", "stripe", "s", "l"), Account("b", "adyen", "s", "m")])

    assert accounts.admitted("stripe", "s") == accounts.all[0]
    assert accounts.admitted("adyen", "s", "m") == accounts.all[1]
    assert accounts.admitted("adyen", "s", "l") is None
    assert accounts.admitted("paypal", "s") is None
    assert accounts.admitted("stripe", "\udcff") is None


async def test_each_account_has_its_own_intents_and_keys(simulator: Client, ledger_file: Path):
    other = simulator.of_account(PLAIN_KEY)
    ours = (await simulator.create(key="k1", **REF, **MANUAL)).body
    theirs = (await other.create(key="k1", **REF, **MANUAL)).body

    searched = (await other.ask("GET", f"{INTENTS}/search?query=metadata['order_ref']:'r-1'")).body["data"]
    listed = (await other.ask("GET", INTENTS)).body["data"]

    assert [intent["id"] for intent in searched] == [intent["id"] for intent in listed] == [theirs["id"]]
    for response in (
        await other.ask("GET", f"{INTENTS}/{ours['id']}"),
        await other.ask("GET", f"{INTENTS}?starting_after={ours['id']}"),
        await other.capture(ours["id"]),
        await other.cancel(ours["id"]),
    ):
        assert (response.status, response.body["error"]["code"]) == (404, "resource_missing")
    assert {(one.account, one.intent_id) for one in read_movements(ledger_file)} == {
        ("sim-eu", ours["id"]),
        ("sim-us", theirs["id"]),
    }


async def test_a_card_may_be_declined_at_the_first_account_only(simulator: Client):
    first = await simulator.create(payment_method="pm_sim_soft_here")
    other = await simulator.of_account(PLAIN_KEY).create(payment_method="pm_sim_soft_here")

    assert (first.status, first.body["error"]["decline_code"]) == (402, "insufficient_funds")
    assert (other.status, other.body["status"]) == (200, "succeeded")
