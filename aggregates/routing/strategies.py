"""The strategies: each ranks the accounts that may take a payment, and says how likely it chooses each.

Pure. Success is judged by its lower bound, so that luck with few payments does not count; what is not known
is never taken for good. A segment with too few transactions falls back to the wider one.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from math import inf, sqrt
from types import MappingProxyType
from typing import Final, NamedTuple, assert_never

from aggregates.routing import policy
from aggregates.routing.adaptive import propensities
from aggregates.routing.assignment import Assignment, arm_of
from aggregates.routing.facts import PaymentFacts, region_of
from aggregates.routing.health import WINDOW, SegmentHealth

_ENOUGH: Final = 20
"""Transactions from which a narrow segment is judged by itself."""
_Z: Final = 1.96  # of a two-sided interval of 95 %
_LATENCY_HALF_MS: Final = 1000.0
_COST_ZERO_BPS: Final = 500.0


class Ranked(NamedTuple):
    """An account that may take the payment, with the figures that a strategy ranks by. `segment`: the one
    that `health` is of; None: nothing is known."""

    account: str
    fee_minor: int | None = None
    segment: str | None = None
    health: SegmentHealth | None = None


class Ranking(NamedTuple):
    """The result of a strategy. `order`: best first. `propensities`: of being chosen, in the order of
    `order`; they add up to 1. `scores`: by account, in the unit of the strategy; an account without one
    is unknown. `experiment`: the payment's arm, where an experiment decided."""

    order: Sequence[str]
    propensities: Sequence[float]
    scores: Mapping[str, float] = MappingProxyType({})
    experiment: Assignment | None = None


def judged(segments: Sequence[str], health: Mapping[str, SegmentHealth]) -> tuple[str, SegmentHealth] | None:
    """Returns the narrowest segment with enough transactions; else the widest that has any. `segments`:
    narrowest first."""
    widest = None
    for name in segments:
        found = health.get(name)
        if found is None or not (count := found.transactions):
            continue
        if count >= _ENOUGH:
            return name, found
        widest = name, found
    return widest


def success_bound(health: SegmentHealth | None) -> float | None:
    """Returns the lower bound of the success rate: Wilson's score interval, 95 % (JASA 22, 1927).

    Approvals of all transactions with an outcome: issuer declines and technical failures are no success,
    unknown outcomes do not count. None: there is no outcome.
    """
    if health is None or not (n := health.approved + health.declined + health.failed):
        return None
    return _wilson(health.approved, n)


