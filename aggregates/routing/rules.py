"""A policy made ready for many decisions, and the rules of it that hold for a payment. Pure."""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, time
from functools import reduce
from math import inf
from operator import attrgetter, or_
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from aggregates.routing.facts import PaymentFacts, region_of
from aggregates.routing.policy import EMPTY, Action, AmountRange, Conditions, Policy, TimeOfDay

Fact = Callable[[PaymentFacts], object]
Holds = Callable[[PaymentFacts, datetime], bool]
Places = int
"""A set of rules, as the bits of a number: bit n stands for the rule at place n, by priority."""

_OF_LISTS: Final[Mapping[str, Fact]] = {
    "currency": attrgetter("currency"),
    "method": attrgetter("method"),
    "country": attrgetter("country"),
    "card_country": attrgetter("card.country"),
    "scheme": attrgetter("card.scheme"),
    "customer": attrgetter("customer_id"),
    "attempt": attrgetter("attempt"),
    "region": lambda facts: region_of(facts.card.country or facts.country),
}
"""The fact that each list of a condition is about."""


class Lookup(NamedTuple):
    """The rules that one fact of a payment leaves. `by_value`: by what the fact may be; `otherwise`: where it
    is anything else, those without a condition about it."""

    fact: Fact
    by_value: Mapping[object, Places]
    otherwise: Places


class Check(NamedTuple):
    """A condition that no lookup settles. `others`: the rules that do not have the same."""

    holds: Holds
    others: Places


class ReadyRule(NamedTuple):
    """A rule as a decision applies it. `checks`: the cheapest first."""

    id: str
    then: Action
    checks: tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class ReadyPolicy:
    """A policy that decisions are made with. `version` 0: the merchant has none. `stopped`: the arms of
    experiments that get no more payments, by the experiment's id. `readable` False: the merchant has one that
    this release cannot read, so that nobody knows what it rules out. `rules`: by priority. `lookups`: one for
    each fact that a rule names values of."""

    policy: Policy
    version: int = 0
    stopped: Mapping[str, frozenset[str]] = field(default_factory=dict)
    rules: tuple[ReadyRule, ...] = ()
    order: Mapping[str, int] = field(default_factory=dict)
    readable: bool = True
    lookups: tuple[Lookup, ...] = ()

    @classmethod
    def of(
        cls, policy: Policy, version: int, stopped: Mapping[str, frozenset[str]] | None = None
    ) -> "ReadyPolicy":
        """Makes a policy ready. Rules of one priority stay in the order in which they are written."""
        rules = sorted(policy.rules, key=lambda rule: rule.priority)
        conditions = [rule.when for rule in rules]
        return cls(
            policy,
            version,
            stopped or {},
            tuple(
                ReadyRule(rule.id, rule.then, checks)
                for rule, checks in zip(rules, _checks(conditions), strict=True)
            ),
            {account: place for place, account in enumerate(policy.accounts)},
            lookups=tuple(_lookups(conditions)),
        )

    def rules_that_hold(self, facts: PaymentFacts, now: datetime) -> list[ReadyRule]:
        """Returns the rules whose conditions hold, by priority. A fact is looked up once for all rules: 200
        rules about as many customers cost what one costs. A check that fails rules out all that have it."""
        left = (1 << len(self.rules)) - 1
        for fact, by_value, otherwise in self.lookups:
            left &= by_value.get(fact(facts), otherwise)
        held = []
        while left:
            first = left & -left
            rule = self.rules[first.bit_length() - 1]
            for holds, others in rule.checks:
                if not holds(facts, now):
                    left &= others
                    break
            else:
                held.append(rule)
                left ^= first
        return held


NO_POLICY: Final = ReadyPolicy(EMPTY)
"""Of a merchant without a policy: the order of the settings decides."""
UNREADABLE: Final = ReadyPolicy(EMPTY, readable=False)
"""Of a merchant whose policy this release cannot read: his payments wait."""


