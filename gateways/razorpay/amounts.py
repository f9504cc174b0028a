"""How Razorpay writes an amount: an integer. Invariant: nothing is rounded; what cannot be written exactly is refused.

Source: Razorpay's page on international currencies (exponents; of three decimals the last has to be 0).
"""

# ruff: noqa: SIM905 - a table of codes reads better as a paragraph

from typing import Final, Literal

from aggregates import money

_ZERO_DECIMALS: Final = frozenset("CLP ISK JPY KRW PYG UGX VND XAF XOF XPF".split())
_THREE_DECIMALS: Final = frozenset("BHD JOD KWD OMR TND".split())
# Not IDR: how Razorpay writes it could not be confirmed.
_TWO_DECIMALS: Final = frozenset(
    """AED AUD BGN BRL CAD CHF CNY COP CZK DKK EGP EUR GBP HKD HUF ILS INR KES MAD MXN MYR NGN NOK NZD PEN PHP
    PLN QAR RON SAR SEK SGD THB TRY TWD UAH USD ZAR""".split(),
)
CURRENCIES: Final = _ZERO_DECIMALS | _THREE_DECIMALS | _TWO_DECIMALS

WIRE_MAX: Final = 2**53


class NotExpressible(ValueError):
    def __init__(
        self, code: Literal["amount_not_expressible", "currency_not_supported"], detail: str
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = detail


def multiple(currency: str) -> int:
    """What every amount that Razorpay takes in this currency is a multiple of."""
    return 10 if currency in _THREE_DECIMALS else 1


def to_wire(amount_minor: int, currency: str) -> int:
    """Our minor units as Razorpay's integer. Raises `NotExpressible`."""
    if currency not in CURRENCIES:
        raise NotExpressible("currency_not_supported", f"Razorpay takes no payment in {currency}")
    up, down = _ratio(currency)
    wire, lost = divmod(amount_minor * up, down)
    if lost or not 0 < wire <= WIRE_MAX or wire % multiple(currency):
        detail = f"Razorpay takes multiples of {multiple(currency)} in {currency}"
        raise NotExpressible("amount_not_expressible", detail)
    return wire


def from_wire(wire: int, currency: str) -> int | None:
    """Razorpay's integer in our minor units; None where it has no whole number of them."""
    if currency not in CURRENCIES or not 0 <= wire <= WIRE_MAX:
        return None
    up, down = _ratio(currency)
    minor, lost = divmod(wire * down, up)
    return None if lost else minor


def _ratio(currency: str) -> tuple[int, int]:
    """By what our minor units are multiplied, and divided, to be Razorpay's."""
    ours = money.exponent(currency)
    theirs = 0 if currency in _ZERO_DECIMALS else 3 if currency in _THREE_DECIMALS else 2
    return 10 ** max(theirs - ours, 0), 10 ** max(ours - theirs, 0)
