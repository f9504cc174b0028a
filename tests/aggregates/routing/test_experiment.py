from random import Random

import pytest

from aggregates.routing.experiment import ArmResults, approval_difference, verdict
from aggregates.routing.policy import Arm, Experiment
from aggregates.routing.sequential import Sums


def experiment(metric="approval", guardrail=0.02, **shares: float) -> Experiment:
    shares = shares or {"a": 0.5, "b": 0.5}
    arms = {name: Arm(share=share, account=name) for name, share in shares.items()}
    return Experiment(
        kind="experiment", id="checkout", arms=arms, control="a", metric=metric, guardrail=guardrail
    )


def results(approved: int, n: int, *, customers: int | None = None, cost_ppm: tuple[int, int] = (0, 0)):
    """The results of n payments by as many customers; `cost_ppm`: of the first and the second half."""
    half, rest = approved // 2, approved - approved // 2
    cost = half * cost_ppm[0] + rest * cost_ppm[1]
    squares = half * cost_ppm[0] ** 2 + rest * cost_ppm[1] ** 2
    return ArmResults(
        assigned=n,
        approved=approved,
        declined=n - approved,
        customers=n if customers is None else customers,
        approval=Sums(n, n, approved, n, approved, approved),
        first_approved=approved,
        first_not_approved=n - approved,
        cost_ppm=Sums(approved, approved, cost, approved, cost, squares),
    )


def test_pending_payments_are_shown_and_are_in_no_rate():
    arm = ArmResults(assigned=100, approved=60, declined=20, failed=10)

    assert arm.pending == 10
    assert arm.approval_rate == 60 / 90
    assert ArmResults(assigned=3).approval_rate is None


def test_nothing_is_said_without_data():
    judged = verdict(experiment(), {})

    assert (judged.outcome, judged.winner, judged.stop) == ("none_yet", None, ())
    assert judged.comparisons["b"].approval.lower == -1
    assert judged.comparisons["b"].approval.upper == 1
    assert judged.comparisons["b"].cost_ppm is None


def test_an_arm_that_is_shown_to_approve_more_wins():
    judged = verdict(experiment(), {"a": results(9_000, 10_000), "b": results(9_300, 10_000)})

    assert (judged.outcome, judged.winner) == ("winner", "b")
    approval = judged.comparisons["b"].approval
    assert approval.estimate == pytest.approx(0.03)
    assert 0 < approval.lower < 0.03 < approval.upper


def test_what_a_single_look_at_a_z_test_would_call_is_no_winner_yet():
    # A z-test's figure is 2.2 here, and 1.96 is its limit.
    judged = verdict(experiment(), {"a": results(9_000, 10_000), "b": results(9_092, 10_000)})

    assert (judged.outcome, judged.winner) == ("none_yet", None)


def test_the_control_wins_when_every_other_arm_is_shown_to_be_worse():
    one = experiment(guardrail=0.5, a=0.4, b=0.3, c=0.3)
    worse = {"a": results(9_200, 10_000), "b": results(6_600, 7_500), "c": results(6_500, 7_500)}

    assert verdict(one, worse).winner == "a"
    assert verdict(one, worse | {"c": results(6_900, 7_500)}).winner is None


def test_the_best_of_several_better_arms_wins():
    one = experiment(a=0.4, b=0.3, c=0.3)

    judged = verdict(
        one, {"a": results(8_800, 10_000), "b": results(6_900, 7_500), "c": results(7_000, 7_500)}
    )

    assert judged.winner == "c"


def test_more_arms_make_the_intervals_wider():
    data = {"a": results(9_000, 10_000), "b": results(9_100, 10_000), "c": results(9_100, 10_000)}
    two = verdict(experiment(), data).comparisons["b"].approval
    three = verdict(experiment(a=0.4, b=0.3, c=0.3), data).comparisons["b"].approval

    assert three.lower < two.lower
    assert three.upper > two.upper


