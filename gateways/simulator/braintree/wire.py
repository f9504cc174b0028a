"""Reads the inputs of mutations. Invariant: what is refused here was not done, and has the code of
Braintree's own validation error.
"""

from collections.abc import Mapping
from typing import Any, Final, NamedTuple

from gateways.simulator.braintree.currencies import CURRENCIES, LARGEST, read
from gateways.simulator.braintree.documents import GraphqlRequest, invalid
from gateways.simulator.braintree.scenarios import Scenario, chosen
from gateways.simulator.core.accounts import Account
from gateways.simulator.core.psp import payment_of

_PREFIX: Final = "acct_"
_MESSAGES: Final = {
    "91564": "Cannot use a payment method nonce more than once.",
    "81715": "Credit card number is invalid.",
}


class Pay(NamedTuple):
    """A charge or an authorization that was checked. `mills`: the amount. `manual`: it only authorizes."""

    nonce: str
    mills: int
    currency: str
    merchant_account: str
    reference: str | None
    manual: bool
    scenario: Scenario

    @property
    def payment(self) -> str | None:
        """The part of the reference that all attempts at one payment share."""
        return payment_of(self.reference)


def pay(params: GraphqlRequest, account: Account) -> Pay:
    """Reads a charge or an authorization. Raises `Refusal` with Braintree's validation code."""
    sent, path = params.input["transaction"], ("input", "transaction")
    merchant_account = sent.get("merchantAccountId") or default_merchant_account(account)
    currency = _currency(merchant_account, account)
    if currency is None:
        raise invalid("Merchant account ID is invalid.", "91513", (*path, "merchantAccountId"))
    mills = _mills(sent["amount"], currency, (*path, "amount"))
    reference = sent.get("orderId")
    if reference is not None and len(reference) > 255:
        raise invalid("Order ID is too long.", "91501", (*path, "orderId"))
    nonce = params.input["paymentMethodId"]
    by_amount = account.options.get("amounts_decide") != "false"
    scenario = chosen(nonce, mills, by_amount=by_amount)
    if scenario is None:
        raise invalid("Unknown or expired single-use payment method.", "91565", ("input", "paymentMethodId"))
    if scenario.invalid:
        raise invalid(_MESSAGES[scenario.code], scenario.code, ("input", "paymentMethodId"))
    manual = params.field.startswith("authorize")
    return Pay(nonce, mills, currency, merchant_account, reference, manual, scenario)


def amount(given: Mapping[str, Any] | None, currency: str, path: tuple[str, ...]) -> int | None:
    """Reads an optional amount, in mills. None: there is none, so all is meant."""
    amount_sent = (given or {}).get("amount")
    return None if amount_sent is None else _mills(amount_sent, currency, path)


def default_merchant_account(account: Account) -> str:
    """The merchant account that is used where a mutation names none; its currency is the amount's."""
    named = _merchant_accounts(account)
    return next(iter(named)) if named else f"{_PREFIX}usd"


def _currency(merchant_account: str, account: Account) -> str | None:
    named = _merchant_accounts(account)
    if named:
        return named.get(merchant_account)
    currency = merchant_account.removeprefix(_PREFIX).upper()
    plain = merchant_account == f"{_PREFIX}{currency.lower()}"
    return currency if plain and currency in CURRENCIES else None


def _merchant_accounts(account: Account) -> dict[str, str]:
    pairs = (pair.partition("=") for pair in account.options.get("merchant_accounts", "").split(",") if pair)
    return {name: currency for currency, _, name in pairs}


def _mills(amount_sent: Any, currency: str, path: tuple[str, ...]) -> int:
    mills = read(str(amount_sent), currency)
    if mills is None:
        raise invalid("Amount is an invalid format.", "81503", path)
    if mills <= 0:
        raise invalid("Amount must be greater than zero.", "81531", path)
    if mills > LARGEST:
        raise invalid("Amount is too large.", "81528", path)
    return mills