@lru_cache(maxsize=(WINDOW + 1) * (WINDOW + 2) // 2)  # all pairs that a window may show
def _wilson(approved: int, n: int) -> float:
    rate, z2 = approved / n, _Z * _Z
    centre = rate + z2 / (2 * n)
    return max(0.0, (centre - _Z * sqrt((rate * (1 - rate) + z2 / (4 * n)) / n)) / (1 + z2 / n))


def latency_score(p95_ms: float) -> float:
    """Returns 1 at 0 ms, 0.5 at 1,000 ms, and so on: 1 / (1 + p95 / 1,000 ms)."""
    return 1 / (1 + p95_ms / _LATENCY_HALF_MS)


def cost_score(fee_minor: int, amount_minor: int) -> float:
    """Returns 1 for no fee, and 0 from a fee of 500 basis points (5 %) of the amount."""
    return max(0.0, 1 - fee_minor * 10_000 / amount_minor / _COST_ZERO_BPS)


def rank(
    strategy: policy.Strategy | None,
    candidates: Sequence[Ranked],
    facts: PaymentFacts,
    stopped: Mapping[str, frozenset[str]],
) -> Ranking:
    """Ranks the candidates, which stand in the order of the policy or the settings: it decides between
    equals. There is at least one. `stopped`: arms of experiments, see `rules.ReadyPolicy`."""
    match strategy:
        case None:
            return _by({}, candidates)
        case policy.Metrics():
            scores = _metrics(strategy, candidates, facts)
            return _by(scores, candidates, strategy.explores(facts.amount_minor))
        case policy.Cost():
            fees = {one.account: one.fee_minor for one in candidates}
            return _by({name: -float(fee) for name, fee in fees.items() if fee is not None}, candidates)
        case policy.Latency():
            slow = {one.account: _p95(one) for one in candidates}
            known = {name: -p95 for name, p95 in slow.items() if p95 is not None}
            return _by(known, candidates, strategy.explores(facts.amount_minor))
        case policy.Success():
            bounds = {one.account: success_bound(one.health) for one in candidates}
            known = {name: bound for name, bound in bounds.items() if bound is not None}
            return _by(known, candidates, strategy.explores(facts.amount_minor))
        case policy.RoundRobin():
            return share({one.account: 1.0 for one in candidates}, candidates)
        case policy.Weighted():
            return share(strategy.weights, candidates)
        case policy.Geographic():
            return _geographic(strategy, candidates, facts)
        case policy.Experiment():
            return _experiment(strategy, candidates, facts, stopped)
        case policy.Adaptive():
            return _adaptive(strategy, candidates, facts)
        case _:
            assert_never(strategy)


def share(weights: Mapping[str, float], candidates: Sequence[Ranked]) -> Ranking:
    """Spreads payments over the candidates by their weights. Where none of them has any, the order
    decides."""
    ours = [weights.get(one.account, 0.0) for one in candidates]
    total = sum(ours)
    if total <= 0:
        return _by({}, candidates)
    names = [one.account for one in candidates]
    return Ranking(names, [weight / total for weight in ours], dict(zip(names, ours, strict=True)))


def prefer(accounts: Sequence[str], ranking: Ranking) -> Ranking:
    """Puts these accounts first, in the order given: the first that is a candidate is chosen."""
    first = [name for name in accounts if name in ranking.order]
    if not first:
        return ranking
    order = [*first, *(name for name in ranking.order if name not in first)]
    return Ranking(order, _certain(len(order)), ranking.scores, ranking.experiment)


def _by(scores: Mapping[str, float], candidates: Sequence[Ranked], explored: float = 0.0) -> Ranking:
    """Ranks by the scores, the highest first. `explored`: the share of payments that go to any candidate;
    where nothing is known of any, the order alone decides."""
    # sorted() is stable: between equals, and among the unknown, the given order decides.
    names = sorted(
        [one.account for one in candidates], key=lambda name: -scores[name] if name in scores else inf
    )
    count = len(names)
    if count == 1 or not scores:
        return Ranking(names, _certain(count), scores)
    any_of_them = explored / count
    return Ranking(names, [1 - explored + any_of_them, *[any_of_them] * (count - 1)], scores)


def _certain(count: int) -> list[float]:
    return [1.0, *[0.0] * (count - 1)]


def _p95(candidate: Ranked) -> float | None:
    return None if candidate.health is None else candidate.health.p95_ms


def _metrics(weights: policy.Metrics, candidates: Sequence[Ranked], facts: PaymentFacts) -> dict[str, float]:
    success, latency, cost = weights.success, weights.latency, weights.cost
    total = success + latency + cost
    scores = {}
    for account, fee_minor, _, health in candidates:
        bound, p95 = (None, None) if health is None else (success_bound(health), health.p95_ms)
        if bound is None and p95 is None and fee_minor is None:
            continue
        score = success * bound if bound is not None else 0.0
        if p95 is not None:
            score += latency * latency_score(p95)
        if fee_minor is not None:
            score += cost * cost_score(fee_minor, facts.amount_minor)
        scores[account] = score / total
    return scores


def _geographic(strategy: policy.Geographic, candidates: Sequence[Ranked], facts: PaymentFacts) -> Ranking:
    country = facts.country if strategy.by == "customer" else facts.card.country
    places = strategy.places
    for place in (country, region_of(country), "*"):
        if place is not None and place in places:
            return prefer(places[place], _by({}, candidates))
    return _by({}, candidates)


def _experiment(
    strategy: policy.Experiment,
    candidates: Sequence[Ranked],
    facts: PaymentFacts,
    stopped: Mapping[str, frozenset[str]],
) -> Ranking:
    assigned = arm_of(strategy, facts.customer_id, facts.payment_id, stopped.get(strategy.id, frozenset()))
    arm = strategy.arms[assigned.serves]
    if arm.account is not None:
        ranking = prefer([arm.account], _by({}, candidates))
        if ranking.order[0] != arm.account:
            assigned = assigned.unserved()
    else:
        ranking = rank(arm.strategy, candidates, facts, stopped)
    return ranking._replace(experiment=assigned)


def _adaptive(strategy: policy.Adaptive, candidates: Sequence[Ranked], facts: PaymentFacts) -> Ranking:
    arms = tuple(
        (one.account, *((0.0, 0.0) if one.health is None else (one.health.wins, one.health.losses)))
        for one in candidates
    )
    chances = _propensities(arms, strategy.explores(facts.amount_minor))
    best_first = sorted(chances, key=lambda name: -chances[name])
    if strategy.explore_below_minor is not None and facts.amount_minor > strategy.explore_below_minor:
        return Ranking(best_first, _certain(len(best_first)), chances)
    return Ranking(best_first, [chances[name] for name in best_first], chances)


@lru_cache(maxsize=4096)
def _propensities(arms: tuple[tuple[str, float, float], ...], explore: float) -> dict[str, float]:
    # Between two snapshots of health all payments of a segment have the same arms.
    return propensities({name: (wins, losses) for name, wins, losses in arms}, explore)
