"""Razorpay's integer amounts. Invariant: nothing is rounded; what cannot be written exactly is refused.

Source: Razorpay's page on international currencies (exponents; of three decimals the last has to be 0),
and its refusal "The amount must be atleast INR 1.00" of an order and of a refund.
"""

# ruff: noqa: SIM905 - a table of codes reads better as a paragraph

from typing import Final

from gateways.wire.money import MINOR_MAX, IntegerAmounts

_ZERO_DECIMALS: Final = frozenset("CLP ISK JPY KRW PYG UGX VND XAF XOF XPF".split())
_THREE_DECIMALS: Final = frozenset("BHD JOD KWD OMR TND".split())
# Not IDR: how Razorpay writes it could not be confirmed. TWD: an account has to say that it was, by
# `takes_twd`.
_TWO_DECIMALS: Final = frozenset(
    """AED AUD BGN BRL CAD CHF CNY COP CZK DKK EGP EUR GBP HKD HUF ILS INR KES MAD MXN MYR NGN NOK NZD PEN PHP
    PLN QAR RON SAR SEK SGD THB TRY TWD UAH USD ZAR""".split(),
)
MULTIPLES: Final = dict.fromkeys(_THREE_DECIMALS, 10)
"""The step between two amounts that Razorpay takes, by currency; 1 where it is not named."""

_AMOUNTS: Final = IntegerAmounts(
    title="Razorpay",
    decimals={
        **dict.fromkeys(_ZERO_DECIMALS, 0),
        **dict.fromkeys(_TWO_DECIMALS, 2),
        **dict.fromkeys(_THREE_DECIMALS, 3),
    },
    multiples=MULTIPLES,
    least={"INR": 100},
)
CURRENCIES: Final = frozenset(_AMOUNTS.decimals)
"""The upper-case codes of the currencies in which Razorpay takes an amount."""

to_wire, sent = _AMOUNTS.to_wire, _AMOUNTS.sent


def from_wire(wire: int, currency: str) -> int | None:
    """Our minor units for an amount of Razorpay's, which is never negative. None: it is no whole number of
    them."""
    return _AMOUNTS.from_wire(wire, currency) if 0 <= wire <= MINOR_MAX else None
