"""Judges an experiment by the counts of its arms.

Invariant: the verdict holds at every look. However often anyone looks, and whenever he stops, an experiment
whose arms do not differ gets a winner in at most 5 % of cases, and an arm within the guardrail is stopped in
no more.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import isinf, sqrt
from typing import Final, Literal

from aggregates.routing.policy import Experiment
from aggregates.routing.sequential import Interval, Sums, mean_margin, rate_bounds, ratio_evidence

ALPHA: Final = 0.05
"""The probability that any of an experiment's intervals ever misses the truth."""
RATIO_ALPHA: Final = 0.01
"""The probability that a sample ratio that is as declared is ever called broken."""
_EXACT_ALPHA_SHARE: Final = 0.2
_KIND_MIN: Final = 10
_PRICED_MIN: Final = 100
_NOTHING: Final = Sums()


@dataclass(frozen=True, slots=True)
class ArmResults:
    """The counts of one arm. They are of first attempts, one a payment.

    `assigned`: payments, whatever became of them. `failed`: for a technical reason; they were not approved.
    What is in none of `approved`, `declined` and `failed` is pending, and in no rate. `customers`: those that
    were assigned, a payment without one counting as its own. `approval`: over the payments with an outcome,
    grouped by customer. `first_approved`, `first_not_approved`: customers, by the first payment of theirs
    that had an outcome. `cost_ppm`: what the approved payments with a known fee were expected to cost, in
    millionths of their amounts, grouped by customer.
    """

    assigned: int = 0
    approved: int = 0
    declined: int = 0
    failed: int = 0
    customers: int = 0
    approval: Sums = _NOTHING
    first_approved: int = 0
    first_not_approved: int = 0
    cost_ppm: Sums = _NOTHING
    latency_ms: int = 0
    latencies: int = 0

    @property
    def decided(self) -> int:
        """The payments with an outcome."""
        return self.approved + self.declined + self.failed

    @property
    def pending(self) -> int:
        """The payments of whose first attempt nobody knows yet how it ended."""
        return self.assigned - self.decided

    @property
    def approval_rate(self) -> float | None:
        """Of the payments with an outcome; None without any."""
        return self.approved / self.decided if self.decided else None


@dataclass(frozen=True, slots=True)
class Comparison:
    """An arm against the control, as arm minus control: the approval rate, and the cost in millionths of the
    amount (None: too few payments with a known fee). `stop`: the arm's approval rate is lower than the
    control's by more than the guardrail."""

    approval: Interval
    cost_ppm: Interval | None
    stop: bool


