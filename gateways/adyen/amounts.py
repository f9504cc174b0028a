"""Writes amounts as Adyen does. Invariant: nothing is rounded; what cannot be written exactly is refused.

Source: docs.adyen.com/development-resources/currency-codes, whose decimals are not always those of ISO 4217.
"""

# ruff: noqa: SIM905 - a table of codes reads better as a paragraph

from typing import Final

from gateways.wire.money import IntegerAmounts

_ZERO_DECIMALS: Final = frozenset("CVE DJF GNF IDR JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF".split())
_THREE_DECIMALS: Final = frozenset("BHD IQD JOD KWD LYD OMR TND".split())
# CLP and ISK have decimals at Adyen only.
_TWO_DECIMALS: Final = frozenset(
    """AED AUD BGN BRL CAD CHF CLP CNY COP CZK DKK EGP EUR GBP HKD HUF ILS INR ISK KES MAD MXN MYR NGN NOK NZD
    PEN PHP PLN QAR RON SAR SEK SGD THB TRY TWD UAH USD ZAR""".split(),
)
_AMOUNTS: Final = IntegerAmounts(
    title="Adyen",
    decimals={
        **dict.fromkeys(_ZERO_DECIMALS, 0),
        **dict.fromkeys(_TWO_DECIMALS, 2),
        **dict.fromkeys(_THREE_DECIMALS, 3),
    },
)
CURRENCIES: Final = frozenset(_AMOUNTS.decimals)
"""The upper-case codes of the currencies in which Adyen takes an amount."""

to_wire, from_wire, sent = _AMOUNTS.to_wire, _AMOUNTS.from_wire, _AMOUNTS.sent
