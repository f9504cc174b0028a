"""How Braintree writes an amount: a decimal string. Invariant: nothing is rounded; what cannot be written is refused.

Source: the scalar `Amount` of the GraphQL schema ("up to 3 decimal places"), "must match the currency format of the
merchant account". Braintree names no list of decimals: it is ISO 4217's. IDR, whose format it does not say, is not
taken.
"""

import re
from typing import Final, Literal

from aggregates import money

CURRENCIES: Final = frozenset(money.CURRENCIES) - {"IDR"}
_WRITTEN: Final = re.compile(r"([0-9]{1,12})(?:\.([0-9]{1,3}))?")


class NotExpressible(ValueError):
    def __init__(
        self, code: Literal["amount_not_expressible", "currency_not_supported"], detail: str
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def to_wire(amount_minor: int, currency: str) -> str:
    """Our minor units with the currency's decimals. Raises `NotExpressible`."""
    if currency not in CURRENCIES:
        raise NotExpressible("currency_not_supported", f"how Braintree writes {currency} is not known")
    decimals = money.exponent(currency)
    whole, part = divmod(amount_minor, 10**decimals)
    if amount_minor <= 0 or whole >= 10**12:
        raise NotExpressible(
            "amount_not_expressible", "Braintree takes amounts above 0, of 12 digits at most"
        )
    return f"{whole}.{part:0{decimals}d}" if decimals else str(whole)


def from_wire(wire: object, currency: str) -> int | None:
    """In our minor units; None where it is no whole number of them."""
    written = _WRITTEN.fullmatch(wire) if isinstance(wire, str) else None
    if written is None or currency not in CURRENCIES:
        return None
    decimals = money.exponent(currency)
    whole, part = written[1], written[2] or ""
    if part[decimals:].strip("0"):
        return None
    return int(whole + part[:decimals].ljust(decimals, "0"))
