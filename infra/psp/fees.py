"""Reads the fee tables of the accounts file, `[[accounts.NAME.fees]]`: docs/fees.md describes each key.

Invariant: percentages and amounts are read as decimal text and counted in whole millionths; no float is ever
money.
"""

import re
from collections import Counter
from collections.abc import Iterable
from datetime import date, datetime
from typing import Annotated, Final, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from aggregates.fees import MILLION, FeeKind, FeeRule, FeeSchedule, Price, Rounding
from aggregates.money import CURRENCIES, exponent
from aggregates.routing.facts import Funding

_PERCENT: Final = re.compile(r"([0-9]{1,2})(?:\.([0-9]{1,4}))?")
_AMOUNT: Final = re.compile(r"([0-9]{1,9})(?:\.([0-9]{1,9}))? ([A-Z]{3})")
_MICRO_DECIMALS: Final = 6


def _ppm(value: object) -> int:
    """`1.5` per cent are 15,000 parts per million. Raises `ValueError`."""
    match = _PERCENT.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError('must be a percentage in quotes, with at most 4 decimals: e.g. "1.5"')
    return int(match[1]) * 10_000 + int((match[2] or "").ljust(4, "0"))


def _micros(text: object) -> tuple[str, int]:
    """The currency, and millionths of its minor unit. Raises `ValueError`."""
    match = _AMOUNT.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise ValueError('must be an amount and its currency in quotes: e.g. "0.25 EUR"')
    whole, part, currency = match[1], match[2] or "", match[3]
    if currency not in CURRENCIES:
        raise ValueError("names a currency that AegisPay does not know (ISO 4217, upper case)")
    decimals = exponent(currency) + _MICRO_DECIMALS
    if len(part) > decimals:
        raise ValueError(f"may have at most {decimals} decimals in {currency}")
    return currency, int(whole) * 10**decimals + int(part.ljust(decimals, "0"))


def _amounts(value: object) -> dict[str, int]:
    """Millionths of minor units, by currency, of one amount or a list of them. Raises `ValueError`."""
    parts = [_micros(text) for text in (value if isinstance(value, list) else [value])]
    if len({currency for currency, _ in parts}) < len(parts):
        raise ValueError("has two amounts in one currency")
    return dict(parts)


def _whole(value: object) -> dict[str, int]:
    """Minor units, by currency. Raises `ValueError`."""
    amounts = _amounts(value)
    if any(micros % MILLION for micros in amounts.values()):
        raise ValueError("must be whole minor units of its currency")
    return {currency: micros // MILLION for currency, micros in amounts.items()}


def _day(value: object) -> date:
    """Raises `ValueError`."""
    if isinstance(value, date) and not isinstance(value, datetime):
        return value
    raise ValueError("must be a day without quotes, e.g. 2026-04-10")


_Day = Annotated[date, BeforeValidator(_day)]
_Percent = Annotated[int, BeforeValidator(_ppm)]
_Amounts = Annotated[dict[str, int], BeforeValidator(_amounts)]
_WholeAmounts = Annotated[dict[str, int], BeforeValidator(_whole)]
_Id = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_.-]{0,40}$")]
_Names = Annotated[
    list[Annotated[str, Field(pattern=r"^[a-z_][a-z0-9_]{0,40}$")]], Field(min_length=1, max_length=100)
]
_Region = Literal["eea", "gb", "us", "in", "other", "unknown"]


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TierTable(_Table):
    """A price from a monthly volume on. Without `volume_from` it is the first."""

    volume_from: _WholeAmounts = {}
    percent: _Percent = 0
    fixed: _Amounts = {}

    @model_validator(mode="after")
    def _is_of_one_volume(self) -> Self:
        if len(self.volume_from) > 1:
            raise ValueError("volume_from has several currencies: a tier has one")
        return self


