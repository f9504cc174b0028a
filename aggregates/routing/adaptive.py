"""The adaptive strategy: Thompson sampling over what each arm has shown since its last change.

An arm is an account in a segment. A success is an approval; a decline and a technical failure are none; an
unknown outcome is not observed. Neither a horizon nor a number of changes is known here. Chance is the
caller's: these functions return probabilities.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import asin, cos, exp, lgamma, log, pi, prod, sin, sqrt
from typing import Final

from aggregates.routing.change import Bucket, appended, since_change


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


def prior(arms: Mapping[str, tuple[float, float]]) -> tuple[float, float]:
    """Returns the Beta distribution that every arm starts from: its mean is at most 1/2, and at most what the
    best arm has shown, so that a new arm is not taken for a leader."""
    best = max((wins / (wins + losses + 1.0) for wins, losses in arms.values()), default=0.0)
    return 1.0, max(1.0, 1.0 / best - 1.0) if best > 0 else 1.0


def propensities(arms: Mapping[str, tuple[float, float]], explore: float) -> dict[str, float]:
    """Returns the probability of each arm to be chosen; they add up to 1.

    `arms`: wins and losses by name. The share `explore` is spread evenly; for the rest it is the probability
    that a draw from the arm's Beta distribution is the highest of all, by quadrature.
    """
    if not arms:
        return {}
    start = prior(arms)
    highest = _highest([(start[0] + wins, start[1] + losses) for wins, losses in arms.values()])
    even = explore / len(arms)
    return {name: even + (1 - explore) * share for name, share in zip(arms, highest, strict=True)}


# Distances from an arm's middle, in widths, at which the quadrature parts the range.
_PARTS: Final = (-6.0, -4.0, -3.0, -2.25, -1.5, -0.75, 0.0, 0.75, 1.5, 2.25, 3.0, 4.0, 6.0)
_TINY: Final = 1e-12


def _highest(shapes: Sequence[tuple[float, float]]) -> list[float]:
    """Returns, for each Beta distribution, the probability that a draw from it is the highest.

    It integrates over the angle whose squared sine is the rate: there a Beta distribution has about the same
    width, 1 / (2 sqrt(a + b)), at every rate. By Simpson's rule, in cells between the parting points of all.
    """
    middles = [asin(sqrt(a / (a + b))) for a, b in shapes]
    widths = [0.5 / sqrt(a + b) for a, b in shapes]
    # Some arm's draw surely lies above this, so that it makes no difference what is below.
    floor = max(0.0, *(m + _PARTS[0] * w for m, w in zip(middles, widths, strict=True)))
    points = {m + z * w for m, w in zip(middles, widths, strict=True) for z in _PARTS}
    edges = sorted({floor, pi / 2} | {point for point in points if floor < point < pi / 2})
    angles = [edges[0]]
    for left, right in pairwise(edges):
        angles += ((left + right) / 2, right)
    logs = [(log(max(sin(angle), _TINY)), log(max(cos(angle), _TINY))) for angle in angles]
    sixths = [(right - left) / 6 for left, right in pairwise(edges)]
    densities = [_densities(a, b, logs) for a, b in shapes]
    below = [_below(density, sixths) for density in densities]
    all_below = [prod(values) for values in zip(*below, strict=True)]
    weights = [sixths[0]]
    for here, after in pairwise([*sixths, 0.0]):
        weights += (4 * here, here + after)
    weighted = [weight * value for weight, value in zip(weights, all_below, strict=True)]
    won = [
        sum(w * f / under for w, f, under in zip(weighted, density, unders, strict=True))
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
    """Returns the distribution function at the edges and middles of the cells; 1 at the last."""
    found = [1.0]
    under = 1.0
    for cell in range(len(sixths) - 1, -1, -1):
        left, middle, right = density[2 * cell : 2 * cell + 3]
        found.append(under - sixths[cell] * (5 * right + 8 * middle - left) / 4)
        under -= sixths[cell] * (left + 4 * middle + right)
        found.append(under)
    return [max(value, _TINY) for value in reversed(found)]