def _lookups(conditions: Sequence[Conditions]) -> Iterator[Lookup]:
    facts: dict[str, Fact] = {}
    naming: dict[str, dict[object, Places]] = {}
    for place, when in enumerate(conditions):
        for name, fact, values in _looked_up(when):
            facts[name] = fact
            by_value = naming.setdefault(name, {})
            for value in values:
                by_value[value] = by_value.get(value, 0) | 1 << place
    for name, by_value in naming.items():
        otherwise = ((1 << len(conditions)) - 1) & ~reduce(or_, by_value.values())
        yield Lookup(facts[name], {value: found | otherwise for value, found in by_value.items()}, otherwise)


def _looked_up(when: Conditions) -> Iterator[tuple[str, Fact, list[Any]]]:
    """Yields each fact that the conditions name values of: its name, how it is read, and the values."""
    for name, fact in _OF_LISTS.items():
        if (values := getattr(when, name)) is not None:
            yield name, fact, values
    if when.amount is not None:
        yield "amount", _OF_LISTS["currency"], [one.currency for one in when.amount]
    if when.bin is not None:
        # As many digits as the shortest beginning has: whether a longer one fits is checked.
        digits = min(map(len, when.bin))
        yield f"bin.{digits}", _bin(digits), [one[:digits] for one in when.bin]
    if when.metadata is not None:
        # By one key of each rule: by all of them, a payment would be looked up for keys that few have.
        key, value = next(iter(when.metadata.items()))
        yield f"metadata.{key}", _metadata(key), [value]


def _bin(digits: int) -> Fact:
    return lambda facts: facts.card.bin and facts.card.bin[:digits]


def _metadata(key: str) -> Fact:
    return lambda facts: facts.metadata.get(key)


def _checks(conditions: Sequence[Conditions]) -> Iterator[tuple[Check, ...]]:
    """Yields the checks of each rule."""
    contents = [
        {name: when.model_dump_json(include={name}) for name in _CHECKED if getattr(when, name) is not None}
        for when in conditions
    ]
    every = (1 << len(conditions)) - 1
    others = defaultdict[str, Places](lambda: every)
    for place, checked in enumerate(contents):
        for content in checked.values():
            others[content] ^= 1 << place
    for when, checked in zip(conditions, contents, strict=True):
        yield tuple(
            Check(_CHECKED[name](getattr(when, name)), others[content]) for name, content in checked.items()
        )


def _is_within(ranges: list[AmountRange]) -> Holds:
    by_currency: dict[str, list[tuple[int, float]]] = {}
    for one in ranges:
        below = inf if one.below is None else one.below
        by_currency.setdefault(one.currency, []).append((one.min, below))

    def holds(facts: PaymentFacts, _: datetime) -> bool:
        for least, below in by_currency.get(facts.currency, ()):  # a generator costs more
            if least <= facts.amount_minor < below:
                return True
        return False

    return holds


def _begins_with(prefixes: list[str]) -> Holds:
    beginnings = tuple(prefixes)
    return lambda facts, _: facts.card.bin is not None and facts.card.bin.startswith(beginnings)


def _has(wanted: Mapping[str, str]) -> Holds:
    items = tuple(wanted.items())
    return lambda facts, _: all(facts.metadata.get(key) == value for key, value in items)


def _is_at(window: TimeOfDay) -> Holds:
    zone, days = ZoneInfo(window.zone), frozenset(window.days)
    since, until = window.since, window.until

    def holds(_: PaymentFacts, now: datetime) -> bool:
        local = now.astimezone(zone)
        return local.isoweekday() in days and _within(local.time(), since, until)

    return holds


def _within(at: time, since: time, until: time) -> bool:
    # A window that ends before it begins passes midnight.
    return since <= at < until if since <= until else at >= since or at < until


_CHECKED: Final[Mapping[str, Callable[[Any], Holds]]] = {
    "amount": _is_within,
    "bin": _begins_with,
    "metadata": _has,
    "time": _is_at,
}
"""The conditions that are more than a list of values, the cheapest first, and what checks them."""
