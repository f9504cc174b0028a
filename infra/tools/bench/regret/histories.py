"""The adaptive strategy's memory for many runs at once: `aggregates.routing.change`, in numpy.

tests/infra/tools/bench/regret compares every state with the production's.
"""

from typing import Final

import numpy as np

from aggregates.routing import change
from infra.tools.bench.regret.problems import Ints

_LEVELS: Final = change.LARGEST.bit_length()
_SINGLE: Final = change.SINGLE_MAX
_OF_A_SIZE: Final = change.OF_A_SIZE_MAX
_SIZES: Final = np.array(
    [1] * _SINGLE + [2**level for level in range(1, _LEVELS) for _ in range(_OF_A_SIZE)], dtype=np.int64
)
_X_LOG_X: Final = np.array([n * np.log(n) if n else 0.0 for n in range(2 * _SIZES.sum() + 1)])


class Histories:
    """The histories of all arms in all runs. `counts`: by level, how many buckets; `buckets`: the wins in
    each, newest first; both by run and arm."""

    def __init__(self, runs: int, arms: int) -> None:
        self._rows = np.arange(runs)
        self.buckets = np.zeros((runs, arms, len(_SIZES)), dtype=np.int64)
        self.counts = np.zeros((runs, arms, _LEVELS), dtype=np.int64)
        self.wins = np.zeros((runs, arms), dtype=np.int64)
        self.losses = np.zeros((runs, arms), dtype=np.int64)

    def observe(self, chosen: Ints, won: Ints) -> None:
        """Takes one outcome of the chosen arm in each run."""
        buckets, counts = self.buckets[self._rows, chosen], self.counts[self._rows, chosen]
        _append(buckets, counts, won)
        newer, occupied = _since_change(buckets, counts)
        self.buckets[self._rows, chosen], self.counts[self._rows, chosen] = buckets, counts
        self.wins[self._rows, chosen] = newer
        self.losses[self._rows, chosen] = occupied - newer


def _append(buckets: Ints, counts: Ints, won: Ints) -> None:
    full = counts[:, 0] == _SINGLE
    last = buckets[:, _SINGLE - 1].copy()
    buckets[:, 1:_SINGLE] = buckets[:, : _SINGLE - 1]
    buckets[:, 0] = won
    counts[:, 0] += 1
    rows = np.flatnonzero(full)
    carried = last[rows] + buckets[rows, _SINGLE - 1]
    buckets[rows, _SINGLE - 1] = 0
    counts[rows, 0] = _SINGLE - 1
    for level in range(1, _LEVELS):
        if not len(rows):
            return
        newest = _SINGLE + _OF_A_SIZE * (level - 1)
        oldest = newest + _OF_A_SIZE - 1
        full = counts[rows, level] == _OF_A_SIZE
        last = buckets[rows, oldest]
        buckets[rows, newest + 1 : oldest + 1] = buckets[rows, newest:oldest]
        buckets[rows, newest] = carried
        counts[rows, level] += 1
        rows, last = rows[full], last[full]
        counts[rows, level] -= 1
        if level == _LEVELS - 1:
            return
        carried = last + buckets[rows, oldest]
        buckets[rows, oldest] = 0
        counts[rows, level] -= 1


def _since_change(buckets: Ints, counts: Ints) -> tuple[Ints, Ints]:
    there = np.empty(buckets.shape, dtype=bool)
    there[:, :_SINGLE] = np.arange(_SINGLE) < counts[:, :1]
    larger = np.arange(_OF_A_SIZE) < counts[:, 1:, None]
    there[:, _SINGLE:] = larger.reshape(len(buckets), -1)
    total = np.cumsum(there * _SIZES, axis=1)
    wins = np.cumsum(buckets, axis=1)
    losses = total - wins
    all_wins, all_losses = wins[:, -1:], losses[:, -1:]
    older_wins, older_losses = all_wins - wins, all_losses - losses
    evidence = (
        (_X_LOG_X[wins] + _X_LOG_X[losses] - _X_LOG_X[total])
        + (_X_LOG_X[older_wins] + _X_LOG_X[older_losses] - _X_LOG_X[older_wins + older_losses])
        - (_X_LOG_X[all_wins] + _X_LOG_X[all_losses] - _X_LOG_X[all_wins + all_losses])
    )
    fails = (wins == 0) & (total >= change.OUTAGE_MIN)
    noticed = evidence >= np.where(fails, change.OUTAGE_THRESHOLD, change.THRESHOLD)
    evidence[~there | ~noticed | (total == total[:, -1:])] = -np.inf
    width = evidence.shape[1]
    best = width - 1 - np.argmax(evidence[:, ::-1], axis=1)  # of equals the oldest
    every = np.arange(len(buckets))
    changed = np.flatnonzero(evidence[every, best] > 0)
    if len(changed):
        dropped = np.arange(width) > best[changed, None]
        kept = there[changed] & ~dropped
        buckets[changed] = np.where(kept, buckets[changed], 0)
        counts[changed, 0] = kept[:, :_SINGLE].sum(axis=1)
        counts[changed, 1:] = kept[:, _SINGLE:].reshape(len(changed), _LEVELS - 1, _OF_A_SIZE).sum(axis=2)
        wins[changed, -1] = wins[changed, best[changed]]
        total[changed, -1] = total[changed, best[changed]]
    return wins[:, -1], total[:, -1]
