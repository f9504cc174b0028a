"""The detector: what it keeps, how quickly it sees a change, and how seldom it sees one that is none."""

import random
from itertools import accumulate

from hypothesis import given
from hypothesis import strategies as st

from aggregates.routing.change import BUCKETS_MAX, LARGEST, Bucket, appended, since_change


def _history(outcomes: list[bool]) -> tuple[Bucket, ...]:
    history: tuple[Bucket, ...] = ()
    for outcome in outcomes:
        history = appended(history, success=outcome)
    return history


@given(st.lists(st.booleans(), max_size=300))
def test_the_buckets_hold_the_newest_outcomes_in_their_order(outcomes):
    history = _history(outcomes)

    sizes = [sum(bucket) for bucket in history]
    newest_first = outcomes[::-1]
    ends = list(accumulate(sizes))
    assert sum(sizes) == len(outcomes)
    assert sizes == sorted(sizes)
    for size, end, (wins, _) in zip(sizes, ends, history, strict=True):
        assert size.bit_count() == 1
        assert wins == sum(newest_first[end - size : end])


def test_a_full_history_forgets_its_oldest_outcomes():
    full = _history([True] * 5 * LARGEST)

    assert len(full) <= BUCKETS_MAX
    assert LARGEST < sum(sum(bucket) for bucket in full) <= 4 * LARGEST


def test_what_is_kept_begins_at_the_change():
    since = since_change(_history([True, False] * 100 + [True] * 40))

    assert sum(losses for _, losses in since) <= 1
    assert 30 <= sum(wins for wins, _ in since) <= 41


def test_outcomes_of_one_kind_show_no_change():
    for outcome in (True, False):
        history = _history([outcome] * 1000)
        assert since_change(history) == history


def test_a_steady_rate_seldom_looks_like_a_change():
    chance = random.Random(8)
    changes = 0
    history: tuple[Bucket, ...] = ()
    for _ in range(50_000):
        longer = appended(history, success=chance.random() < 0.9)
        history = since_change(longer)
        changes += history != longer

    assert changes <= 10


def test_a_brown_out_from_95_to_70_percent_is_seen_within_100_outcomes():
    for seed in range(20):
        chance = random.Random(seed)
        history = _history([chance.random() < 0.95 for _ in range(2_000)])
        for waited in range(100):  # noqa: B007
            history = appended(history, success=chance.random() < 0.7)
            if since_change(history) != history:
                break
        else:
            raise AssertionError(seed)
        assert waited < 100
