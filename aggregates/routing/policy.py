"""A merchant's routing policy as it is written, in YAML or JSON. `lint` finds what is valid and still wrong.

A decision applies, in this order: hard filters (what an account cannot take, residency, budgets, circuits),
the rules, the strategy, and then the order of the accounts.
"""

import json
import re
from collections.abc import Callable
from datetime import date, time
from functools import cached_property
from hashlib import sha256
from typing import Annotated, Any, Final, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticKnownError

ACCOUNTS_MAX: Final = 20
RULES_MAX: Final = 200

# No payment carries one, and PostgreSQL's `jsonb` takes none.
_NO_NUL: Final = r"^[^\x00]*$"
_PERCENTAGE: Final = re.compile(r"\s*(\d{1,3}(?:[.,]\d{1,6})?)\s*%\s*", re.ASCII)


def _no_percentage(value: Any) -> Any:
    """Refuses what is meant in percent, since 5 may be 5 % or a slip of the pen for 0.5."""
    percent: float | None = None
    if isinstance(value, str) and (written := _PERCENTAGE.fullmatch(value)) is not None:
        percent = float(written[1].replace(",", "."))
    elif isinstance(value, int | float) and not isinstance(value, bool) and 1 < value <= 100:
        percent = value
    if percent is not None:
        raise ValueError(
            f"a share is a number from 0 to 1: write {percent / 100:g} where {percent:g} % is meant"
        )
    return value


def _no_number(kind: Literal["date_type", "time_type"]) -> Callable[[Any], Any]:
    """Refuses a number, which pydantic would count from midnight, or from 1970."""

    def check(value: Any) -> Any:
        if isinstance(value, int | float):
            raise PydanticKnownError(kind)
        return value

    return check


AccountName = Annotated[str, Field(pattern=r"^[A-Za-z0-9._:-]{1,64}$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False), BeforeValidator(_no_percentage)]
Country = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Method = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,31}$")]
Minor = Annotated[int, Field(strict=True, ge=0, le=2**53)]
# Years that Python's calendar, and PostgreSQL's, go on after.
Day = Annotated[
    date,
    Field(strict=False, ge=date(2000, 1, 1), le=date(2199, 12, 31)),
    BeforeValidator(_no_number("date_type")),
]
_TimeOfDay = Annotated[
    time,
    Field(strict=False),
    BeforeValidator(_no_number("time_type")),
    # JSON Schema's own format of a time demands an offset.
    WithJsonSchema({"type": "string", "pattern": r"^[0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?$"}),
]
_Shares = Annotated[dict[AccountName, Share], Field(min_length=1, max_length=ACCOUNTS_MAX)]
_Names = Annotated[list[AccountName], Field(min_length=1, max_length=ACCOUNTS_MAX)]


class _Part(BaseModel):
    # Strict: `priority: true` would be 1, and "0.1" a number.
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class _Measured(_Part):
    """A strategy that ranks by what was measured. `explore`: the share of payments that go to any candidate,
    at random: without them an account that was left alone would never be measured again.
    `explore_below_minor`: a payment above this amount never explores, in its currency's minor units; None: no
    amount is too high."""

    explore: Annotated[float, Field(ge=0, le=0.5, allow_inf_nan=False), BeforeValidator(_no_percentage)] = (
        0.02
    )
    explore_below_minor: Minor | None = None

    def explores(self, amount_minor: int) -> float:
        """Returns the share of payments of this amount that explore."""
        limit = self.explore_below_minor
        return self.explore if limit is None or amount_minor <= limit else 0.0


class Metrics(_Measured):
    """Ranks by success, latency and cost together. The weights are relative to their sum."""

    kind: Literal["metrics"]
    success: Share = 0.6
    latency: Share = 0.3
    cost: Share = 0.1

    @model_validator(mode="after")
    def _weighs(self) -> Self:
        if self.success + self.latency + self.cost <= 0:
            raise ValueError("at least one weight has to be above 0")
        return self


class Cost(_Part):
    """Ranks by the expected fee, the lowest first; an account without fees is unknown and comes last."""

    kind: Literal["cost"]


class Latency(_Measured):
    """Ranks by p95 latency, the lowest first."""

    kind: Literal["latency"]


class Success(_Measured):
    """Ranks by the lower bound of the success rate, the highest first."""

    kind: Literal["success"]


class RoundRobin(_Part):
    """Spreads payments evenly by the payment's id."""

    kind: Literal["round_robin"]


class Weighted(_Part):
    """Spreads payments by weights, relative to their sum; an account that is not named gets none."""

    kind: Literal["weighted"]
    weights: Annotated[
        dict[AccountName, Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]],
        Field(min_length=1, max_length=ACCOUNTS_MAX),
    ]

    @model_validator(mode="after")
    def _weighs(self) -> Self:
        if sum(self.weights.values()) <= 0:
            raise ValueError("at least one weight has to be above 0")
        return self


