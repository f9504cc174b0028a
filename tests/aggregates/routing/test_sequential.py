"""Values that come from elsewhere: closed forms, direct minimisation, and simulated experiments."""

from itertools import pairwise
from math import comb, inf, log, sqrt
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregates.routing.sequential import TUNED_FOR, Sums, mean_margin, rate_bounds, ratio_evidence


def grouped(groups: list[list[int]]) -> Sums:
    """Sums of 0 and 1 that come in groups."""
    sizes, hits = [len(one) for one in groups], [sum(one) for one in groups]
    return Sums(
        groups=len(groups),
        n=sum(sizes),
        y=sum(hits),
        nn=sum(n * n for n in sizes),
        ny=sum(n * y for n, y in zip(sizes, hits, strict=True)),
        yy=sum(y * y for y in hits),
    )


def test_the_error_of_groups_of_one_is_the_binomial_one():
    sums = grouped([[1]] * 900 + [[0]] * 100)

    assert sums.mean == 0.9
    assert sums.error == pytest.approx(sqrt(0.9 * 0.1 / 999))


def test_payments_of_one_customer_that_all_end_alike_count_as_one():
    alone = grouped([[1]] * 90 + [[0]] * 10)
    tenfold = grouped([[1] * 10] * 90 + [[0] * 10] * 10)

    assert tenfold.error == pytest.approx(alone.error)


@given(st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=6), min_size=2, max_size=30))
def test_the_error_equals_the_one_of_the_residuals(groups):
    sums = grouped(groups)
    residuals = [sum(one) - sums.mean * len(one) for one in groups]

    expected = sqrt(sum(r * r for r in residuals) * len(groups) / (len(groups) - 1)) / sums.n
    assert sums.error == pytest.approx(expected, abs=1e-9)


def test_fewer_than_two_groups_have_no_error():
    assert Sums().error == inf
    assert Sums().mean == 0.0


def test_the_margin_is_robbins_mixture_for_the_rho_that_is_best_where_it_is_tuned_for():
    def margin(rho: float, t: int) -> float:  # theorem 2.2 of arXiv 2103.06476, with a deviation of 1
        within = t * rho * rho
        return sqrt(2 * (within + 1) / (t * t * rho * rho) * log(sqrt(within + 1) / 0.05))

    best = min((margin(step / 10_000, TUNED_FOR), step / 10_000) for step in range(1, 2_000))

    # The paper's rho is an approximation of the best one.
    assert mean_margin(1 / sqrt(TUNED_FOR), TUNED_FOR, 0.05) == pytest.approx(best[0], rel=0.01)


@pytest.mark.parametrize("n", [100, 1_000, 10_000, 1_000_000])
def test_the_margin_is_wider_than_the_one_for_a_single_look(n):
    assert mean_margin(1 / sqrt(n), n, 0.05) > 1.96 / sqrt(n)


def test_bounds_of_a_rate_hold_whatever_the_order_and_narrow_with_more():
    widths = []
    for n in (0, 10, 100, 1_000, 10_000):
        low, high = rate_bounds(n * 9 // 10, n - n * 9 // 10, 0.05)
        assert 0 <= low <= 0.9 <= high <= 1
        widths.append(high - low)
    assert widths[0] == 1.0
    assert all(wider > narrower for wider, narrower in pairwise(widths))


def test_an_arm_that_approves_nothing_is_bounded_by_the_closed_form():
    low, high = rate_bounds(0, 12, 0.01)

    # (1 - p)^n >= alpha / (n + 1), the uniform mixture being 1 / (n + 1)
    assert low == 0.0
    assert high == pytest.approx(1 - (0.01 / 13) ** (1 / 12))


def test_the_bounds_miss_the_true_rate_at_any_look_in_less_than_alpha_of_the_runs():
    chance, missed = Random(7), 0
    for _ in range(200):
        hits = 0
        for n in range(1, 101):
            hits += chance.random() < 0.9
            low, high = rate_bounds(hits, n - hits, 0.1)
            if not low <= 0.9 <= high:
                missed += 1
                break

    assert missed / 200 < 0.1


def test_the_evidence_for_another_split_is_the_ratio_of_two_likelihoods():
    # Against shares of one half: the Beta(50, 50) mixture of the binomial, by the exact sum of its integral.
    def beta(a: int, b: int) -> float:
        return 1 / (a * comb(a + b - 1, a))

    assert ratio_evidence([30, 10], [0.5, 0.5]) == pytest.approx(
        beta(50 + 30, 50 + 10) / beta(50, 50) / 0.5**40
    )
    assert ratio_evidence([0, 0], [0.5, 0.5]) == pytest.approx(1)


def test_a_split_of_a_half_that_is_48_to_52_is_seen_in_time_and_a_sound_one_is_not_called_broken():
    assert ratio_evidence([9_600, 10_400], [0.5, 0.5]) > 100
    assert ratio_evidence([9_950, 10_050], [0.5, 0.5]) < 1
    assert ratio_evidence([10**7, 0], [0.5, 0.5]) > 100  # and does not overflow


def test_a_sound_split_is_called_broken_at_any_look_in_less_than_one_percent():
    chance, broken = Random(3), 0
    for _ in range(500):
        first = 0
        for n in range(1, 41):
            first += sum(chance.random() < 0.3 for _ in range(25))
            if ratio_evidence([first, 25 * n - first], [0.3, 0.7]) >= 100:
                broken += 1
                break

    assert broken / 500 <= 0.01
