"""The score of a segment."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregates.routing.score import score

COUNTS = st.fixed_dictionaries(
    {name: st.integers(0, 100) for name in ("approved", "declined", "failed", "unknown")}
)
LATENCY = st.none() | st.floats(0, 60_000)


@pytest.mark.parametrize(
    ("counts", "p95_ms", "expected"),
    [
        ((0, 0, 0, 0), None, 1.0),
        ((99, 0, 0, 0), None, 1.0),
        ((99, 0, 0, 0), 0.0, 1.0),
        ((99, 0, 0, 0), 10_000.0, 0.9),
        ((99, 0, 0, 0), 1_000.0, 0.99),
        ((49, 50, 0, 0), None, 0.9),
        ((49, 0, 50, 0), None, 0.5),
        ((49, 0, 0, 50), None, 0.5),
        ((0, 0, 99, 0), None, 0.01),
    ],
)
def test_the_score_follows_its_formula(counts, p95_ms, expected):
    """Worked out by hand from the formula in the module."""
    approved, declined, failed, unknown = counts

    found = score(approved=approved, declined=declined, failed=failed, unknown=unknown, p95_ms=p95_ms)

    assert found == pytest.approx(expected)


@given(COUNTS, LATENCY)
def test_it_lies_between_0_and_1(counts, p95_ms):
    assert 0 <= score(**counts, p95_ms=p95_ms) <= 1


@given(COUNTS, LATENCY, st.sampled_from(["declined", "failed", "unknown"]))
def test_another_approval_never_lowers_it_and_another_trouble_never_raises_it(counts, p95_ms, trouble):
    now = score(**counts, p95_ms=p95_ms)

    assert score(**counts | {"approved": counts["approved"] + 1}, p95_ms=p95_ms) >= now - 1e-12
    if trouble != "declined":
        assert score(**counts | {trouble: counts[trouble] + 1}, p95_ms=p95_ms) <= now + 1e-12


@given(COUNTS, LATENCY)
def test_a_decline_never_costs_more_than_a_failure_or_an_unknown_outcome(counts, p95_ms):
    declined = score(**counts | {"declined": counts["declined"] + 1}, p95_ms=p95_ms)

    for worse in ("failed", "unknown"):
        assert score(**counts | {worse: counts[worse] + 1}, p95_ms=p95_ms) <= declined + 1e-12


@given(COUNTS, st.floats(0, 60_000), st.floats(0, 60_000))
def test_slower_is_never_better(counts, one, other):
    fast, slow = sorted((one, other))

    assert score(**counts, p95_ms=slow) <= score(**counts, p95_ms=fast)
