"""Writes amounts as Stripe does. Invariant: nothing is rounded; what cannot be written exactly is refused.

Source: docs.stripe.com/currencies (zero-decimal list, three-decimal list, special cases, largest amounts).
"""

# ruff: noqa: SIM905 - a table of codes reads better as a paragraph

from typing import Final

from gateways.wire.money import IntegerAmounts

_ZERO_DECIMALS: Final = frozenset(
    "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF".split(),
)
_THREE_DECIMALS: Final = frozenset("BHD JOD KWD OMR TND".split())
_TWO_DECIMALS: Final = frozenset(
    """AED AUD BGN BRL CAD CHF CNY COP CZK DKK EGP EUR GBP HKD HUF IDR ILS INR KES MAD MXN MYR NGN NOK NZD
    PEN PHP PLN QAR RON SAR SEK SGD THB TRY TWD UAH USD ZAR""".split(),
)
# Currencies without decimals that Stripe still takes with two, which must be 00. For UGX its own pages
# contradict one another, so an account has to say that this was checked before UGX is sent: its option
# `takes_ugx`.
_WHOLE_HUNDREDS: Final = frozenset({"ISK", "UGX"})
_AMOUNTS: Final = IntegerAmounts(
    title="Stripe",
    decimals={
        **dict.fromkeys(_TWO_DECIMALS | _WHOLE_HUNDREDS, 2),
        **dict.fromkeys(_ZERO_DECIMALS, 0),
        **dict.fromkeys(_THREE_DECIMALS, 3),
    },
    multiples=dict.fromkeys(_WHOLE_HUNDREDS, 100) | dict.fromkeys(_THREE_DECIMALS, 10),
    largest={"IDR": 999_999_999_999},
    largest_of_all=99_999_999,
)
CURRENCIES: Final = frozenset(_AMOUNTS.decimals)
"""The upper-case codes of the currencies in which Stripe takes an amount."""

to_wire, from_wire, sent = _AMOUNTS.to_wire, _AMOUNTS.from_wire, _AMOUNTS.sent
