import pytest

from infra.tools.chaos.recovery import Recovery, RecoveryWork, medians, recovery

RATE = 10.0


def _steady(until_s: float, *, away: tuple[float, float] = (0.0, 0.0)) -> list[RecoveryWork]:
    """Ten a second, each done at once; what is due while everything is away is done when it is back."""
    works = []
    for number in range(int(until_s * RATE)):
        due_s = number / RATE
        works.append(
            RecoveryWork(due_s, max(due_s + 0.02, away[1]) if away[0] <= due_s < away[1] else due_s + 0.02)
        )
    return works


def test_what_nobody_felt_took_no_time():
    assert recovery(_steady(60), RATE, 20.0, 60.0) == Recovery(0.0, 0.0)


def test_an_outage_lasts_until_the_rate_is_back_and_nothing_is_overdue():
    found = recovery(_steady(60, away=(20.0, 27.0)), RATE, 20.0, 60.0)

    assert found.nothing_overdue_s == pytest.approx(7.0, abs=0.1)
    assert found.rate_back_s == pytest.approx(7.0, abs=0.1)


def test_what_is_not_over_at_the_end_has_no_time():
    works = [RecoveryWork(work.due_s, None if work.due_s > 20 else work.done_s) for work in _steady(60)]

    assert recovery(works, RATE, 20.0, 60.0) == Recovery(None, None)


def test_a_trouble_long_after_a_fault_is_not_its_doing():
    works = _steady(60, away=(40.0, 45.0))

    assert recovery(works, RATE, 20.0, 60.0) == Recovery(0.0, 0.0)


def test_the_median_is_that_of_what_was_hit_and_unknown_where_one_is_not_over():
    found = medians(
        [
            ("relay", Recovery(1.0, 2.0)),
            ("relay", Recovery(3.0, 4.0)),
            ("relay", Recovery(2.0, None)),
            ("api", Recovery(0.0, 0.0)),
        ]
    )

    assert found == {
        "api": {"count": 1, "rate_back_s": 0.0, "nothing_overdue_s": 0.0},
        "relay": {"count": 3, "rate_back_s": 2.0, "nothing_overdue_s": None},
    }
