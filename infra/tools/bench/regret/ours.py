"""The adaptive strategy for many runs at once: `aggregates.routing.adaptive`, in numpy.

`ByPropensities` is the production's at each step of each run: the same history, the same test and the same
probabilities, from which one uniform number picks the arm; tests/infra/tools/bench/regret compares every
state of the two. `Ours` differs in one thing: it draws from the Beta distributions instead of computing how
often each draw would be the highest. That chooses by the same probabilities, in a twentieth of the time.
"""

from math import lgamma
from typing import Final

import numpy as np

from aggregates.routing import adaptive
from aggregates.routing.change import LARGEST
from aggregates.routing.policy import Adaptive
from infra.tools.bench.regret.histories import Histories
from infra.tools.bench.regret.problems import Floats, Ints, Problem

EXPLORE: Final = Adaptive(kind="adaptive").explore
"""The exploration share that a policy has where it names none."""
_AT_ONCE: Final = 100
_PARTS: Final = np.array(adaptive.PARTS)
_LGAMMA: Final = np.array([np.inf, *map(lgamma, range(1, 2 * 4 * LARGEST))])


class Ours:
    """The adaptive strategy with the settings of production. It knows neither T nor the number of changes."""

    def __init__(self, problem: Problem, runs: int, chance: np.random.Generator) -> None:
        self._chance = chance
        self.histories = Histories(runs, problem.arms)

    def choose(self, step: int) -> Ints:
        """Returns the arm of each run whose draw is the highest, or any arm where the run explores."""
        wins, losses = self.histories.wins, self.histories.losses
        drawn = self._chance.beta(wins + adaptive.START[0], losses + adaptive.START[1])
        runs, arms = wins.shape
        anywhere = self._chance.integers(0, arms, runs)
        return np.where(self._chance.random(runs) < EXPLORE, anywhere, np.argmax(drawn, axis=1))

    def learn(self, chosen: Ints, won: Floats) -> None:
        """Takes the outcomes, 0 or 1."""
        self.histories.observe(chosen, won.astype(np.int64))


class ByPropensities(Ours):
    """The same by the probabilities that production computes and writes into each decision."""

    def choose(self, step: int) -> Ints:
        """Returns the arm of each run that a uniform number picks."""
        return self.choose_by(self._chance.random(len(self.histories.wins)))

    def choose_by(self, uniforms: Floats) -> Ints:
        """Returns the arm of each run that its uniform number picks."""
        return picked(propensities(self.histories.wins, self.histories.losses, EXPLORE), uniforms)


def picked(shares: Floats, uniforms: Floats) -> Ints:
    """Returns the arm of each run at which the shares, added up in their order, pass the uniform number."""
    passed = np.cumsum(shares, axis=1) > uniforms[:, None]
    passed[:, -1] = True
    return np.asarray(np.argmax(passed, axis=1))


def propensities(wins: Ints, losses: Ints, explore: float) -> Floats:
    """Returns what `adaptive.propensities` does, by run and arm."""
    a, b = wins + int(adaptive.START[0]), losses + int(adaptive.START[1])
    # As many runs at a time as the processor's cache holds: twice as fast as all at once.
    highest = [_highest(a[i : i + _AT_ONCE], b[i : i + _AT_ONCE]) for i in range(0, len(a), _AT_ONCE)]
    return np.asarray(explore / wins.shape[1] + (1 - explore) * np.concatenate(highest))


def _highest(a: Ints, b: Ints) -> Floats:
    middles = np.arcsin(np.sqrt(a / (a + b)))
    widths = 0.5 / np.sqrt(a + b)
    floor = np.maximum(0.0, (middles + adaptive.PARTS[0] * widths).max(axis=1))[:, None]
    points = (middles[:, :, None] + _PARTS * widths[:, :, None]).reshape(len(a), -1)
    edges = np.concatenate((floor, np.clip(points, floor, np.pi / 2), np.full_like(floor, np.pi / 2)), axis=1)
    edges.sort(axis=1)  # a point outside makes an empty cell
    edges = edges[:, int(np.argmax((edges > floor).any(axis=0))) - 1 :]
    sixths = np.diff(edges, axis=1) / 6
    angles = np.empty((len(a), 2 * edges.shape[1] - 1))
    angles[:, ::2] = edges
    angles[:, 1::2] = edges[:, 1:] - 3 * sixths
    log_sin = np.log(np.sin(np.maximum(angles, adaptive.TINY)))[:, None, :]
    log_cos = np.log(np.cos(angles))[:, None, :]
    scale = np.log(2) + _LGAMMA[a + b] - _LGAMMA[a] - _LGAMMA[b]
    density = np.exp(scale[..., None] + (2 * a - 1)[..., None] * log_sin + (2 * b - 1)[..., None] * log_cos)
    below = _below(density, sixths[:, None, :])
    weights = np.zeros_like(angles)
    weights[:, :-1:2] += sixths
    weights[:, 1::2] += 4 * sixths
    weights[:, 2::2] += sixths
    won = ((weights * below.prod(axis=1))[:, None, :] * density / below).sum(axis=2)
    return np.asarray(won / won.sum(axis=1, keepdims=True))


def _below(density: Floats, sixths: Floats) -> Floats:
    left, middle, right = density[..., :-1:2], density[..., 1::2], density[..., 2::2]
    cells = sixths * (left + 4 * middle + right)
    at_right = 1 - np.cumsum(cells[..., ::-1], axis=-1)[..., ::-1] + cells
    below = np.ones_like(density)
    below[..., :-1:2] = at_right - cells
    below[..., 1::2] = at_right - sixths * (1.25 * right + 2 * middle - left / 4)
    return np.maximum(below, adaptive.TINY)
