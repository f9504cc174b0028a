"""The vectorised adaptive strategy is the one of production: every state, on the same outcomes."""

import numpy as np
import pytest

from aggregates.routing.adaptive import Arm, observe, propensities
from aggregates.routing.change import LARGEST, OF_A_SIZE_MAX, SINGLE_MAX
from infra.tools.bench.regret import ours
from infra.tools.bench.regret.histories import Histories
from infra.tools.bench.regret.problems import problems


def _history(histories: Histories, run: int, arm: int) -> tuple[tuple[int, int], ...]:
    found = []
    for level, count in enumerate(histories.counts[run, arm]):
        first = 0 if level == 0 else SINGLE_MAX + OF_A_SIZE_MAX * (level - 1)
        buckets = histories.buckets[run, arm, first : first + count].tolist()
        found += [(wins, 2**level - wins) for wins in buckets]
    return tuple(found)


def test_both_choose_and_remember_the_same_at_every_step():
    problem, runs = problems()["1"], 3
    chance = np.random.default_rng(4)
    many = ours.ByPropensities(problem, runs, chance)
    single = [[Arm() for _ in range(problem.arms)] for _ in range(runs)]
    changes = 0

    for step in range(900):
        rates = problem.rates[step // 180]
        uniforms, customers = chance.random(runs), chance.random(runs)
        chosen = many.choose_by(uniforms)
        won = customers < rates[chosen]
        many.learn(chosen, won.astype(np.float64))

        for run, arms in enumerate(single):
            shares = propensities({i: (arm.wins, arm.losses) for i, arm in enumerate(arms)}, ours.EXPLORE)
            passed = np.cumsum(list(shares.values()))
            assert int(np.argmax(passed > uniforms[run])) == chosen[run]
            before = arms[chosen[run]]
            after = observe(before, success=bool(won[run]))
            changes += after.wins + after.losses <= before.wins + before.losses
            arms[chosen[run]] = after
            for i, arm in enumerate(arms):
                assert _history(many.histories, run, i) == arm.history
                assert (many.histories.wins[run, i], many.histories.losses[run, i]) == (arm.wins, arm.losses)

    assert changes >= 3


def test_both_forget_the_oldest_outcomes_of_a_full_history():
    many, single = Histories(1, 1), Arm()

    for step in range(5 * LARGEST):
        won = step % 3 != 0
        many.observe(np.array([0]), np.array([int(won)]))
        single = observe(single, success=won)

    assert _history(many, 0, 0) == single.history
    assert sum(map(sum, single.history)) <= 4 * LARGEST


def test_the_probabilities_are_the_same_for_any_counts():
    chance = np.random.default_rng(6)
    outcomes = np.exp(chance.uniform(0, 9.6, (200, 5))).astype(np.int64) - 1
    wins = chance.binomial(outcomes, chance.random((200, 5)))

    found = ours.propensities(wins, outcomes - wins, 0.02)

    for row in range(200):
        arms = {i: (float(wins[row, i]), float(outcomes[row, i] - wins[row, i])) for i in range(5)}
        assert list(propensities(arms, 0.02).values()) == pytest.approx(found[row], abs=1e-9)


def test_drawing_chooses_as_often_as_the_propensities_say():
    problem, runs = problems()["1"], 40_000
    chance = np.random.default_rng(9)
    drawing = ours.Ours(problem, runs, chance)
    drawing.histories.wins[:], drawing.histories.losses[:] = [47, 6, 0], [3, 1, 0]

    chosen = drawing.choose(0)

    shares = propensities({0: (47, 3), 1: (6, 1), 2: (0, 0)}, ours.EXPLORE)
    for arm, share in shares.items():
        assert (chosen == arm).mean() == pytest.approx(share, abs=4 * (share * (1 - share) / runs) ** 0.5)