class Geographic(_Part):
    """Prefers the accounts of the payment's place. Keys: a country (`DE`), a region (`eea`, `gb`, `us`, `in`,
    `other`) or `*`; the first that fits the place decides: the country, then the region, then `*`."""

    kind: Literal["geographic"]
    by: Literal["customer", "card"] = "customer"
    places: Annotated[
        dict[Annotated[str, Field(pattern=r"^([A-Z]{2}|eea|gb|us|in|other|\*)$")], _Names],
        Field(min_length=1, max_length=300),
    ]


class Arm(_Part):
    """One arm of an experiment: a share of the customers, and the strategy or the account that they get."""

    share: Share
    account: AccountName | None = None
    strategy: "Strategy | None" = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if (self.account is None) == (self.strategy is None):
            raise ValueError("either account or strategy")
        return self


class Experiment(_Part):
    """An A/B test, sticky by customer. `control`: the arm that the others are compared with. `guardrail`: the
    approval rate that an arm may lie below the control's before it is stopped, as a share."""

    kind: Literal["experiment"]
    id: Name
    arms: Annotated[dict[Name, Arm], Field(min_length=2, max_length=10)]
    control: Name
    metric: Literal["approval", "cost"] = "approval"
    guardrail: Share = 0.02

    @model_validator(mode="after")
    def _has_its_control(self) -> Self:
        if all(arm.share <= 0 for arm in self.arms.values()):
            raise ValueError("at least one arm needs a share above 0")
        if self.control not in self.arms:
            raise ValueError(f"control names no arm: {self.control}")
        return self

    @cached_property
    def definition(self) -> str:
        """Returns 12 hex digits that are others as soon as an arm or a share is: what was counted under one
        definition says nothing about another."""
        arms = {name: self.arms[name].model_dump(mode="json") for name in sorted(self.arms)}
        return sha256(json.dumps([arms, self.control], sort_keys=True).encode()).hexdigest()[:12]


class Adaptive(_Measured):
    """Thompson sampling per segment, with a change detector per account. A payment above the amount of
    `explore_below_minor` goes to the account that is best so far."""

    kind: Literal["adaptive"]


Strategy = Annotated[
    Metrics | Cost | Latency | Success | RoundRobin | Weighted | Geographic | Experiment | Adaptive,
    Field(discriminator="kind"),
]
Arm.model_rebuild()


class AmountRange(_Part):
    """Amounts of one currency, in its minor units; `min` is within, `below` is not."""

    currency: Currency
    min: Minor = 0
    below: Minor | None = None


class TimeOfDay(_Part):
    """Local times, `since` within and `until` not; it may pass midnight. `days`: of the time itself, 1 is
    Monday."""

    since: _TimeOfDay
    until: _TimeOfDay
    zone: str = "UTC"
    days: Annotated[list[Annotated[int, Field(ge=1, le=7)]], Field(min_length=1, max_length=1000)] = [
        1,
        2,
        3,
        4,
        5,
        6,
        7,
    ]

    @field_validator("since", "until")
    @classmethod
    def _is_local(cls, value: time) -> time:
        if value.tzinfo is not None:
            raise ValueError("a local time: write its zone in zone, and 06:00 in place of 06:00Z")
        return value

    @field_validator("zone")
    @classmethod
    def _is_known(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ValueError, OSError, LookupError):
            raise ValueError(f"no time zone is called {value}: write one of the IANA names") from None
        return value


