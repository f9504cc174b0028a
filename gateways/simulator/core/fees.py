"""What a PSP keeps of each movement, by a price list that the simulator has of its own.

Invariant: it is counted in decimals of the PSP's own currency table, and shares no rule and no number with
what AegisPay expects, which is compared with it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal
from typing import Annotated, Final, Literal, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from gateways.simulator.core.money import Currencies, major_units

Charged = Literal["authorized", "captured", "refunded", "disputed"]
"""What a fee is taken for: a movement, or a dispute."""
_MILLS: Final = Decimal(1000)


class Kept(NamedTuple):
    """A fee in mills. `tax`: the part of it that is tax."""

    mills: int
    tax: int


class Price(BaseModel):
    """A price. `percent`: of the amount. `fixed`: besides, by currency, as people write it; in a currency
    that it does not name nothing is kept, unless it names none. `tax_percent`: of the fee. `rounding`: to
    what the PSP can write."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    percent: Annotated[Decimal, Field(ge=0, lt=100)] = Decimal()
    fixed: dict[str, Annotated[Decimal, Field(ge=0)]] = {}
    tax_percent: Annotated[Decimal, Field(ge=0, lt=100)] = Decimal()
    rounding: Literal["nearest", "down"] = "nearest"

    def of(self, amount: Decimal, currency: str, unit: Decimal) -> Kept | None:
        """Returns the fee of an amount in the currency's own unit; None: nothing is kept. `unit`: the PSP's
        smallest amount."""
        if self.fixed and currency not in self.fixed:
            return None
        how = ROUND_DOWN if self.rounding == "down" else ROUND_HALF_UP
        fee = (amount * self.percent / 100 + self.fixed.get(currency, Decimal())).quantize(unit, how)
        tax = (fee * self.tax_percent / 100).quantize(unit, how)
        return Kept(int((fee + tax) * _MILLS), int(tax * _MILLS))


Prices = Mapping[Charged, Price]


@dataclass(frozen=True, slots=True)
class PriceList:
    """The prices of a PSP. `says`: the same in words, for its page."""

    currencies: Currencies
    prices: Prices
    says: str


@dataclass(frozen=True, slots=True)
class Fees:
    """The price lists of all PSPs, and the prices of the accounts that have their own, by PSP and name."""

    lists: Mapping[str, PriceList] = field(default_factory=dict)
    of_accounts: Mapping[tuple[str, str], Prices] = field(default_factory=dict)

    def of(
        self, gateway: str, account: str, what: Charged | Literal["released"], mills: int, currency: str
    ) -> Kept | None:
        """Returns what the PSP keeps for this, in mills; None: nothing."""
        listed = self.lists.get(gateway)
        if listed is None or what == "released":
            return None
        price = self.of_accounts.get((gateway, account), listed.prices).get(what)
        if price is None:
            return None
        unit = Decimal(1).scaleb(-listed.currencies.decimals[currency])
        return price.of(major_units(mills), currency, unit)
