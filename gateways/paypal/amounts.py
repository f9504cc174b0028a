"""PayPal's decimal amounts. Invariant: nothing is rounded; what cannot be written exactly is refused.

Source: developer.paypal.com/api/rest/reference/currency-codes. No currency with three decimals is taken.
"""

# ruff: noqa: SIM905 - a table of codes reads better as a paragraph

from typing import Any, Final

from gateways.wire.json import object_of
from gateways.wire.money import NotExpressible, decimal_text, from_decimal_text

_WHOLE: Final = frozenset({"HUF", "JPY", "TWD"})
# BRL, CNY and MYR are taken within their countries only: the account's owner knows, PayPal refuses where
# it is another.
CURRENCIES: Final = _WHOLE | frozenset(
    "AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD ILS MXN MYR NOK NZD PHP PLN SEK SGD THB USD".split()
)


def to_wire(amount_minor: int, currency: str) -> dict[str, str]:
    """PayPal's money for an amount of ours. Raises `NotExpressible`."""
    if currency not in CURRENCIES:
        raise NotExpressible("currency_not_supported", f"PayPal takes no payment in {currency}")
    whole, _, part = decimal_text(amount_minor, currency).partition(".")
    lost = currency in _WHOLE and part.strip("0")
    if amount_minor <= 0 or lost:
        detail = f"PayPal takes no decimals in {currency}" if lost else "PayPal takes amounts above 0"
        raise NotExpressible("amount_not_expressible", detail)
    return {"currency_code": currency, "value": whole if currency in _WHOLE else f"{whole}.{part}"}


def from_wire(value: Any) -> tuple[int, str] | None:
    """Our minor units and the currency of PayPal's money. None: it is not readable, or no whole number of
    them."""
    money = object_of(value)
    currency = money.get("currency_code")
    if not isinstance(currency, str) or currency not in CURRENCIES:
        return None
    minor = from_decimal_text(money.get("value"), currency, decimals_max=2)
    return None if minor is None else (minor, currency)
