"""Money at the simulator, in mills: thousandths of the currency's own unit. Invariant: what the PSP's
document calls 5 yen is 5000 here, however that PSP writes it. How a PSP writes its amounts stands in its own
table, which nothing but its simulator reads.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

MILLS: Final = 1000
_DECIMALS_MAX: Final = 3


def major_units(mills: int) -> Decimal:
    """The amount as people write it: 10990 is 10.99."""
    return Decimal(mills).scaleb(-_DECIMALS_MAX)


def decimals(*groups: tuple[int, str]) -> dict[str, int]:
    """A table of currency codes, from groups of a number of decimals and the codes that have it."""
    return {code: number for number, codes in groups for code in codes.split()}


@dataclass(frozen=True, slots=True)
class Currencies:
    """A PSP's currencies by upper-case code. `decimals`: of its amounts; `steps`: what each of its integers
    has to be a multiple of, where that is more than 1."""

    decimals: Mapping[str, int]
    steps: Mapping[str, int]

    @classmethod
    def table(cls, *groups: tuple[int, str], steps: Iterable[tuple[int, str]] = ()) -> "Currencies":
        """A table from groups of a number of decimals and the currency codes that have it, and of the same
        for steps."""
        return cls(decimals(*groups), decimals(*steps))

    def __contains__(self, currency: object) -> bool:
        return currency in self.decimals

    def unit(self, currency: str) -> int:
        """The PSP's smallest amount, in mills."""
        return int(MILLS // 10 ** self.decimals[currency])

    def step(self, currency: str) -> int:
        """Returns the number of which each of the PSP's integers in this currency is a multiple."""
        return self.steps.get(currency, 1)

    def mills(self, integer: int, currency: str) -> int:
        """The PSP's integer in mills."""
        return integer * self.unit(currency)

    def integer(self, mills: int, currency: str) -> int:
        """Mills as the integer that the PSP writes."""
        integer, lost = divmod(mills, self.unit(currency))
        assert not lost, "the simulator holds only what its PSP can write"
        return integer

    def written(self, mills: int, currency: str) -> str:
        """Mills with all of the PSP's decimals: `10.99`, `500`, `5.120`."""
        number = self.decimals[currency]
        sign = "-" if mills < 0 else ""
        whole, part = divmod(self.integer(abs(mills), currency), 10**number)
        return f"{sign}{whole}.{part:0{number}d}" if number else f"{sign}{whole}"

    def shown(self, mills: int, currency: str) -> str:
        """Mills for a page: `10.99 EUR`."""
        return f"{self.written(mills, currency)} {currency}"
