"""The adaptive strategy: Thompson sampling over what each arm has shown since its last change.

An arm is an account in a segment. A success is an approval; a decline and a technical failure are none; an
unknown outcome is not observed. Neither a horizon nor a number of changes is known here. Chance is the
caller's: these functions return probabilities.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import asin, cos, exp, lgamma, log, pi, prod, sin, sqrt
from operator import mul, truediv
from sys import float_info
from typing import Final

from aggregates.routing.change import Bucket, appended, since_change

START: Final = (1.0, 1.0)
"""The Beta distribution of an arm that nothing is known of. Its mean, 1/2, lies far below every PSP that is
in use, so that a new one has to show what it is worth."""


@dataclass(frozen=True, slots=True)
class Arm:
    """What one arm has shown since the last change that was noticed. `history`: see `change.py`; the newest
    bucket stands first."""

    history: tuple[Bucket, ...] = ()

    @property
    def wins(self) -> int:
        """The successes since the last change noticed."""
        return sum(bucket[0] for bucket in self.history)

    @property
    def losses(self) -> int:
        """The failures since the last change noticed."""
        return sum(bucket[1] for bucket in self.history)


def observe(arm: Arm, *, success: bool) -> Arm:
    """Returns the arm after one more outcome. Where it makes a change evident, what was before the change is
    forgotten, of this arm alone."""
    return Arm(since_change(appended(arm.history, success=success)))


def propensities(arms: Mapping[str, tuple[float, float]], explore: float) -> dict[str, float]:
    """Returns the probability of each arm to be chosen; they add up to 1.

    `arms`: wins and losses by name. The share `explore` is spread evenly; for the rest it is the probability
    that a draw from the arm's Beta distribution is the highest of all, by quadrature. More than
    `OUTCOMES_MAX` are scaled down to it, and what is no number or below 0 counts as 0.
    """
    if not arms:
        return {}
    known = [_clamped(wins, losses) for wins, losses in arms.values()]
    highest = _highest([(START[0] + wins, START[1] + losses) for wins, losses in known])
    even = explore / len(arms)
    return {name: even + (1 - explore) * share for name, share in zip(arms, highest, strict=True)}


_FLOAT_MAX: Final = float_info.max
PARTS: Final = (-5.5, -3.5, -2.5, -1.6, -0.8, 0.0, 0.8, 1.6, 2.5, 3.5, 5.5)
"""Distances from an arm's middle, in widths, at which the quadrature parts the range."""
TINY: Final = 1e-12
OUTCOMES_MAX: Final = 1e9
"""The most wins or losses that are counted: of more, the logarithms of the gamma function cancel out."""


def _clamped(wins: float, losses: float) -> tuple[float, float]:
    """Returns both within `OUTCOMES_MAX`, at their proportion."""
    # The comparisons are False for a NaN. An infinity has no proportion.
    wins = min(wins, _FLOAT_MAX) if wins > 0 else 0.0
    losses = min(losses, _FLOAT_MAX) if losses > 0 else 0.0
    largest = max(wins, losses)
    if largest <= OUTCOMES_MAX:
        return wins, losses
    return wins / largest * OUTCOMES_MAX, losses / largest * OUTCOMES_MAX


def _highest(shapes: Sequence[tuple[float, float]]) -> list[float]:
    """Returns, for each Beta distribution, the probability that a draw from it is the highest.

    It integrates over the angle whose squared sine is the rate: there a Beta distribution has about the same
    width, 1 / (2 sqrt(a + b)), at every rate. By Simpson's rule, in cells between the parting points of all.
    The error is below 0.001.
    """
    middles = [asin(sqrt(a / (a + b))) for a, b in shapes]
    widths = [0.5 / sqrt(a + b) for a, b in shapes]
    # Some arm's draw surely lies above this, so that it makes no difference what is below.
    floor = max(0.0, *(m + PARTS[0] * w for m, w in zip(middles, widths, strict=True)))
    points = {m + z * w for m, w in zip(middles, widths, strict=True) for z in PARTS}
    edges = sorted({floor, pi / 2} | {point for point in points if floor < point < pi / 2})
    sixths = [(right - left) / 6 for left, right in pairwise(edges)]
    angles = edges[:1]
    for sixth, right in zip(sixths, edges[1:], strict=True):
        angles += (right - 3 * sixth, right)
    logs = [(log(sin(max(angle, TINY))), log(cos(angle))) for angle in angles]
    densities = [_densities(a, b, logs) for a, b in shapes]
    below = [_below(density, sixths) for density in densities]
    weights = [sixths[0]]
    for here, after in pairwise([*sixths, 0.0]):
        weights += (4 * here, here + after)
    weighted = list(map(mul, weights, map(prod, zip(*below, strict=True))))
    won = [
        sum(map(truediv, map(mul, weighted, density), unders))
        for density, unders in zip(densities, below, strict=True)
    ]
    total = sum(won)
    return [share / total for share in won]


def _densities(a: float, b: float, logs: Sequence[tuple[float, float]]) -> list[float]:
    """Returns the density of the Beta distribution over the angle, from the logarithms of sine and cosine."""
    scale = log(2) + lgamma(a + b) - lgamma(a) - lgamma(b)
    p, q = 2 * a - 1, 2 * b - 1
    return [exp(scale + p * log_sin + q * log_cos) for log_sin, log_cos in logs]


def _below(density: Sequence[float], sixths: Sequence[float]) -> list[float]:
    """Returns the distribution function at the edges and middles of the cells, from the last down, where it
    is 1."""
    found = [1.0]
    under = 1.0
    cells = zip(sixths[::-1], density[::-2], density[-2::-2], density[-3::-2], strict=False)
    for sixth, right, middle, left in cells:
        half = under - sixth * (1.25 * right + 2 * middle - left / 4)
        under -= sixth * (right + 4 * middle + left)
        found += (max(TINY, half), max(TINY, under))
    found.reverse()
    return found