class Conditions(_Part):
    """All that are given have to hold; of a list, one value. `bin`: beginnings of the card's BIN. `metadata`:
    the value of each key. `region`: of the card, or else of the customer."""

    amount: Annotated[list[AmountRange], Field(min_length=1, max_length=50)] | None = None
    currency: Annotated[list[Currency], Field(min_length=1, max_length=1000)] | None = None
    method: Annotated[list[Method], Field(min_length=1, max_length=1000)] | None = None
    country: Annotated[list[Country], Field(min_length=1, max_length=1000)] | None = None
    card_country: Annotated[list[Country], Field(min_length=1, max_length=1000)] | None = None
    region: (
        Annotated[
            list[Literal["eea", "gb", "us", "in", "other", "unknown"]], Field(min_length=1, max_length=1000)
        ]
        | None
    ) = None
    bin: (
        Annotated[list[Annotated[str, Field(pattern=r"^[0-9]{1,8}$")]], Field(min_length=1, max_length=1000)]
        | None
    ) = None
    scheme: Annotated[list[Method], Field(min_length=1, max_length=1000)] | None = None
    customer: (
        Annotated[
            list[Annotated[str, Field(min_length=1, max_length=64, pattern=_NO_NUL)]],
            Field(min_length=1, max_length=1000),
        ]
        | None
    ) = None
    metadata: (
        Annotated[
            dict[
                Annotated[str, Field(max_length=64, pattern=_NO_NUL)],
                Annotated[str, Field(max_length=200, pattern=_NO_NUL)],
            ],
            Field(min_length=1, max_length=20),
        ]
        | None
    ) = None
    time: TimeOfDay | None = None
    attempt: (
        Annotated[list[Annotated[int, Field(ge=1, le=10)]], Field(min_length=1, max_length=1000)] | None
    ) = None


class Action(_Part):
    """What a rule does; one of these. `only`, `never`: exclude accounts. `prefer`: puts accounts first.
    `split`: spreads payments by shares that add up to 1. `strategy`: takes the place of the policy's."""

    only: _Names | None = None
    never: _Names | None = None
    prefer: _Names | None = None
    split: _Shares | None = None
    strategy: Strategy | None = None

    @model_validator(mode="after")
    def _does_one_thing(self) -> Self:
        if len(self.model_fields_set) != 1 or any(
            getattr(self, name) is None for name in self.model_fields_set
        ):
            raise ValueError("one of only, never, prefer, split and strategy")
        return self


class Rule(_Part):
    """A rule: `when` all its conditions hold, `then` its action is applied. Rules are applied by priority,
    the lowest number first. `only` and `never` add up; of `prefer`, `split` and `strategy` the first
    counts."""

    id: Name
    priority: Annotated[int, Field(ge=0, le=1_000_000)] = 1000
    when: Conditions = Conditions()
    then: Action


class Commitment(_Part):
    """A volume that the merchant has promised an account by a day (the end of it, UTC), from 2000 to 2199.
    `payments` or `amount_minor`, with its currency."""

    account: AccountName
    since: Day
    by: Day
    payments: Annotated[int, Field(gt=0, le=2**53)] | None = None
    amount_minor: Annotated[int, Field(gt=0, le=2**53)] | None = None
    currency: Currency | None = None

    @model_validator(mode="after")
    def _is_one_volume(self) -> Self:
        if (self.payments is None) == (self.amount_minor is None):
            raise ValueError("either payments or amount_minor")
        if (self.amount_minor is None) != (self.currency is None):
            raise ValueError("amount_minor and currency come together")
        if self.by < self.since:
            raise ValueError("by is before since")
        return self


class Policy(_Part):
    """A whole policy. `accounts`: the order in which they are tried; empty: the order of the settings.
    `residency`: the only accounts that payments of a customer's country may go to."""

    accounts: Annotated[list[AccountName], Field(max_length=ACCOUNTS_MAX)] = []
    strategy: Strategy | None = None
    rules: Annotated[list[Rule], Field(max_length=RULES_MAX)] = []
    residency: Annotated[dict[Country, _Names], Field(max_length=300)] = {}
    commitments: Annotated[list[Commitment], Field(max_length=ACCOUNTS_MAX)] = []

    @model_validator(mode="after")
    def _names_each_once(self) -> Self:
        if len({rule.id for rule in self.rules}) < len(self.rules):
            raise ValueError("two rules have one id")
        if len(set(self.accounts)) < len(self.accounts):
            raise ValueError("accounts names one twice")
        return self

    def document(self) -> dict[str, Any]:
        """Returns the policy as JSON values, without what is left at its default."""
        return self.model_dump(mode="json", exclude_defaults=True)


EMPTY: Final = Policy()
"""The policy of a merchant without one: the order of the settings decides."""
