"""Finds what is wrong among the rules of a policy: which never decide, which exclude every account, which
exclude what another prefers. Pure.

Invariant: as for the whole lint: each finding is true, whatever payments come.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import combinations

from aggregates.routing.coverage import ANY, covers, currencies, meet, never_holds
from aggregates.routing.findings import Accounts, Finding, error, listed, warning
from aggregates.routing.policy import Action, Conditions, Policy, Rule
from aggregates.routing.targets import named_by_action, named_by_strategy


@dataclass(frozen=True, slots=True)
class _Placed:
    """A rule with its place in the document."""

    place: int
    rule: Rule

    @property
    def where(self) -> str:
        return f"rules.{self.place}"

    @property
    def decides(self) -> bool:
        return self.rule.then.only is None and self.rule.then.never is None


@dataclass(frozen=True, slots=True)
class _Excluding:
    """A rule, or the residency of a country, that leaves `only` these accounts or `never` those. `where`: its
    path; `name`: in words."""

    where: str
    name: str
    when: Conditions
    only: frozenset[str] | None
    never: frozenset[str]

    def leaves(self, accounts: frozenset[str]) -> frozenset[str]:
        return accounts - self.never if self.only is None else accounts & self.only


class Exclusions:
    """The accounts that rules and residency leave to payments."""

    def __init__(self, policy: Policy, accounts: Accounts | None) -> None:
        """`accounts`: None: those that the policy itself names, and an unknown number of others."""
        self.of_rules = tuple(
            _excluding(placed) for placed in _in_order(policy) if not placed.decides and _holds(placed.rule)
        )
        self.of_countries = {
            country: _Excluding(
                f"residency.{country}",
                f"the residency of {country}",
                Conditions(country=[country]),
                frozenset(names),
                frozenset(),
            )
            for country, names in policy.residency.items()
        }
        # An unknown account is reported by its name; here it counts as one that is there. The empty name
        # stands for the accounts that nothing names, where it is not known which there are.
        every = (*self.of_countries.values(), *self.of_rules)
        written = {name for one in every for name in one.only or ()}
        self.all = frozenset(accounts if accounts is not None else {""}) | written
        if accounts is None:
            self.all |= {name for one in self.of_rules for name in one.never}

    def applied(self, when: Conditions, before: int | None = None) -> tuple[_Excluding, ...]:
        """Returns what excludes accounts from every payment for which `when` holds. `before`: the place among
        `of_rules` at which to end; None: all rules."""
        country = when.country[0] if when.country and len(set(when.country)) == 1 else None
        residency = self.of_countries.get(country) if country is not None else None
        rules = tuple(one for one in self.of_rules[:before] if covers(one.when, when))
        return rules if residency is None else (residency, *rules)

    def left(self, when: Conditions) -> frozenset[str]:
        """Returns the accounts that are left to every payment for which `when` holds."""
        return _left(self.all, self.applied(when))

    def excluded(self, when: Conditions, names: Iterable[str]) -> frozenset[str]:
        """Returns those of the names that are excluded from every payment for which `when` holds."""
        # Not what is missing from `left`: a name that is unknown was excluded by nobody.
        applied = self.applied(when)
        return frozenset(name for name in names if not _left(frozenset({name}), applied))


def about_rules(policy: Policy, accounts: Accounts | None, exclusions: Exclusions) -> Iterator[Finding]:
    """Yields the findings about rules and residency."""
    placed = _in_order(policy)
    for one in placed:
        if (reason := never_holds(one.rule.when)) is not None:
            field, _, why = reason.partition(": ")
            yield error(
                "unreachable",
                f"{one.where}.when.{field}",
                f"rule {one.rule.id} holds for no payment: {why}",
                "correct its conditions, or delete the rule",
            )
    holding = [one for one in placed if _holds(one.rule)]
    yield from _shadowed([one for one in holding if one.decides])
    yield from _contradicting(exclusions)
    yield from _without_effect(exclusions, accounts)
    for one in holding:
        yield from _about_targets(one, exclusions)
        if accounts is not None:
            yield from _about_currencies(one, accounts, exclusions)
    yield from _about_the_strategy(policy, exclusions)


def _in_order(policy: Policy) -> list[_Placed]:
    """The rules as they are applied: by priority, those of one priority as they are written."""
    placed = [_Placed(place, rule) for place, rule in enumerate(policy.rules)]
    return sorted(placed, key=lambda one: one.rule.priority)


def _holds(rule: Rule) -> bool:
    return never_holds(rule.when) is None


def _excluding(placed: _Placed) -> _Excluding:
    then = placed.rule.then
    only = None if then.only is None else frozenset(then.only)
    never = frozenset(then.never or ())
    return _Excluding(placed.where, f"rule {placed.rule.id}", placed.rule.when, only, never)


def _left(accounts: frozenset[str], applied: Iterable[_Excluding]) -> frozenset[str]:
    for one in applied:
        accounts = one.leaves(accounts)
    return accounts


def _shadowed(deciding: list[_Placed]) -> Iterator[Finding]:
    """Of all deciding rules that hold the first decides."""
    for place, one in enumerate(deciding):
        earlier = deciding[:place]
        first = next((other for other in earlier if covers(other.rule.when, one.rule.when)), None)
        if first is not None:
            yield error(
                "unreachable",
                one.where,
                f"rule {one.rule.id} never decides: rule {first.rule.id} is applied before it, and holds whenever it does",
                f"give it a lower priority than {first.rule.priority}, or delete it",
            )
            continue
        overlapping = [
            other.rule.id
            for other in earlier
            if other.rule.priority == one.rule.priority
            and other.rule.then != one.rule.then
            and not covers(one.rule.when, other.rule.when)
            and meet(other.rule.when, one.rule.when) is not None
        ]
        if overlapping:
            yield warning(
                "overlap",
                one.where,
                f"rule {one.rule.id} and {listed(overlapping)} hold for some of the same payments and have the priority "
                f"{one.rule.priority}: the one that is written first decides those",
                "give them different priorities",
            )


def _contradicting(exclusions: Exclusions) -> Iterator[Finding]:
    """Where no account is left, a payment is refused."""
    if not exclusions.all:
        return
    if not exclusions.left(ANY):
        names = listed(one.name for one in exclusions.applied(ANY))
        yield error("contradiction", "rules", f"no account is left to any payment, because of {names}", _MEND)
        return
    every = (*exclusions.of_rules, *exclusions.of_countries.values())
    left = [exclusions.left(one.when) for one in every]
    empty = [one for one, its in zip(every, left, strict=True) if not its]
    for place, one in enumerate(empty):
        # Of two that apply to the same payments the first is named; else the one that applies to more.
        if any(
            covers(other.when, one.when) and (at < place or not covers(one.when, other.when))
            for at, other in enumerate(empty)
            if other is not one
        ):
            continue
        others = listed(other.name for other in exclusions.applied(one.when))
        what = f"where {one.name} applies no account is left, because of {others}"
        yield error("contradiction", one.where, what, _MEND)
    some = [(one, its) for one, its in zip(every, left, strict=True) if its]
    for (one, its), (other, others_left) in combinations(some, 2):
        if one.where.startswith("residency"):
            break  # what follows is residency, too, and a payment has one country
        if not its & others_left and meet(one.when, other.when) is not None:
            what = f"where both {one.name} and {other.name} apply no account is left"
            yield error("contradiction", max(one.where, other.where), what, _MEND)


_MEND = "leave an account, or let them hold for different payments"


def _without_effect(exclusions: Exclusions, accounts: Accounts | None) -> Iterator[Finding]:
    for place, one in enumerate(exclusions.of_rules):
        names = one.never if one.only is None else one.only
        if accounts is not None and not names <= accounts.keys():
            continue
        before = exclusions.applied(one.when, place)
        left = _left(exclusions.all, before)
        if left and one.leaves(left) == left:
            why = f" after {listed(other.name for other in before)}" if before else ""
            what = f"{one.name} excludes no account{why}"
            yield warning("without_effect", one.where, what, "delete it, or correct it")


def _targets(then: Action) -> dict[str, str]:
    """The accounts that a deciding action sends payments to, each with its path within the rule."""
    if then.strategy is not None:
        return {name: where for where, name in named_by_strategy("then.strategy", then.strategy)}
    return {
        name: where
        for where, name in named_by_action("then", then)
        if then.split is None or then.split[name] > 0
    }


def _about_targets(one: _Placed, exclusions: Exclusions) -> Iterator[Finding]:
    if not one.decides:
        return
    targets = _targets(one.rule.then)
    excluded = exclusions.excluded(one.rule.when, targets)
    if not excluded:
        return
    by = listed(rule.name for rule in exclusions.applied(one.rule.when) if rule.leaves(excluded) != excluded)
    what = f"rule {one.rule.id} sends payments to {listed(excluded)}, which {by} excludes whenever it holds"
    if len(excluded) == len(targets) and one.rule.then.strategy is None:
        yield error(
            "contradiction", f"{one.where}.then", what, "name another account, or delete one of the rules"
        )
    else:
        where = f"{one.where}.{targets[min(excluded)]}"
        yield warning("contradiction", where, what, "leave the account out, or change the other rule")


def _about_the_strategy(policy: Policy, exclusions: Exclusions) -> Iterator[Finding]:
    if policy.strategy is None:
        return
    targets = {name: where for where, name in named_by_strategy("strategy", policy.strategy)}
    for name in sorted(exclusions.excluded(ANY, targets)):
        yield warning(
            "contradiction",
            targets[name],
            f"the strategy sends payments to {name}, which the rules exclude from every payment",
            "leave the account out, or change the rule",
        )


def _about_currencies(one: _Placed, accounts: Accounts, exclusions: Exclusions) -> Iterator[Finding]:
    wanted = currencies(one.rule.when)
    if wanted is None:
        return
    where = f"{one.where}.when"
    taken = frozenset().union(*accounts.values())
    if stray := wanted - taken:
        yield warning(
            "currency",
            where,
            f"rule {one.rule.id} is about {listed(stray)}, which no account takes",
            "correct the currency, or leave it out",
        )
    if one.decides:
        for name, path in _targets(one.rule.then).items():
            if name in accounts and not wanted & accounts[name]:
                yield warning(
                    "currency",
                    f"{one.where}.{path}",
                    f"rule {one.rule.id} sends {listed(wanted)} to {name}, which does not take it",
                    "name an account that does",
                )
        return
    left = [accounts[name] for name in exclusions.left(one.rule.when) if name in accounts]
    refused = (wanted & taken) - frozenset().union(*left)
    if left and refused:
        make = error if refused == wanted & taken else warning
        yield make(
            "currency",
            f"{one.where}.then",
            f"of the accounts that rule {one.rule.id} leaves none takes {listed(refused)}: such payments are refused",
            "leave an account that takes it",
        )
