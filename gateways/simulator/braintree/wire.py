"""What is asked of the gateway, checked. Invariant: what is refused here was not done, and says so with the code of
Braintree's own validation error.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from aggregates import money
from gateways.braintree import amounts
from gateways.simulator.accounts import Account
from gateways.simulator.braintree.documents import Asked, invalid
from gateways.simulator.braintree.scenarios import Scenario, chosen

_PREFIX: Final = "acct_"
_MESSAGES: Final = {
    "91564": "Cannot use a payment method nonce more than once.",
    "81715": "Credit card number is invalid.",
}


class Pay(NamedTuple):
    nonce: str
    minor: int
    currency: str
    merchant_account: str
    reference: str | None
    manual: bool
    scenario: Scenario

    @property
    def payment(self) -> str | None:
        """What all attempts at one payment have in common, as AegisPay names its operations."""
        return None if self.reference is None else self.reference.partition("-")[0]


def pay(asked: Asked, account: Account) -> Pay:
    sent, path = asked.input["transaction"], ("input", "transaction")
    merchant_account = sent.get("merchantAccountId") or default_merchant_account(account)
    currency = _currency(merchant_account, account)
    if currency is None:
        raise invalid("Merchant account ID is invalid.", "91513", (*path, "merchantAccountId"))
    minor = _minor(sent["amount"], currency, (*path, "amount"))
    reference = sent.get("orderId")
    if reference is not None and len(reference) > 255:
        raise invalid("Order ID is too long.", "91501", (*path, "orderId"))
    nonce = asked.input["paymentMethodId"]
    by_amount = account.options.get("amounts_decide") != "false"
    scenario = chosen(nonce, minor, currency, by_amount=by_amount)
    if scenario is None:
        raise invalid("Unknown or expired single-use payment method.", "91565", ("input", "paymentMethodId"))
    if scenario.invalid:
        raise invalid(_MESSAGES[scenario.code], scenario.code, ("input", "paymentMethodId"))
    manual = asked.field.startswith("authorize")
    return Pay(nonce, minor, currency, merchant_account, reference, manual, scenario)


def amount(given: Mapping[str, Any] | None, currency: str, path: tuple[str, ...]) -> int | None:
    """None: it is not said."""
    said = (given or {}).get("amount")
    return None if said is None else _minor(said, currency, path)


def default_merchant_account(account: Account) -> str:
    named = _merchant_accounts(account)
    return next(iter(named)) if named else f"{_PREFIX}usd"


def _currency(merchant_account: str, account: Account) -> str | None:
    named = _merchant_accounts(account)
    if named:
        return named.get(merchant_account)
    currency = merchant_account.removeprefix(_PREFIX).upper()
    plain = merchant_account == f"{_PREFIX}{currency.lower()}"
    return currency if plain and currency in amounts.CURRENCIES else None


def _merchant_accounts(account: Account) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in account.options.get("merchant_accounts", "").split(",") if pair)
    return {name: currency for currency, _, name in pairs}


def _minor(said: Any, currency: str, path: tuple[str, ...]) -> int:
    minor = amounts.from_wire(str(said), currency)
    if minor is None:
        raise invalid("Amount is an invalid format.", "81503", path)
    if minor <= 0:
        raise invalid("Amount must be greater than zero.", "81531", path)
    if minor > money.bound_minor(currency):
        raise invalid("Amount is too large.", "81528", path)
    return minor
