"""A payment that has a token for each of several gateways, and the accounts that take it."""

from pathlib import Path

from infra.psp.accounts import Accounts
from tests.infra.psp.test_accounts import EU

SHOP = (
    """
[merchants.shop]
accounts = ["ady", "sim-eu", "pp"]
[accounts.ady]
gateway = "adyen"
base_url = "https://checkout-test.adyen.com"
secret_file = "ady.key"
currencies = ["EUR"]
options = { merchant_account = "Shop" }
[accounts.pp]
gateway = "paypal"
base_url = "https://api-m.paypal.com"
secret_file = "pp.key"
options = { client_id = "client", webhook_id = "hook" }
"""
    + EU
)


def accounts(folder: Path) -> Accounts:
    file = folder / "accounts.toml"
    file.write_text(SHOP)
    return Accounts.load(file)


def test_the_accounts_of_every_gateway_with_a_token_take_the_payment_in_the_order_of_the_list(tmp_path: Path):
    tokens = {"stripe": "pm_card_visa", "adyen": "8416034123456789"}
    route = accounts(tmp_path).for_payment("shop", "EUR", None, tokens)

    assert [psp.account for psp in route.accounts] == ["ady", "sim-eu"]
    assert [psp.token(None, tokens) for psp in route.accounts] == ["8416034123456789", "pm_card_visa"]
    assert route.excluded == {"pp": "is at paypal, and payment_methods has no token of paypal"}


def test_an_account_without_the_currency_is_excluded_with_that_reason(tmp_path: Path):
    tokens = {"stripe": "pm_card_visa", "adyen": "8416034123456789"}
    route = accounts(tmp_path).for_payment("shop", "USD", None, tokens)

    assert [psp.account for psp in route.accounts] == ["sim-eu"]
    assert route.excluded["ady"] == "does not take USD"


def test_where_no_account_has_a_token_each_is_named_with_the_reason(tmp_path: Path):
    route = accounts(tmp_path).for_payment("shop", "EUR", None, {"braintree": "vault-1"})

    assert route.accounts == ()
    for account, gateway in (("ady", "adyen"), ("sim-eu", "stripe"), ("pp", "paypal")):
        assert (
            f"{account} is at {gateway}, and payment_methods has no token of {gateway}" in route.none_because
        )


def test_one_token_excludes_the_accounts_of_other_gateways(tmp_path: Path):
    route = accounts(tmp_path).for_payment("shop", "EUR", "stripe:pm_card_visa")

    assert [psp.account for psp in route.accounts] == ["sim-eu"]
    assert route.excluded == {
        "ady": "is at adyen, and the payment_method is a token of stripe",
        "pp": "is at paypal, and the payment_method is a token of stripe",
    }
