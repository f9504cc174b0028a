import pytest

from aggregates.routing.experiment import ArmResults, verdict
from aggregates.routing.experiment_report import points, report, why_stopped
from aggregates.routing.sequential import Interval
from tests.aggregates.routing.test_experiment import experiment, results


@pytest.mark.parametrize(
    ("interval", "words"),
    [
        (Interval(0.02, 0.005, 0.035), "0.50 to 3.50 points above"),
        (Interval(-0.02, -0.035, -0.005), "0.50 to 3.50 points below"),
        (Interval(0.0, -0.01, 0.02), "between 1.00 points below and 2.00 points above"),
        (Interval(0.0, 0.0, 0.0), "between 0.00 points below and 0.00 points above"),
    ],
)
def test_an_interval_is_said_in_points(interval, words):
    assert points(interval) == words


def test_without_data_nothing_is_claimed():
    made = report(experiment(), {})

    assert (made["outcome"], made["winner"]) == ("none_yet", None)
    assert made["words"] == (
        "No winner yet: the approval rate of b is between 100.00 points below and 100.00 points above a's."
    )
    assert made["arms"][0]["approval_rate"] is None
    assert made["arms"][0]["approval_difference"] is None
    assert made["arms"][1]["cost_difference_ppm"] is None


def test_the_winner_is_named_with_its_interval():
    made = report(experiment(), {"a": results(9_000, 10_000), "b": results(9_300, 10_000)})

    assert made["winner"] == "b"
    assert made["words"].startswith("b wins: the approval rate of b is 1.")
    assert made["words"].endswith(" points above a's.")


def test_the_control_wins_over_each_other_arm():
    one = experiment(guardrail=0.5, a=0.4, b=0.3, c=0.3)

    words = report(one, {"a": results(9_200, 10_000), "b": results(6_600, 7_500), "c": results(6_500, 7_500)})
    assert words["words"].startswith("a wins: the approval rate of b is ")
    assert words["words"].count(" points below a's") == 2


def test_a_broken_ratio_is_said_with_the_customers_of_each_arm():
    made = report(
        experiment(),
        {"a": results(900, 1_000, customers=10_000), "b": results(940, 1_000, customers=9_000)},
    )

    assert made["sample_ratio"]["sound"] is False
    assert made["words"].startswith(
        "No winner: the customers are not divided as the shares say (a has 10,000, b has 9,000)."
    )


def test_a_cost_is_said_in_percent_of_the_amount_or_as_unknown():
    cheap = {
        "a": results(9_000, 10_000, cost_ppm=(28_000, 32_000)),
        "b": results(8_990, 10_000, cost_ppm=(23_000, 27_000)),
    }

    assert report(experiment(metric="cost"), cheap)["words"].endswith(
        " points below a's, in percent of the amount."
    )
    assert "too few approved payments have a known fee" in report(experiment(metric="cost"), {})["words"]


def test_an_arms_figures_are_its_own():
    counts = ArmResults(
        assigned=20, approved=8, declined=4, failed=3, customers=18, latency_ms=3_000, latencies=15
    )
    made = report(experiment(a=0.9, b=0.3), {"b": counts}, stopped=["b"], counted_before=7)

    arm = made["arms"][1]
    assert (arm["arm"], arm["share"], arm["stopped"]) == ("b", 0.25, True)
    assert (arm["approved"], arm["declined"], arm["failed"], arm["pending"]) == (8, 4, 3, 5)
    assert (arm["approval_rate"], arm["latency_ms"], arm["cost_ppm"]) == (8 / 15, 200, None)
    assert made["counted_before"] == 7


def test_the_reason_of_a_stop_has_the_figures():
    data = {"a": results(9_000, 10_000), "b": results(8_400, 10_000)}
    one = experiment()

    reason = why_stopped(one, "b", data, verdict(one, data).comparisons["b"])
    assert reason.startswith("guardrail: b approves 4.")
    assert reason.endswith(
        "points below a, more than the 2 points that the experiment allows "
        "(8400 of 10000 against 9000 of 10000 first attempts)"
    )