class FeeTable(_Table):
    """A line of an account's price list. Of the conditions that are given, all have to hold."""

    id: _Id
    on: list[FeeKind] = Field(min_length=1)
    methods: _Names | None = None
    currencies: list[Annotated[str, Field(pattern=r"^[A-Z]{3}$")]] | None = Field(default=None, min_length=1)
    regions: list[_Region] | None = Field(default=None, min_length=1)
    countries: list[Annotated[str, Field(pattern=r"^[A-Z]{2}$")]] | None = Field(default=None, min_length=1)
    schemes: _Names | None = None
    fundings: list[Funding] | None = Field(default=None, min_length=1)
    since: _Day = date.min
    until: _Day = date.max
    percent: _Percent | None = None
    fixed: _Amounts | None = None
    tiers: list[TierTable] | None = Field(default=None, min_length=2, max_length=20)
    free: bool = Field(default=False, strict=True)
    min: _WholeAmounts = {}
    max: _WholeAmounts = {}
    tax_percent: _Percent = 0
    rounding: Rounding = "half_up"

    @model_validator(mode="after")
    def _has_one_price(self) -> Self:
        stated = (self.percent is not None or self.fixed is not None, self.tiers is not None, self.free)
        if sum(stated) != 1:
            raise ValueError("needs percent, fixed or both; or tiers; or free = true")
        if self.regions is not None and self.countries is not None:
            raise ValueError("has regions and countries: write two tables")
        if self.until <= self.since:
            raise ValueError("until is not after since; it is the first day on which the price is over")
        if crossed := [code for code in self.min if self.min[code] > self.max.get(code, self.min[code])]:
            raise ValueError(f"min is above max in {crossed[0]}")
        for code in self.currencies or ():
            if code not in CURRENCIES:
                raise ValueError(f"currencies has {code}, which AegisPay does not know (ISO 4217)")
        return self

    @model_validator(mode="after")
    def _has_tiers_of_one_currency(self) -> Self:
        if self.tiers is None:
            return self
        first, *more = self.tiers
        if first.volume_from:
            raise ValueError("the first of tiers counts from nothing: leave its volume_from out")
        if any(not tier.volume_from for tier in more):
            raise ValueError("each of tiers but the first needs volume_from")
        if {code for tier in more for code in tier.volume_from} != set(self.currencies or ()):
            raise ValueError("tiers need currencies with one entry, the currency of every volume_from")
        volumes = [volume for tier in more for volume in tier.volume_from.values()]
        if any(after <= before for before, after in zip([0, *volumes], volumes, strict=False)):
            raise ValueError("tiers do not rise in volume_from")
        return self

    def rule(self) -> FeeRule:
        """Returns the line as the rules calculate with it."""
        if self.tiers is None:
            prices: tuple[Price, ...] = (Price(self.percent or 0, self.fixed or {}),)
        else:
            prices = tuple(
                Price(tier.percent, tier.fixed, sum(tier.volume_from.values())) for tier in self.tiers
            )
        return FeeRule(
            id=self.id,
            kinds=frozenset(self.on),
            prices=prices,
            methods=frozenset(self.methods or ()),
            currencies=frozenset(self.currencies or ()),
            regions=frozenset(self.regions or ()),
            countries=frozenset(self.countries or ()),
            schemes=frozenset(self.schemes or ()),
            fundings=frozenset(self.fundings or ()),
            since=self.since,
            until=self.until,
            least=self.min,
            most=self.max,
            tax_ppm=self.tax_percent,
            rounding=self.rounding,
        )


def fee_schedule(tables: Iterable[FeeTable]) -> FeeSchedule:
    """Returns the price list. Raises `ValueError` where two tables have one id, or both fit an operation and
    neither is the more specific."""
    made = FeeSchedule(tuple(table.rule() for table in tables))
    ids = Counter(rule.id for rule in made.rules)
    if twice := [name for name, count in ids.items() if count > 1]:
        raise ValueError(f"two fees have the id {twice[0]}")
    for one, other in made.conflicts():
        raise ValueError(
            f"the fees {one.id} and {other.id} both fit some operations, and neither has more conditions: "
            "give one a further condition, or end one before the other begins"
        )
    return made
