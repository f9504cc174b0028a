"""The payment world: what the strategies meet, and that answers come late."""

from collections import deque

import numpy as np

from infra.tools.bench.regret.strategies import STRATEGIES
from infra.tools.bench.regret.world import ANSWER_S, PSPS, choices, lost, world


class _Watching:
    """Chooses PSP A and counts what it has heard before each choice."""

    def __init__(self) -> None:
        self.heard = 0
        self.before = deque()

    def choose(self, payment, open_to, uniform):
        self.before.append(self.heard)
        return "A"

    def learn(self, psp, answer_s, *, approved):
        self.heard += 1


def test_answers_come_after_02_to_30_seconds():
    drawn = world(1)
    watching = _Watching()

    list(choices(watching, drawn))

    assert drawn.answers_s.min() >= ANSWER_S[0] == 0.2
    assert drawn.answers_s.max() == ANSWER_S[1] == 30.0
    warmed = watching.before[0]
    for payment, heard in enumerate(watching.before):
        due = drawn.at_s[:payment] + drawn.answers_s[:payment, 0] <= drawn.at_s[payment]
        assert heard - warmed == due.sum()


def test_what_is_lost_is_the_distance_to_the_best_psp_of_that_time():
    drawn = world(2, payments=1_000)
    names = [psp.name for psp in PSPS]

    losses = lost(drawn, [names.index("A")] * 1_000)

    assert losses[0] == 0.0
    assert np.allclose(losses[200:250], 0.95)  # the outage: B is at 0.95
    assert losses[990] > 0.05


def test_the_adaptive_strategy_loses_less_than_the_best_psp_that_is_never_left():
    drawn = world(3)
    losses = {
        name: lost(drawn, list(choices(STRATEGIES[name](drawn), drawn))).sum()
        for name in ("adaptive", "best fixed", "round_robin")
    }

    assert losses["adaptive"] < losses["best fixed"] < losses["round_robin"]
