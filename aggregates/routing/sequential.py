"""Intervals and checks that hold at every look: whoever looks daily, or stops when he likes what he sees, is
wrong no more often than `alpha` says.

Invariant: everything here is computed from sums alone, so that a rebuilt table gives the same answer.

Sources. `mean_margin`: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Time-uniform central limit theory and
asymptotic confidence sequences, Annals of Statistics 52 (2024), arXiv 2103.06476, theorem 2.2. `rate_bounds`:
Robbins' mixture with a uniform prior; Howard, Ramdas, McAuliffe and Sekhon, Time-uniform, nonparametric,
nonasymptotic confidence sequences, Annals of Statistics 49 (2021), arXiv 1810.08240. `ratio_evidence`: Lindon
and Malek, Anytime-valid inference for multinomial count data, NeurIPS 2022, arXiv 2011.03567. `Sums.error`:
Deng, Knoblich and Lu, Applying the delta method in metric analytics, KDD 2018, arXiv 1803.06336.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import exp, inf, lgamma, log, sqrt
from typing import Final

TUNED_FOR: Final = 10_000
"""The observations at which `mean_margin` is as narrow as it can be; it holds at every other number too."""
_PRIOR: Final = 100.0
_HALVINGS: Final = 60


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and the interval around it."""

    estimate: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True)
class Sums:
    """The sums of an average over observations that come in groups, such as the payments of customers.

    With n observations and the sum y in one group: `n` and `y` are the sums over all groups, `nn`, `ny` and
    `yy` those of n * n, n * y and y * y; `groups` is their number.
    """

    groups: int = 0
    n: int = 0
    y: int = 0
    nn: int = 0
    ny: int = 0
    yy: int = 0

    @property
    def mean(self) -> float:
        """The average of all observations; 0.0 without any."""
        return self.y / self.n if self.n else 0.0

    @property
    def error(self) -> float:
        """The standard error of `mean`, with groups as the independent units; infinite for fewer than two
        groups."""
        if self.groups < 2:
            return inf
        # Whole numbers until the end: the terms are much larger than what is left of them.
        squares = self.yy * self.n**2 - 2 * self.y * self.n * self.ny + self.y**2 * self.nn
        return sqrt(squares / self.n**4 * self.groups / (self.groups - 1))


def mean_margin(error: float, observations: int, alpha: float) -> float:
    """Returns what lies on both sides of an average with this standard error, so that the true one stays
    within at all numbers of observations with a probability of 1 - `alpha`. It holds in the limit, as any
    interval by the central limit theorem does: use it from some dozens of observations of each kind on."""
    spread = -2 * log(alpha) + log(-2 * log(alpha) + 1)  # the paper's choice of rho
    ripe = observations * spread / TUNED_FOR
    return error * sqrt(2 * (ripe + 1) / ripe * log(sqrt(ripe + 1) / alpha))


def rate_bounds(hits: int, misses: int, alpha: float) -> tuple[float, float]:
    """Returns bounds that hold the true rate at all times with a probability of 1 - `alpha`, from the first
    observation on and without any approximation."""
    reached = _log_beta((1 + hits, 1 + misses)) + log(alpha)

    def within(rate: float) -> bool:
        return hits * _log(rate) + misses * _log(1 - rate) > reached

    top = hits / (hits + misses) if hits + misses else 0.5
    return (0.0 if not hits else _edge(within, top, 0.0)), (1.0 if not misses else _edge(within, top, 1.0))


def _edge(within: Callable[[float], bool], inside: float, outside: float) -> float:
    """Returns the border between a point within and one that is not, from its outer side."""
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        inside, outside = (middle, outside) if within(middle) else (inside, middle)
    return outside


def ratio_evidence(counts: Sequence[int], shares: Sequence[float]) -> float:
    """Returns how much better another split than `shares` explains the counts: 100 or more comes about with a
    probability of at most 1 % over all looks together where the split is as declared. The shares are positive
    and add up to 1."""
    prior = [_PRIOR * share for share in shares]
    evidence = (
        _log_beta([one + count for one, count in zip(prior, counts, strict=True)])
        - _log_beta(prior)
        - sum(count * log(share) for count, share in zip(counts, shares, strict=True))
    )
    return exp(min(evidence, 700.0))  # exp overflows from 709 on


def _log(value: float) -> float:
    return log(value) if value > 0 else -inf


def _log_beta(values: Sequence[float]) -> float:
    return sum(map(lgamma, values)) - lgamma(sum(values))
