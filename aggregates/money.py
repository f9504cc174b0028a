"""Money: an integer in the currency's minor unit. Invariant: amounts of two currencies never meet in one sum."""

from dataclasses import dataclass
from typing import Final, Literal

# Minor-unit exponents of ISO 4217 (list one, 2026). Each PSP has its own table beside its adapter.
_EXPONENTS: Final = {
    **dict.fromkeys(
        [
            "AED",
            "AUD",
            "BGN",
            "BRL",
            "CAD",
            "CHF",
            "CNY",
            "COP",
            "CZK",
            "DKK",
            "EGP",
            "EUR",
            "GBP",
            "HKD",
            "HUF",
            "IDR",
            "ILS",
            "INR",
            "KES",
            "MAD",
            "MXN",
            "MYR",
            "NGN",
            "NOK",
            "NZD",
            "PEN",
            "PHP",
            "PLN",
            "QAR",
            "RON",
            "SAR",
            "SEK",
            "SGD",
            "THB",
            "TRY",
            "TWD",
            "UAH",
            "USD",
            "ZAR",
        ],
        2,
    ),
    **dict.fromkeys(["CLP", "ISK", "JPY", "KRW", "PYG", "UGX", "VND", "XAF", "XOF", "XPF"], 0),
    **dict.fromkeys(["BHD", "JOD", "KWD", "OMR", "TND"], 3),
}

# The largest single payment, in minor units: eight digits are what every PSP takes; a unit of these
# currencies is worth so little that shops need two digits more.
_BOUND_MINOR: Final = 99_999_999
_BOUND_MINOR_SMALL_UNITS: Final = 9_999_999_999
_SMALL_UNITS: Final = frozenset({"COP", "IDR", "KRW", "NGN", "PYG", "UGX", "VND"})

CURRENCIES: Final = tuple(sorted(_EXPONENTS))


class MoneyRefused(ValueError):
    """An amount that no payment may have. `code` and `path` go to whoever asked for it."""

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
    return _BOUND_MINOR_SMALL_UNITS if currency in _SMALL_UNITS else _BOUND_MINOR


@dataclass(frozen=True, slots=True, order=False)
class Money:
    minor: int
    currency: str

    @classmethod
    def payable(cls, minor: int, currency: str) -> "Money":
        """What one payment may ask for. Raises `MoneyRefused`."""
        if currency not in _EXPONENTS:
            detail = (
                f"currency is not one of the {len(CURRENCIES)} that AegisPay takes (ISO 4217, upper case)"
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
