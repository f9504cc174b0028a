"""Plays the published problems and the payment world, a process for each core, and makes their figures."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from math import sqrt
from multiprocessing import get_context
from time import monotonic
from typing import Any, Final

import numpy as np

from infra.tools.bench.regret.ours import EXPLORE, Ours
from infra.tools.bench.regret.problems import Floats, Problem, problems
from infra.tools.bench.regret.rivals import KlUcb, Policy, SlidingKlUcb, Thompson
from infra.tools.bench.regret.strategies import STRATEGIES
from infra.tools.bench.regret.world import PAYMENTS, PHASES, PSPS, choices, lost, world

OURS: Final = "adaptive"
ALGORITHMS: Final[dict[str, Callable[[Problem, int, np.random.Generator], Policy]]] = {
    OURS: Ours,
    "klUCB": KlUcb,
    "Thompson": Thompson,
    "SW-klUCB": SlidingKlUcb,
}
SPLIT: Final = 250
"""The runs of one task: a long problem is shared among the cores."""
CURVE_POINTS: Final = 200
WORLD_RUNS: Final = 100


@dataclass(frozen=True, slots=True)
class Played:
    """The regret of some runs. `pseudo`: the best rate less the chosen arm's, added up over the steps;
    `realised`: the best rate less the outcome, which has the same mean and more noise. `curve`: the mean
    pseudo-regret at equal distances."""

    pseudo: Floats
    realised: Floats
    curve: Floats


def play(problem: Problem, policy: Policy, runs: int, chance: np.random.Generator) -> Played:
    """Plays all runs at once, step by step."""
    pseudo, realised = np.zeros(runs), np.zeros(runs)
    marks = {problem.steps * (point + 1) // CURVE_POINTS - 1: point for point in range(CURVE_POINTS)}
    curve = np.zeros(CURVE_POINTS)
    for start, end, rates in problem.segments():
        best = rates.max()
        for step in range(start, end):
            chosen = policy.choose(step)
            expected = rates[chosen]
            won = (chance.random(runs) < expected).astype(np.float64)
            policy.learn(chosen, won)
            pseudo += best - expected
            realised += best - won
            if step in marks:
                curve[marks[step]] = pseudo.mean()
    return Played(pseudo, realised, curve)


def _play_part(problem: str, algorithm: str, runs: int, seed: Sequence[int]) -> Played:
    chance = np.random.default_rng(list(seed))
    played = problems()[problem]
    return play(played, ALGORITHMS[algorithm](played, runs, chance), runs, chance)


def _play_world(strategy: str, seeds: Sequence[int]) -> tuple[Floats, Floats]:
    """Returns, by run and payment, what was lost; and the share of the runs that chose each PSP."""
    losses, chosen = [], np.zeros((PAYMENTS, len(PSPS)))
    for seed in seeds:
        drawn = world(seed)
        columns = list(choices(STRATEGIES[strategy](drawn), drawn))
        losses.append(lost(drawn, columns))
        chosen[np.arange(PAYMENTS), columns] += 1 / len(seeds)
    return np.array(losses), chosen


@dataclass(frozen=True, slots=True)
class Result:
    """All figures. `curves`: mean regret by problem and algorithm; `chosen`: the adaptive strategy's shares
    by payment; `lost`: mean approvals lost so far, by strategy."""

    figures: dict[str, Any]
    curves: dict[str, dict[str, Floats]]
    chosen: Floats | None
    lost: dict[str, Floats]


def bench_regret(names: Sequence[str], runs: int | None, seed: int, cores: int) -> Result:
    """Plays these problems (`world` is the payment world), each with its published number of runs or with
    `runs`, and returns their figures. The same seed and runs give the same figures on any machine."""
    started = monotonic()
    # The children compute; none of them may start threads of its own beside them.
    os.environ["OPENBLAS_NUM_THREADS"] = "1"
    listed = problems()
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        tasks: list[tuple[str, str, Future[Played]]] = []
        for name in sorted(set(names) & set(listed), key=lambda one: -listed[one].steps):
            wanted = runs or listed[name].runs
            parts = [min(SPLIT, wanted - done) for done in range(0, wanted, SPLIT)]
            for place, algorithm in enumerate(ALGORITHMS):
                for number, part in enumerate(parts):
                    seeds = (seed, list(listed).index(name), place, number)
                    tasks.append((name, algorithm, pool.submit(_play_part, name, algorithm, part, seeds)))
        worlds = {
            strategy: pool.submit(_play_world, strategy, range(seed, seed + (runs or WORLD_RUNS)))
            for strategy in (STRATEGIES if "world" in names else ())
        }
        figures: dict[str, Any] = {"seed": seed, "explore": EXPLORE, "problems": {}}
        curves: dict[str, dict[str, Floats]] = {}
        for name in (one for one in listed if one in names):
            of = {
                algorithm: _joined([task.result() for n, a, task in tasks if (n, a) == (name, algorithm)])
                for algorithm in ALGORITHMS
            }
            figures["problems"][name] = _figures(listed[name], of)
            curves[name] = {algorithm: played.curve for algorithm, played in of.items()}
        outcome = {strategy: task.result() for strategy, task in worlds.items()}
    if outcome:
        figures["world"] = {strategy: _world_figures(losses) for strategy, (losses, _) in outcome.items()}
    figures["seconds"] = round(monotonic() - started)
    return Result(
        figures,
        curves,
        outcome["adaptive"][1] if outcome else None,
        {strategy: losses.cumsum(axis=1).mean(axis=0) for strategy, (losses, _) in outcome.items()},
    )


def _joined(parts: Sequence[Played]) -> Played:
    sizes = [len(part.pseudo) for part in parts]
    return Played(
        np.concatenate([part.pseudo for part in parts]),
        np.concatenate([part.realised for part in parts]),
        np.average([part.curve for part in parts], axis=0, weights=sizes),
    )


def _figures(problem: Problem, of: dict[str, Played]) -> dict[str, Any]:
    found: dict[str, Any] = {"steps": problem.steps, "changes": problem.changes, "algorithms": {}}
    for algorithm, played in of.items():
        runs = len(played.pseudo)
        mean = float(played.pseudo.mean())
        found["algorithms"][algorithm] = {
            "runs": runs,
            "mean": round(mean, 1),
            "se": round(float(played.pseudo.std()) / sqrt(runs), 1),
            "sd_realised": round(float(played.realised.std()), 1),
        }
        if algorithm in problem.published:
            published, sd = problem.published[algorithm]
            # Both are samples: the error is that of their difference.
            error = sqrt(sd**2 / problem.runs + float(played.pseudo.var()) / runs)
            found["algorithms"][algorithm] |= {
                "published": published,
                "published_sd": sd,
                "errors_apart": round((mean - published) / error, 1),
            }
    return found


def _world_figures(losses: Floats) -> dict[str, Any]:
    runs, payments = losses.shape
    total = losses.sum(axis=1)
    return {
        "runs": runs,
        "lost": round(float(total.mean()), 1),
        "se": round(float(total.std()) / sqrt(runs), 1),
        "phases": {
            name: round(float(losses[:, int(since * payments) : int(until * payments)].sum(axis=1).mean()), 1)
            for name, since, until in PHASES
        },
    }
