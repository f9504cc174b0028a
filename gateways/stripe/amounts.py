"""How Stripe writes an amount. Invariant: nothing is rounded; what cannot be written exactly is refused.

Source: docs.stripe.com/currencies (zero-decimal list, three-decimal list, special cases, largest amounts).
"""

# ruff: noqa: SIM905 - a table of codes reads better as a paragraph

from typing import Final, Literal

from aggregates import money

_ZERO_DECIMALS: Final = frozenset(
    "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split(),
)
_THREE_DECIMALS: Final = frozenset("BHD JOD KWD OMR TND".split())
_TWO_DECIMALS: Final = frozenset(
    """AED AUD BGN BRL CAD CHF CNY COP CZK DKK EGP EUR GBP HKD HUF IDR ILS INR KES MAD MXN MYR NGN NOK NZD
    PEN PHP PLN QAR RON SAR SEK SGD THB TRY TWD UAH USD ZAR""".split(),
)
# Currencies without decimals that Stripe still takes with two, which must be 00. For UGX its own pages
# contradict one another, so an account has to say that this was checked before UGX is sent: `Stripe.takes_ugx`.
_WHOLE_HUNDREDS: Final = frozenset({"ISK", "UGX"})
CURRENCIES: Final = _TWO_DECIMALS | _ZERO_DECIMALS | _THREE_DECIMALS | _WHOLE_HUNDREDS
_EIGHT_DIGITS: Final = 99_999_999
_TWELVE_DIGITS: Final = 999_999_999_999


class NotExpressible(ValueError):
    def __init__(
        self, code: Literal["amount_not_expressible", "currency_not_supported"], detail: str
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def supported(currency: str) -> bool:
    """By upper-case code."""
    return currency in CURRENCIES


def multiple(currency: str) -> int:
    """What every amount that Stripe takes in this currency is a multiple of."""
    if currency in _WHOLE_HUNDREDS:
        return 100
    return 10 if currency in _THREE_DECIMALS else 1


def largest(currency: str) -> int:
    return _TWELVE_DIGITS if currency == "IDR" else _EIGHT_DIGITS


def to_wire(amount_minor: int, currency: str) -> int:
    """Our minor units as Stripe's integer. Raises `NotExpressible`."""
    if not supported(currency) or currency not in money.CURRENCIES:
        raise NotExpressible("currency_not_supported", f"Stripe takes no payment in {currency}")
    up, down = _ratio(currency)
    wire, lost = divmod(amount_minor * up, down)
    if lost or wire <= 0 or wire % multiple(currency) or wire > largest(currency):
        detail = f"Stripe takes multiples of {multiple(currency)} up to {largest(currency)} in {currency}"
        raise NotExpressible("amount_not_expressible", detail)
    return wire


def from_wire(wire: int, currency: str) -> int | None:
    """Stripe's integer in our minor units; None where it has no whole number of them."""
    if not supported(currency) or currency not in money.CURRENCIES:
        return None
    up, down = _ratio(currency)
    minor, lost = divmod(wire * down, up)
    return None if lost else minor


def _ratio(currency: str) -> tuple[int, int]:
    """By what our minor units are multiplied, and divided, to be Stripe's."""
    ours = money.exponent(currency)
    theirs = 0 if currency in _ZERO_DECIMALS else 3 if currency in _THREE_DECIMALS else 2
    return 10 ** max(theirs - ours, 0), 10 ** max(ours - theirs, 0)
