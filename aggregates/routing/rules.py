"""A policy made ready for many decisions, and the rules of it that hold for a payment. Pure."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime, time
from operator import attrgetter
from typing import Final
from zoneinfo import ZoneInfo

from aggregates.routing.facts import PaymentFacts, region_of
from aggregates.routing.policy import EMPTY, Action, AmountRange, Conditions, Policy, Rule, TimeOfDay

Holds = Callable[[PaymentFacts, datetime], bool]

_OF_LISTS: Final[Mapping[str, Callable[[PaymentFacts], object]]] = {
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


_READ: Final[Mapping[str, Callable[[PaymentFacts], object]]] = {
    **_OF_LISTS,
    "amount": attrgetter("currency"),
}
_MOST_TELLING: Final = (
    "customer",
    "card_country",
    "scheme",
    "country",
    "amount",
    "currency",
    "attempt",
    "region",
    "method",
)
"""The facts by which rules are looked up: the first of these that a rule has a condition about."""


@dataclass(frozen=True, slots=True)
class ReadyRule:
    """A rule with its conditions as functions, the cheapest first."""

    id: str
    then: Action
    conditions: tuple[Holds, ...]

    def holds(self, facts: PaymentFacts, now: datetime) -> bool:
        """True if all conditions hold; also without any."""
        for condition in self.conditions:  # noqa: SIM110  # a generator costs as much as most conditions do
            if not condition(facts, now):
                return False
        return True


@dataclass(frozen=True, slots=True)
class ReadyPolicy:
    """A policy that decisions are made with. `version` 0: the merchant has none. `stopped`: the arms of
    experiments that get no more payments, by the experiment's id. `readable` False: the merchant has one that
    this release cannot read, so that nobody knows what it rules out. `always`, `by_fact`: the places of the
    rules that may hold for any payment, and for one with this value of a fact."""

    policy: Policy
    version: int = 0
    stopped: Mapping[str, frozenset[str]] = field(default_factory=dict)
    rules: tuple[ReadyRule, ...] = ()
    order: Mapping[str, int] = field(default_factory=dict)
    readable: bool = True
    always: tuple[int, ...] = ()
    by_fact: Mapping[str, Mapping[object, tuple[int, ...]]] = field(default_factory=dict)

    @classmethod
    def of(
        cls, policy: Policy, version: int, stopped: Mapping[str, frozenset[str]] | None = None
    ) -> "ReadyPolicy":
        """Makes a policy ready. Rules of one priority stay in the order in which they are written."""
        rules = sorted(policy.rules, key=lambda rule: rule.priority)
        always, by_fact = list[int](), dict[str, dict[object, tuple[int, ...]]]()
        for place, rule in enumerate(rules):
            fact = next((name for name in _MOST_TELLING if getattr(rule.when, name) is not None), None)
            if fact is None:
                always.append(place)
                continue
            for value in _values(rule.when, fact):
                places = by_fact.setdefault(fact, {})
                places[value] = (*places.get(value, ()), place)
        return cls(
            policy,
            version,
            stopped or {},
            tuple(ready(rule) for rule in rules),
            {account: place for place, account in enumerate(policy.accounts)},
            always=tuple(always),
            by_fact=by_fact,
        )

    def rules_that_hold(self, facts: PaymentFacts, now: datetime) -> list[ReadyRule]:
        """Returns the rules whose conditions hold, by priority. It looks only at those that one fact of the
        payment points to: 200 rules about as many customers cost what one costs."""
        if not self.rules:
            return []
        places = list(self.always)
        for fact, by_value in self.by_fact.items():
            places += by_value.get(_READ[fact](facts), ())
        return [rule for place in sorted(places) if (rule := self.rules[place]).holds(facts, now)]


NO_POLICY: Final = ReadyPolicy(EMPTY)
"""Of a merchant without a policy: the order of the settings decides."""
UNREADABLE: Final = ReadyPolicy(EMPTY, readable=False)
"""Of a merchant whose policy this release cannot read: his payments wait."""


def ready(rule: Rule) -> ReadyRule:
    """Makes one rule ready."""
    return ReadyRule(rule.id, rule.then, tuple(_conditions(rule.when)))


def _values(when: Conditions, fact: str) -> set[object]:
    if fact == "amount":
        return {one.currency for one in when.amount or ()}
    return set(getattr(when, fact))


def _conditions(when: Conditions) -> Iterator[Holds]:
    for name, read in _OF_LISTS.items():
        if (values := getattr(when, name)) is not None:
            yield _is_one_of(read, frozenset(values))
    if when.amount is not None:
        yield _is_within(when.amount)
    if when.bin is not None:
        yield _begins_with(tuple(when.bin))
    if when.metadata is not None:
        yield _has(when.metadata)
    if when.time is not None:
        yield _is_at(when.time)


def _is_one_of(read: Callable[[PaymentFacts], object], values: frozenset[object]) -> Holds:
    return lambda facts, _: read(facts) in values


def _is_within(ranges: list[AmountRange]) -> Holds:
    by_currency: dict[str, list[tuple[int, float]]] = {}
    for one in ranges:
        below = float("inf") if one.below is None else one.below
        by_currency.setdefault(one.currency, []).append((one.min, below))

    def holds(facts: PaymentFacts, _: datetime) -> bool:
        return any(
            least <= facts.amount_minor < below for least, below in by_currency.get(facts.currency, ())
        )

    return holds


def _begins_with(beginnings: tuple[str, ...]) -> Holds:
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
