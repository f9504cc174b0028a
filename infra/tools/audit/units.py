"""Writes minor units as decimals, to be compared with a PSP's ledger. The audit has exponents of its own,
so that a wrong one in `aggregates.money` or in an adapter is a finding and not an agreement. Source: ISO
4217, list of 2026-01-01."""

# ruff: noqa: SIM905 - a table of codes reads better as a paragraph

from decimal import Decimal
from typing import Final

_NONE: Final = frozenset("BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF".split())
_THREE: Final = frozenset("BHD IQD JOD KWD LYD OMR TND".split())


def major_units(amount_minor: int, currency: str) -> Decimal:
    """Returns minor units as a decimal: 1099 and EUR give 10.99."""
    return Decimal(amount_minor).scaleb(-_decimals(currency))


def written(amount: Decimal, currency: str) -> str:
    """Returns an amount as people write it, 10.99 EUR or 1099 JPY; one that is no whole number of
    minor units as it is."""
    whole = round(amount, _decimals(currency))
    return f"{whole if whole == amount else amount:f} {currency}"


def _decimals(currency: str) -> int:
    return 0 if currency in _NONE else 3 if currency in _THREE else 2
