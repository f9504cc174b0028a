from math import sqrt
from random import Random

import pytest

from infra.tools.bench.experiments import binomial, look_daily, run, z_test_differs


def test_looked_at_daily_ours_is_wrong_in_at_most_5_percent_where_a_z_test_is_in_about_29():
    looks = look_daily(0.0, 400, 400, Random(1))

    assert looks.ours <= 0.05
    # 0.29 for 30 equally spaced looks; four standard errors
    assert looks.z_test == pytest.approx(0.29, abs=4 * sqrt(0.29 * 0.71 / 400))


def test_a_real_difference_of_2_points_is_found():
    looks = look_daily(0.02, 60, 1000, Random(1))

    assert looks.ours >= 0.95
    assert looks.days is not None
    assert looks.days < 15


def test_the_binomial_numbers_have_their_mean_and_deviation():
    source = binomial(1000, 0.9, Random(5))
    drawn = [source() for _ in range(5000)]

    mean = sum(drawn) / len(drawn)
    assert mean == pytest.approx(900, abs=5 * sqrt(90 / 5000))
    assert sum((one - mean) ** 2 for one in drawn) / len(drawn) == pytest.approx(90, rel=0.1)


def test_the_z_test_is_the_textbooks():
    # 900 and 927 of 1,000: z = 2.14; 900 and 924: z = 1.89
    assert z_test_differs(900, 927, 1000)
    assert not z_test_differs(900, 924, 1000)


def test_the_same_seed_gives_the_same_figures():
    assert run(experiments=10, payments_per_day=50, seed=3) == run(
        experiments=10, payments_per_day=50, seed=3
    )
