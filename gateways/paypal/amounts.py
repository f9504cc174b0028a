"""How PayPal writes an amount: a decimal string. Invariant: nothing is rounded; what cannot be written exactly is refused.

Source: developer.paypal.com, currency codes. No currency with three decimals is taken.
"""

# ruff: noqa: SIM905 - a table of codes reads better as a paragraph

import re
from typing import Any, Final, Literal

from aggregates import money

_WHOLE: Final = frozenset({"HUF", "JPY", "TWD"})
# BRL, CNY and MYR are taken within their countries only: the account's owner knows, PayPal refuses where it is another.
CURRENCIES: Final = _WHOLE | frozenset(
    "AUD BRL CAD CHF CNY CZK DKK EUR GBP HKD ILS MXN MYR NOK NZD PHP PLN SEK SGD THB USD".split()
)
_VALUE: Final = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,2}))?")


class NotExpressible(ValueError):
    def __init__(
        self, code: Literal["amount_not_expressible", "currency_not_supported"], detail: str
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def to_wire(amount_minor: int, currency: str) -> dict[str, str]:
    """Our minor units as PayPal's money. Raises `NotExpressible`."""
    if currency not in CURRENCIES or currency not in money.CURRENCIES:
        raise NotExpressible("currency_not_supported", f"PayPal takes no payment in {currency}")
    whole, part = divmod(amount_minor, 10 ** money.exponent(currency))
    if amount_minor <= 0 or (part and currency in _WHOLE):
        detail = f"PayPal takes no decimals in {currency}" if part else "PayPal takes amounts above 0"
        raise NotExpressible("amount_not_expressible", detail)
    value = str(whole) if currency in _WHOLE else f"{whole}.{part:02d}"
    return {"currency_code": currency, "value": value}


def from_wire(said: Any) -> tuple[int, str] | None:
    """PayPal's money in our minor units and currency; None where it is not readable, or no whole number of them."""
    if not isinstance(said, dict):
        return None
    currency, value = said.get("currency_code"), said.get("value")
    if not isinstance(currency, str) or currency not in CURRENCIES or not isinstance(value, str):
        return None
    if (read := _VALUE.fullmatch(value)) is None:
        return None
    hundredths = int(read[1]) * 100 + int((read[2] or "").ljust(2, "0"))
    minor, lost = divmod(hundredths, 10 ** (2 - money.exponent(currency)))
    return None if lost else (minor, currency)