Outcome = Literal["winner", "none_yet", "ratio_broken"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What an experiment shows. `winner`: an arm, where `outcome` says so. `ratio_evidence`: from 100 on the
    customers are not split as declared, and no figure can be trusted. `comparisons`: by arm, without the
    control. `stop`: the arms to stop."""

    outcome: Outcome
    winner: str | None
    ratio_evidence: float
    comparisons: Mapping[str, Comparison]

    @property
    def stop(self) -> tuple[str, ...]:
        """The arms that crossed the guardrail, sorted."""
        return tuple(sorted(arm for arm, one in self.comparisons.items() if one.stop))


def verdict(
    experiment: Experiment, results: Mapping[str, ArmResults], stopped: Collection[str] = ()
) -> Verdict:
    """Judges the experiment on its declared metric. An arm without results has none yet. `stopped`: arms that
    get no payments any more; none of them wins."""
    control = results.get(experiment.control, ArmResults())
    others = [arm for arm in experiment.arms if arm != experiment.control]
    # The intervals of all arms hold together: each gets its part of what may be missed.
    alpha = ALPHA / len(others)
    comparisons = {
        arm: _compare(results.get(arm, ArmResults()), control, alpha, experiment.guardrail) for arm in others
    }
    evidence = _ratio_evidence(experiment, results, stopped)
    if evidence >= 1 / RATIO_ALPHA:
        # An arm that does harm is stopped even so: that needs less than a winner does.
        return Verdict("ratio_broken", None, evidence, comparisons)
    winner = _winner(experiment, comparisons, stopped)
    return Verdict("none_yet" if winner is None else "winner", winner, evidence, comparisons)


def approval_difference(arm: ArmResults, control: ArmResults, alpha: float) -> Interval:
    """Returns how much higher the arm's approval rate is than the control's, in [-1, 1].

    The interval is where two agree that share `alpha`: an exact one over customers, which is wide and holds
    from the first of them, so that an arm that approves nothing is seen at once; and one by the central limit
    theorem over payments, which is narrow, and joins in when both arms have ten outcomes of each kind.
    """
    low, high = rate_bounds(arm.first_approved, arm.first_not_approved, alpha * _EXACT_ALPHA_SHARE / 2)
    control_low, control_high = rate_bounds(
        control.first_approved, control.first_not_approved, alpha * _EXACT_ALPHA_SHARE / 2
    )
    lower, upper = low - control_high, high - control_low
    estimate = arm.approval.mean - control.approval.mean
    if min(_kinds(arm) + _kinds(control)) >= _KIND_MIN:
        narrow = _mean_difference(arm.approval, control.approval, alpha * (1 - _EXACT_ALPHA_SHARE))
        lower, upper = max(lower, narrow.lower), min(upper, narrow.upper)
    return Interval(estimate, lower, max(lower, upper))


def _kinds(arm: ArmResults) -> tuple[int, int]:
    return arm.approval.y, arm.approval.n - arm.approval.y


def _mean_difference(arm: Sums, control: Sums, alpha: float) -> Interval:
    error = sqrt(arm.error**2 + control.error**2)
    estimate = arm.mean - control.mean
    margin = error if isinf(error) else mean_margin(error, arm.n + control.n, alpha)
    return Interval(estimate, estimate - margin, estimate + margin)


def _compare(arm: ArmResults, control: ArmResults, alpha: float, guardrail: float) -> Comparison:
    approval = approval_difference(arm, control, alpha)
    priced = min(arm.cost_ppm.groups, control.cost_ppm.groups) >= _PRICED_MIN
    cost_ppm = _mean_difference(arm.cost_ppm, control.cost_ppm, alpha) if priced else None
    return Comparison(approval, cost_ppm, stop=approval.upper < -guardrail)


def _ratio_evidence(
    experiment: Experiment, results: Mapping[str, ArmResults], stopped: Collection[str]
) -> float:
    # The others' customers keep their proportions when an arm is stopped: its customers join none of them.
    counted = {arm: one for arm, one in experiment.arms.items() if one.share > 0 and arm not in stopped}
    total = sum(one.share for one in counted.values())
    return ratio_evidence(
        [results.get(arm, ArmResults()).customers for arm in counted],
        [one.share / total for one in counted.values()],
    )


def _winner(
    experiment: Experiment, comparisons: Mapping[str, Comparison], stopped: Collection[str]
) -> str | None:
    """Returns the arm that is shown to be better than the control, the best of several; the control where
    every other arm is shown to be worse; None: neither is shown."""
    running = [arm for arm, one in comparisons.items() if not one.stop and arm not in stopped]
    gains = {arm: _gain(experiment, comparisons[arm]) for arm in running}
    better = [(gain.estimate, arm) for arm, gain in gains.items() if gain is not None and gain.lower > 0]
    if better:
        return max(better)[1]
    beaten = all(gain is not None and gain.upper < 0 for gain in gains.values())
    return experiment.control if beaten else None


def _gain(experiment: Experiment, one: Comparison) -> Interval | None:
    """Returns by how much the arm is better on the declared metric; None: that cannot be said yet."""
    if experiment.metric == "approval":
        return one.approval
    cost = one.cost_ppm
    return None if cost is None else Interval(-cost.estimate, -cost.upper, -cost.lower)
