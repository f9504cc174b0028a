"""How Adyen writes an amount. Invariant: nothing is rounded; what cannot be written exactly is refused.

Source: docs.adyen.com/development-resources/currency-codes, whose decimals are not always those of ISO 4217.
"""

# ruff: noqa: SIM905 - a table of codes reads better as a paragraph

from typing import Final, Literal

from aggregates import money

_ZERO_DECIMALS: Final = frozenset("CVE DJF GNF IDR JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split())
_THREE_DECIMALS: Final = frozenset("BHD IQD JOD KWD LYD OMR TND".split())
# CLP and ISK have decimals at Adyen only.
_TWO_DECIMALS: Final = frozenset(
    """AED AUD BGN BRL CAD CHF CLP CNY COP CZK DKK EGP EUR GBP HKD HUF ILS INR ISK KES MAD MXN MYR NGN NOK NZD
    PEN PHP PLN QAR RON SAR SEK SGD THB TRY TWD UAH USD ZAR""".split(),
)
CURRENCIES: Final = _ZERO_DECIMALS | _TWO_DECIMALS | _THREE_DECIMALS


class NotExpressible(ValueError):
    def __init__(
        self, code: Literal["amount_not_expressible", "currency_not_supported"], detail: str
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def supported(currency: str) -> bool:
    """By upper-case code."""
    return currency in CURRENCIES and currency in money.CURRENCIES


def to_wire(amount_minor: int, currency: str) -> int:
    """Our minor units as Adyen's integer. Raises `NotExpressible`."""
    if not supported(currency):
        raise NotExpressible("currency_not_supported", f"no payment in {currency} is sent to Adyen")
    up, down = _ratio(currency)
    wire, lost = divmod(amount_minor * up, down)
    if lost or wire <= 0:
        detail = f"Adyen takes positive multiples of {down} of our minor units in {currency}"
        raise NotExpressible("amount_not_expressible", detail)
    return wire


def from_wire(wire: int, currency: str) -> int | None:
    """Adyen's integer in our minor units; None where it has no whole number of them."""
    if not supported(currency):
        return None
    up, down = _ratio(currency)
    minor, lost = divmod(wire * down, up)
    return None if lost else minor


def _ratio(currency: str) -> tuple[int, int]:
    """By what our minor units are multiplied, and divided, to be Adyen's."""
    ours = money.exponent(currency)
    theirs = 0 if currency in _ZERO_DECIMALS else 3 if currency in _THREE_DECIMALS else 2
    return 10 ** max(theirs - ours, 0), 10 ** max(ours - theirs, 0)