def test_an_arm_is_stopped_when_its_interval_lies_below_the_guardrail_and_not_before():
    control = results(9_000, 10_000)

    assert verdict(experiment(), {"a": control, "b": results(8_400, 10_000)}).stop == ("b",)
    # 2.7 points below: 2 are allowed, and 0.7 may be chance
    assert verdict(experiment(), {"a": control, "b": results(8_730, 10_000)}).stop == ()
    # surely worse, and by less than the guardrail allows
    mild = verdict(experiment(guardrail=0.1), {"a": control, "b": results(8_400, 10_000)})
    assert mild.stop == ()
    assert mild.winner == "a"


def test_an_arm_that_approves_nothing_is_stopped_within_a_dozen_customers():
    control = results(90, 100)
    died = next(n for n in range(1, 100) if verdict(experiment(), {"a": control, "b": results(0, n)}).stop)

    assert died <= 12


def test_one_customer_who_is_declined_over_and_over_stops_no_arm():
    unlucky = ArmResults(
        assigned=80,
        approved=20,
        declined=60,
        customers=21,
        approval=Sums(groups=21, n=80, y=20, nn=20 + 60 * 60, ny=20, yy=20),
        first_approved=20,
        first_not_approved=1,
    )

    judged = verdict(experiment(), {"a": results(90, 100), "b": unlucky})

    assert judged.stop == ()
    assert judged.comparisons["b"].approval.upper > 0


def test_a_broken_sample_ratio_means_no_winner_and_still_stops_an_arm_that_does_harm():
    judged = verdict(
        experiment(),
        {"a": results(9_000, 10_000, customers=10_000), "b": results(9_400, 10_000, customers=9_000)},
    )
    assert (judged.outcome, judged.winner) == ("ratio_broken", None)
    assert judged.ratio_evidence > 100

    harmful = verdict(
        experiment(),
        {"a": results(9_000, 10_000, customers=10_000), "b": results(5_000, 10_000, customers=9_000)},
    )
    assert harmful.outcome == "ratio_broken"
    assert harmful.stop == ("b",)


def test_an_arm_that_was_stopped_wins_nothing_and_its_end_breaks_no_ratio():
    one = experiment(a=0.4, b=0.3, c=0.3)
    data = {"a": results(36_000, 40_000), "b": results(180, 300), "c": results(27_600, 30_000)}

    assert verdict(one, data).outcome == "ratio_broken"
    judged = verdict(one, data, stopped={"b"})
    assert (judged.outcome, judged.winner) == ("winner", "c")
    assert verdict(one, data, stopped={"b", "c"}).winner == "a"


def test_the_declared_metric_decides():
    cheap = {
        "a": results(9_000, 10_000, cost_ppm=(28_000, 32_000)),
        "b": results(8_990, 10_000, cost_ppm=(23_000, 27_000)),
    }

    assert verdict(experiment(), cheap).winner is None
    judged = verdict(experiment(metric="cost"), cheap)
    assert judged.winner == "b"
    assert judged.comparisons["b"].cost_ppm is not None
    assert judged.comparisons["b"].cost_ppm.estimate == pytest.approx(-5_000)


def test_a_cheap_arm_below_the_guardrail_does_not_win():
    judged = verdict(
        experiment(metric="cost"),
        {
            "a": results(9_000, 10_000, cost_ppm=(28_000, 32_000)),
            "b": results(7_000, 10_000, cost_ppm=(9_000, 11_000)),
        },
    )

    assert judged.stop == ("b",)
    assert judged.winner == "a"


def test_too_few_priced_payments_give_no_cost_interval():
    few = {arm: results(90, 99, cost_ppm=(1, 3)) for arm in ("a", "b")}

    assert verdict(experiment(metric="cost"), few).comparisons["b"].cost_ppm is None


def test_the_interval_misses_the_truth_at_any_look_in_less_than_alpha_of_runs_of_unequal_arms():
    chance, missed = Random(11), 0
    for _ in range(150):
        counts = {"a": [0, 0], "b": [0, 0]}
        for _ in range(40):
            for arm, size in (("a", 90), ("b", 10)):
                counts[arm][0] += sum(chance.random() < 0.95 for _ in range(size))
                counts[arm][1] += size
            interval = approval_difference(results(*counts["b"]), results(*counts["a"]), 0.05)
            if not interval.lower <= 0 <= interval.upper:
                missed += 1
                break

    assert missed / 150 <= 0.05
