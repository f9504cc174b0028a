from datetime import UTC, datetime, timedelta

import pytest

from infra.process import clock


@pytest.fixture(autouse=True)
def _true_time_again():
    yield
    clock.set_offset("")


def _ahead() -> timedelta:
    return clock.now() - datetime.now(UTC)


def test_without_an_offset_it_is_the_true_time():
    assert abs(_ahead()) < timedelta(seconds=1)


@pytest.mark.parametrize("seconds", [600, -600, 0.5])
def test_a_fixed_offset_sets_it_ahead_or_back(seconds):
    clock.set_offset(str(seconds))

    assert abs(_ahead() - timedelta(seconds=seconds)) < timedelta(seconds=1)


def test_a_file_steps_it_while_the_process_runs(tmp_path):
    file = tmp_path / "offset"
    file.write_text("0")
    clock.set_offset(str(file))
    before = _ahead()

    file.write_text("-600")

    assert abs(before) < timedelta(seconds=1)
    assert abs(_ahead() + timedelta(minutes=10)) < timedelta(seconds=1)


@pytest.mark.parametrize("spec", ["nan", "inf", "soon", "/nowhere/offset"])
def test_what_is_neither_seconds_nor_a_file_is_refused(spec):
    with pytest.raises(ValueError, match="neither"):
        clock.set_offset(spec)
