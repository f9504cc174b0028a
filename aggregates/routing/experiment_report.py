"""What an experiment shows, as values for a program and in words for the merchant."""

from collections.abc import Collection, Mapping
from typing import Any

from aggregates.routing.experiment import ArmResults, Comparison, Verdict, verdict
from aggregates.routing.policy import Experiment
from aggregates.routing.sequential import Interval


def report(
    experiment: Experiment,
    results: Mapping[str, ArmResults],
    stopped: Collection[str] = (),
    counted_before: int = 0,
) -> dict[str, Any]:
    """Returns the report. `stopped`: arms that get no payments any more. `counted_before`: the payments that
    the experiment got with other arms or shares; they are in no figure."""
    judged = verdict(experiment, results, stopped)
    return {
        "experiment_id": experiment.id,
        "control": experiment.control,
        "metric": experiment.metric,
        "guardrail": experiment.guardrail,
        "outcome": judged.outcome,
        "winner": judged.winner,
        "words": _words(experiment, results, judged),
        "sample_ratio": {"sound": judged.outcome != "ratio_broken", "evidence": judged.ratio_evidence},
        "counted_before": counted_before,
        "arms": [_arm(experiment, name, results, stopped, judged) for name in experiment.arms],
    }


def _arm(
    experiment: Experiment,
    name: str,
    results: Mapping[str, ArmResults],
    stopped: Collection[str],
    judged: Verdict,
) -> dict[str, Any]:
    counts, compared = results.get(name, ArmResults()), judged.comparisons.get(name)
    total = sum(arm.share for arm in experiment.arms.values())
    return {
        "arm": name,
        "share": experiment.arms[name].share / total,
        "stopped": name in stopped,
        "assigned": counts.assigned,
        "customers": counts.customers,
        "approved": counts.approved,
        "declined": counts.declined,
        "failed": counts.failed,
        "pending": counts.pending,
        "approval_rate": counts.approval_rate,
        "approval_difference": None if compared is None else _interval(compared.approval),
        "cost_ppm": counts.cost_ppm.mean if counts.cost_ppm.n else None,
        "cost_difference_ppm": None
        if compared is None or compared.cost_ppm is None
        else _interval(compared.cost_ppm),
        "latency_ms": counts.latency_ms / counts.latencies if counts.latencies else None,
    }


def _interval(one: Interval) -> dict[str, float]:
    return {"estimate": one.estimate, "lower": one.lower, "upper": one.upper}


def _words(experiment: Experiment, results: Mapping[str, ArmResults], judged: Verdict) -> str:
    control = experiment.control
    if judged.outcome == "ratio_broken":
        customers = ", ".join(
            f"{name} has {results.get(name, ArmResults()).customers:,}" for name in experiment.arms
        )
        return (
            f"No winner: the customers are not divided as the shares say ({customers}). Something keeps "
            "payments of an arm away; no figure can be trusted until it is found."
        )
    shown = [
        _difference(experiment, name, one, control)
        for name, one in judged.comparisons.items()
        if judged.winner in {None, control, name}
    ]
    first = "No winner yet" if judged.winner is None else f"{judged.winner} wins"
    return f"{first}: {'; '.join(shown)}."


def _difference(experiment: Experiment, name: str, one: Comparison, control: str) -> str:
    if experiment.metric == "approval":
        return f"the approval rate of {name} is {points(one.approval)} {control}'s"
    if one.cost_ppm is None:
        return f"of {name} and {control} too few approved payments have a known fee"
    cost = Interval(
        *(value / 1_000_000 for value in (one.cost_ppm.estimate, one.cost_ppm.lower, one.cost_ppm.upper))
    )
    return f"the cost of {name} is {points(cost)} {control}'s, in percent of the amount"


def points(one: Interval) -> str:
    """Returns an interval of shares as percentage points below or above something."""
    low, high = 100 * one.lower, 100 * one.upper
    if low > 0:
        return f"{low:.2f} to {high:.2f} points above"
    if high < 0:
        return f"{-high:.2f} to {-low:.2f} points below"
    return f"between {abs(low):.2f} points below and {high:.2f} points above"


def why_stopped(experiment: Experiment, arm: str, results: Mapping[str, ArmResults], one: Comparison) -> str:
    """Returns the reason that is recorded when the guardrail stops an arm."""
    counts, control = results[arm], results.get(experiment.control, ArmResults())
    return (
        f"guardrail: {arm} approves {points(one.approval)} {experiment.control}, more than the "
        f"{100 * experiment.guardrail:g} points that the experiment allows ({counts.approved} of {counts.decided} "
        f"against {control.approved} of {control.decided} first attempts)"
    )
