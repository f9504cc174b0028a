"""Money: an integer in the currency's minor unit. Invariant: amounts of two currencies never meet in one
sum."""

# ruff: noqa: SIM905 - a table of codes reads better as a paragraph

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

_TWO: Final = """
    AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BTN BWP BYN BZD CAD CDF CHF CNY COP CRC CUP CVE
    CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR
    KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB
    PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY
    TTD TWD TZS UAH USD UYU UZS VED VES WST XCD XCG YER ZAR ZMW ZWG
"""
_NONE: Final = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX VND VUV XAF XOF XPF"
_THREE: Final = "BHD IQD JOD KWD LYD OMR TND"


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """`since`: the first day on which `successor` alone is taken."""

    since: date
    successor: str


# The amendments of ISO 4217: 174 (HRK), 176 (ANG), 177 (ZWL), 178 (CUC), those about Sierra Leone up to 175
# (SLL), and Bulgaria's, in the list of 2026-01-01 (BGN). All had two decimals.
WITHDRAWN: Final[Mapping[str, Withdrawal]] = {
    "ANG": Withdrawal(date(2025, 3, 31), "XCG"),
    "BGN": Withdrawal(date(2026, 1, 1), "EUR"),
    "CUC": Withdrawal(date(2021, 1, 1), "CUP"),
    "HRK": Withdrawal(date(2023, 1, 1), "EUR"),
    "SLL": Withdrawal(date(2024, 1, 1), "SLE"),
    "ZWL": Withdrawal(date(2024, 9, 1), "ZWG"),
}
"""AegisPay starts no payment in these; one that exists may still be captured, voided and refunded."""

# Minor-unit exponents of ISO 4217, list one of 2026-01-01, the newest in November 2026; without funds, metals
# and units of account. Each PSP has its own table beside its adapter.
_EXPONENTS: Final = {
    **dict.fromkeys([*_TWO.split(), *WITHDRAWN], 2),
    **dict.fromkeys(_NONE.split(), 0),
    **dict.fromkeys(_THREE.split(), 3),
}

# The largest single payment, in minor units: eight digits are what every PSP takes; a unit of these
# currencies is worth so little that shops need two digits more.
_BOUND_MINOR: Final = 99_999_999
_BOUND_MINOR_SMALL_UNITS: Final = 9_999_999_999
_SMALL_UNITS: Final = frozenset(
    """AMD AOA ARS BIF CDF COP CRC GNF IDR IQD IRR KHR KPW KRW KZT LAK LBP MGA MMK MNT MWK NGN PYG RWF SDG SLL SOS SSP SYP
    TZS UGX UZS VES VND YER ZWL""".split()
)

CURRENCIES: Final = tuple(sorted(_EXPONENTS))
"""Every currency that AegisPay knows, with those that were withdrawn."""


class MoneyRefused(ValueError):
    """An amount that no payment may have. `code` and `path` go to the requester."""

    def __init__(
        self,
        code: Literal["currency_unknown", "amount_not_positive", "amount_above_bound"],
        path: Literal["currency", "amount_minor"],
        detail: str,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.path = path


def exponent(currency: str) -> int:
    """Decimals of the minor unit: 0, 2 or 3."""
    return _EXPONENTS[currency]


def bound_minor(currency: str) -> int:
    """Returns the most that one payment may request, in the currency's minor units."""
    return _BOUND_MINOR_SMALL_UNITS if currency in _SMALL_UNITS else _BOUND_MINOR


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """An amount in the minor units of an ISO 4217 currency."""

    minor: int
    currency: str

    @classmethod
    def payable(cls, minor: int, currency: str) -> "Money":
        """Returns an amount that one payment may request; a withdrawn currency passes. Raises
        `MoneyRefused`."""
        if currency not in _EXPONENTS:
            detail = (
                f"currency is not one of the {len(CURRENCIES)} that AegisPay knows (ISO 4217, upper case)"
            )
            raise MoneyRefused("currency_unknown", "currency", detail)
        if minor <= 0:
            raise MoneyRefused("amount_not_positive", "amount_minor", "amount_minor must be above 0")
        if minor > (bound := bound_minor(currency)):
            detail = f"amount_minor is above the bound for one payment in {currency}, {bound}"
            raise MoneyRefused("amount_above_bound", "amount_minor", detail)
        return cls(minor, currency)

    def __add__(self, other: "Money") -> "Money":
        assert self.currency == other.currency, "a sum of two currencies is a bug of ours"
        return Money(self.minor + other.minor, self.currency)

    def __sub__(self, other: "Money") -> "Money":
        assert self.currency == other.currency, "a difference of two currencies is a bug of ours"
        return Money(self.minor - other.minor, self.currency)

    def __str__(self) -> str:
        decimals = _EXPONENTS[self.currency]
        if decimals == 0:
            return f"{self.minor} {self.currency}"
        whole, part = divmod(abs(self.minor), 10**decimals)
        return f"{'-' if self.minor < 0 else ''}{whole}.{part:0{decimals}d} {self.currency}"
