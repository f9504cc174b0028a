"""Looks at simulated experiments daily, and counts how often ours and a plain z-test call a winner."""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import accumulate
from math import exp, lgamma, log, sqrt
from random import Random
from typing import Any, Final

from aggregates.routing.experiment import ArmResults, verdict
from aggregates.routing.policy import Arm, Experiment
from aggregates.routing.sequential import Sums

DAYS: Final = 30
APPROVAL_RATE: Final = 0.90
Z_95: Final = 1.959964


@dataclass(frozen=True, slots=True)
class Looks:
    """How many of `experiments` ended with a winner within 30 daily looks. `difference`: the true one, as a
    share. `days`: on average until ours called the winner; None: it never did."""

    difference: float
    experiments: int
    ours: float
    z_test: float
    days: float | None


def run(*, experiments: int, payments_per_day: int, seed: int) -> dict[str, Any]:
    """Returns the figures: for no difference the false alarms, for 1 and 2 points the power. A day has
    `payments_per_day` in each of two arms."""
    rows = [
        look_daily(difference, experiments, payments_per_day, Random(seed))  # noqa: S311
        for difference in (0.0, 0.01, 0.02)
    ]
    return {
        "days": DAYS,
        "payments_per_day_and_arm": payments_per_day,
        "approval_rate": APPROVAL_RATE,
        "seed": seed,
        "looks": [asdict(row) for row in rows],
    }


def look_daily(
    difference: float, experiments: int, payments_per_day: int, chance: Random, rate: float = APPROVAL_RATE
) -> Looks:
    """Runs `experiments` of 30 days and looks at the end of every day until a winner is called."""
    ours = z_test = days = 0
    control, arm = (
        binomial(payments_per_day, rate, chance),
        binomial(payments_per_day, rate + difference, chance),
    )
    for _ in range(experiments):
        of_z, of_us = False, 0
        for day, (approved_control, approved_arm) in enumerate(_totals(control, arm), 1):
            n = day * payments_per_day
            of_z = of_z or z_test_differs(approved_control, approved_arm, n)
            if not of_us and _has_winner(_counts(approved_control, n), _counts(approved_arm, n)):
                of_us = day
        z_test += of_z
        ours += of_us > 0
        days += of_us
    return Looks(
        difference, experiments, ours / experiments, z_test / experiments, days / ours if ours else None
    )


def _totals(control: Callable[[], int], arm: Callable[[], int]) -> Iterator[tuple[int, int]]:
    approved_control = approved_arm = 0
    for _ in range(DAYS):
        approved_control += control()
        approved_arm += arm()
        yield approved_control, approved_arm


def z_test_differs(approved_a: int, approved_b: int, n: int) -> bool:
    """Returns True where a two-sided z-test at 5 % calls two rates of `n` payments each different."""
    pooled = (approved_a + approved_b) / (2 * n)
    error = sqrt(2 * pooled * (1 - pooled) / n)
    return error > 0 and abs(approved_a - approved_b) / n / error > Z_95


EXPERIMENT: Final = Experiment(
    kind="experiment",
    id="bench",
    arms={"a": Arm(share=0.5, account="one"), "b": Arm(share=0.5, account="two")},
    control="a",
)


def _has_winner(control: ArmResults, arm: ArmResults) -> bool:
    return verdict(EXPERIMENT, {"a": control, "b": arm}).winner is not None


def _counts(approved: int, n: int) -> ArmResults:
    """Returns the results of `n` customers with one payment each."""
    return ArmResults(
        assigned=n,
        approved=approved,
        declined=n - approved,
        # As many in both arms: this is about the intervals, and a test of its own is about the split.
        customers=n,
        approval=Sums(groups=n, n=n, y=approved, nn=n, ny=approved, yy=approved),
        first_approved=approved,
        first_not_approved=n - approved,
    )


def binomial(n: int, rate: float, chance: Random) -> Callable[[], int]:
    """Returns a source of binomial numbers, by inversion of their distribution."""
    below = list(
        accumulate(exp(_log_binomial(n, k) + k * log(rate) + (n - k) * log(1 - rate)) for k in range(n + 1))
    )
    return lambda: min(bisect_left(below, chance.random()), n)


def _log_binomial(n: int, k: int) -> float:
    return lgamma(n + 1) - lgamma(k + 1) - lgamma(n - k + 1)
