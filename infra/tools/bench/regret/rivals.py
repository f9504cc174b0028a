"""The published algorithms that show whether the harness is right: klUCB, Thompson sampling, SW-klUCB.

They follow the definitions of SMPyBandits 0.9.7, whose figures they have to reproduce, down to the tolerance
of its bisection.
"""

from typing import Final, Protocol

import numpy as np

from infra.tools.bench.regret.problems import Floats, Ints, Problem

_TOLERANCE: Final = 1e-4  # of klUCB's index, as there
_EDGE: Final = 1e-15


class Policy(Protocol):
    """An algorithm that plays many runs at once, one decision each per step."""

    def choose(self, step: int) -> Ints:
        """Returns the arm of each run. `step`: from 0."""

    def learn(self, chosen: Ints, won: Floats) -> None:
        """Takes the outcomes, 0 or 1."""


class KlUcb:
    """klUCB (Garivier and Cappé, 2011): the highest rate that the outcomes do not contradict by log t."""

    def __init__(self, problem: Problem, runs: int, chance: np.random.Generator) -> None:
        self._chance = chance
        self._rows = np.arange(runs)
        self._pulls = np.zeros((runs, problem.arms))
        self._wins = np.zeros((runs, problem.arms))

    def choose(self, step: int) -> Ints:
        """Returns the arm with the highest index."""
        return _argmax(self._indices(np.log(max(step, 1))), self._chance)

    def learn(self, chosen: Ints, won: Floats) -> None:
        """Counts the outcomes."""
        self._pulls[self._rows, chosen] += 1
        self._wins[self._rows, chosen] += won

    def _indices(self, level: float) -> Floats:
        pulls = np.maximum(self._pulls, 1)
        found = _klucb(self._wins / pulls, level / pulls)
        found[self._pulls < 1] = np.inf
        return found


class SlidingKlUcb(KlUcb):
    """klUCB over a window of the last 2 sqrt(T ln T / changes) steps: it knows both."""

    def __init__(self, problem: Problem, runs: int, chance: np.random.Generator) -> None:
        super().__init__(problem, runs, chance)
        self._window = int(2 * np.sqrt(problem.steps * np.log(problem.steps) / problem.changes))
        self._chosen = np.zeros((self._window, runs), dtype=np.int64)
        self._won = np.zeros((self._window, runs))
        self._step = 0

    def choose(self, step: int) -> Ints:
        """Returns the arm with the highest index over the window."""
        return super().choose(min(step, self._window))

    def learn(self, chosen: Ints, won: Floats) -> None:
        """Counts the outcomes, and takes back those that leave the window."""
        super().learn(chosen, won)
        place = self._step % self._window
        if self._step >= self._window:
            left = self._chosen[place]
            self._pulls[self._rows, left] -= 1
            self._wins[self._rows, left] -= self._won[place]
        self._chosen[place], self._won[place] = chosen, won
        self._step += 1


class Thompson:
    """Thompson sampling from a flat prior (1933)."""

    def __init__(self, problem: Problem, runs: int, chance: np.random.Generator) -> None:
        self._chance = chance
        self._rows = np.arange(runs)
        self._wins = np.ones((runs, problem.arms))
        self._losses = np.ones((runs, problem.arms))

    def choose(self, step: int) -> Ints:
        """Returns the arm whose draw is the highest."""
        return np.asarray(np.argmax(self._chance.beta(self._wins, self._losses), axis=1))

    def learn(self, chosen: Ints, won: Floats) -> None:
        """Counts the outcomes."""
        self._wins[self._rows, chosen] += won
        self._losses[self._rows, chosen] += 1 - won


def _argmax(indices: Floats, chance: np.random.Generator) -> Ints:
    """Returns the column of the highest index, one of them by chance where there are several."""
    ties = indices == indices.max(axis=1, keepdims=True)
    return np.asarray(np.argmax(ties * chance.random(indices.shape), axis=1))


def _klucb(rate: Floats, distance: Floats) -> Floats:
    low, high = rate.copy(), np.minimum(1.0, rate + np.sqrt(distance / 2))
    rate = np.clip(rate, _EDGE, 1 - _EDGE)
    entropy = rate * np.log(rate) + (1 - rate) * np.log(1 - rate) - distance
    while True:
        wide = high - low > _TOLERANCE
        if not wide.any():
            return (low + high) / 2
        middle = np.clip((low + high) / 2, _EDGE, 1 - _EDGE)
        above = entropy - rate * np.log(middle) - (1 - rate) * np.log(1 - middle) > 0
        high = np.where(wide & above, middle, high)
        low = np.where(wide & ~above, middle, low)
