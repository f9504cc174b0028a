"""The adaptive strategy's figures: what a dead PSP and an outage cost, and that the probabilities are
Thompson's."""

import json
import random
from math import inf, nan, sqrt

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aggregates.routing.adaptive import START, Arm, observe, propensities
from aggregates.routing.change import BUCKETS_MAX

EXPLORE = 0.02


def _after(outcomes: str, arm: Arm | None = None) -> Arm:
    arm = arm or Arm()
    for outcome in outcomes:
        arm = observe(arm, success=outcome == "1")
    return arm


def _observed(rate: float, payments: int, chance: random.Random) -> Arm:
    return _after("".join("1" if chance.random() < rate else "0" for _ in range(payments)))


def _known(arms: dict[str, Arm]) -> dict[str, tuple[float, float]]:
    return {name: (arm.wins, arm.losses) for name, arm in arms.items()}


@pytest.mark.parametrize(
    "arms",
    [
        {"a": (0, 0), "b": (0, 0), "c": (0, 0)},
        {"a": (94, 6), "b": (45, 5), "c": (8, 2), "d": (0, 0)},
        {"a": (940, 60), "b": (930, 70), "c": (0, 3)},
        {"a": (50, 950), "b": (4, 96), "c": (0, 0)},
        {"a": (13_100, 840), "b": (400, 31), "c": (180, 10), "d": (12, 0), "e": (2, 5)},
    ],
)
def test_the_propensities_are_the_frequencies_of_the_highest_beta_draw(arms):
    chance = random.Random(12)
    draws = 20_000
    a, b = START
    counts = dict.fromkeys(arms, 0)
    for _ in range(draws):
        drawn = {name: chance.betavariate(a + wins, b + losses) for name, (wins, losses) in arms.items()}
        counts[max(drawn, key=drawn.__getitem__)] += 1

    found = propensities(arms, explore=0.0)

    assert sum(found.values()) == pytest.approx(1)
    for name, share in found.items():
        spread = sqrt(share * (1 - share) / draws)
        assert counts[name] / draws == pytest.approx(share, abs=4 * spread + 0.001)


def test_the_exploration_share_is_spread_evenly():
    arms = {"a": (9_500.0, 500.0), "b": (0.0, 500.0), "c": (0.0, 500.0), "d": (0.0, 500.0)}

    found = propensities(arms, explore=0.02)

    assert found == pytest.approx({"a": 0.985, "b": 0.005, "c": 0.005, "d": 0.005}, abs=1e-6)


def test_arms_that_nothing_is_known_of_are_chosen_evenly_and_no_arm_needs_no_choice():
    assert propensities({"a": (0, 0), "b": (0, 0)}, explore=0.02) == pytest.approx({"a": 0.5, "b": 0.5})
    assert propensities({"a": (3, 1)}, explore=0.02) == pytest.approx({"a": 1.0})
    assert propensities({}, explore=0.02) == {}


@pytest.mark.parametrize("seed", range(20))
def test_a_new_psp_that_approves_nothing_costs_at_most_five_payments_before_it_is_left_alone(seed):
    chance = random.Random(seed)
    arms = {str(rate): _observed(rate, 300, chance) for rate in (0.85, 0.9, 0.94)} | {"dead": Arm()}
    lost = 0

    while lost < 50 and (shares := propensities(_known(arms), EXPLORE))["dead"] > EXPLORE / 4 + 0.005:
        name = chance.choices(list(shares), list(shares.values()))[0]
        approved = name != "dead" and chance.random() < float(name)
        arms[name] = observe(arms[name], success=approved)
        lost += name == "dead"

    assert lost <= 5


@pytest.mark.parametrize("rate", [0.85, 0.9, 0.94, 0.97])
@pytest.mark.parametrize("payments", [200, 2_000, 20_000])
def test_an_outage_of_the_leader_is_noticed_within_five_payments(rate, payments):
    chance = random.Random(payments)
    others = {
        "second": _observed(rate - 0.02, payments // 5, chance),
        "third": _observed(rate - 0.1, 100, chance),
    }
    arms = {"leader": _observed(rate, payments, chance), **others}

    arms["leader"] = _after("00000", arms["leader"])

    assert propensities(_known(arms), EXPLORE)["leader"] < 0.1


def test_an_arm_survives_json():
    arm = _observed(0.9, 777, random.Random(4))

    text = json.dumps(arm.history)

    assert Arm(tuple((wins, losses) for wins, losses in json.loads(text))) == arm
    assert len(text) < 500


def test_an_arm_that_recovers_is_known_again_from_its_new_outcomes_alone():
    down = _after("0" * 40, _observed(0.94, 1000, random.Random(3)))
    assert down.wins == 0
    assert 0 < down.losses <= 45

    up = _after("1" * 12, down)

    assert (up.wins, up.losses) == (12, 0)


def test_an_arm_stays_as_small_whatever_was_observed():
    chance = random.Random(5)
    arm = Arm()
    for _ in range(20_000):
        arm = observe(arm, success=chance.random() < 0.9)
        assert len(arm.history) <= BUCKETS_MAX

    assert arm.wins + arm.losses > 4096


@given(
    st.lists(st.tuples(st.integers(0, 16_384), st.integers(0, 16_384)), min_size=1, max_size=20),
    st.floats(0, 0.5),
)
def test_the_propensities_of_any_arms_are_probabilities(counts, explore):
    found = propensities({str(place): arm for place, arm in enumerate(counts)}, explore)

    assert sum(found.values()) == pytest.approx(1)
    assert min(found.values()) >= explore / len(counts) * 0.999


_ODD = st.one_of(
    st.floats(), st.sampled_from([0.0, 5e-324, 1e-300, 1e9, 1e300, 1e308, inf, -1.0, nan]), st.integers()
)


@given(st.lists(st.tuples(_ODD, _ODD), min_size=1, max_size=6), st.floats(0, 0.5))
@example([(1e308, 1e300), (1e308, 1e308)], 0.02)
@example([(1e308, 0.0), (0.0, 1e308)], 0.0)
@example([(10**400, 1), (nan, -inf)], 0.02)
def test_no_figures_at_all_make_the_propensities_raise(figures, explore):
    found = propensities({str(place): arm for place, arm in enumerate(figures)}, explore)

    assert sum(found.values()) == pytest.approx(1)
    assert all(0 <= share <= 1.000001 for share in found.values())


def test_figures_beyond_all_bounds_are_taken_at_their_proportion():
    found = propensities({"a": (9e307, 1e307), "b": (8e300, 2e300), "c": (0.0, 1e308)}, explore=0.0)

    assert found == pytest.approx({"a": 1, "b": 0, "c": 0}, abs=1e-6)
    assert propensities({"a": (inf, 0.0), "b": (nan, 1e308)}, explore=0.0)["a"] == pytest.approx(1)
