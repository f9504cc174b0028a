"""Each strategy by itself: what it ranks by, and what it does with what is not known."""

from collections import Counter
from math import sqrt

import pytest

from aggregates.routing.choice import choose
from aggregates.routing.facts import CardFacts, Hints
from aggregates.routing.health import AccountHealth, Circuit, Health, SegmentHealth
from aggregates.routing.strategies import cost_score, latency_score, success_bound
from tests.aggregates.routing.situations import NOW, circuits, facts, health, policy, situation

GOOD = SegmentHealth(approved=97, declined=3, p95_ms=400.0)
POOR = SegmentHealth(approved=80, declined=20, p95_ms=300.0)


def first(kind: str, names: str = "abc", of=None, **other) -> str | None:
    """The account that is chosen without exploring."""
    strategy = {"kind": kind} | ({"explore": 0} if kind in {"metrics", "latency", "success"} else {})
    return choose(
        situation(names, facts=of, policy=policy(strategy=strategy | other.pop("more", {})), **other)
    ).account


@pytest.mark.parametrize(
    ("approved", "of", "bound"),
    [
        # Wilson's interval as published: Newcombe, Statistics in Medicine 17 (1998), table I, method 3.
        (81, 263, 0.2553),
        (15, 148, 0.0624),
        (0, 20, 0.0),
        (1, 29, 0.0061),
    ],
)
def test_the_success_rate_is_judged_by_wilsons_lower_bound(approved, of, bound):
    found = success_bound(SegmentHealth(approved=approved, declined=of - approved))

    assert found == pytest.approx(bound, abs=5e-5)


def test_luck_with_few_payments_does_not_beat_a_record():
    lucky, proven = SegmentHealth(approved=5), SegmentHealth(approved=95, declined=5)

    assert first("success", "ab", health=health(a=lucky, b=proven)) == "b"


def test_an_unknown_outcome_is_no_decline():
    waiting = SegmentHealth(approved=97, declined=3, unknown=40)

    assert success_bound(waiting) == success_bound(SegmentHealth(approved=97, declined=3))


def test_a_technical_failure_is_no_success():
    assert success_bound(SegmentHealth(approved=50, failed=50)) < success_bound(GOOD)


def test_an_account_of_which_nothing_is_known_is_not_taken_for_a_good_one():
    assert first("success", "ab", health=health(b=POOR)) == "b"
    assert first("latency", "ab", health=health(b=POOR)) == "b"
    assert first("metrics", "ab", health=health(b=POOR)) == "b"


def test_a_segment_with_few_payments_falls_back_to_the_wider_one():
    segments = {"sale/card/EUR/eea": SegmentHealth(approved=3), "sale": POOR}
    known = Health(
        {"a": AccountHealth("a", NOW, {}, segments), "b": AccountHealth("b", NOW, {}, {"sale": GOOD})}
    )

    decision = choose(
        situation("ab", health=known, policy=policy(strategy={"kind": "success", "explore": 0}))
    )

    assert decision.account == "b"
    assert decision.record()["accounts"][0]["segment"] == "sale"


def test_cost_takes_the_lowest_fee_and_no_fee_schedule_is_not_free():
    assert first("cost", fees={"b": 40, "c": 30}) == "c"
    assert first("cost") == "a"


def test_latency_takes_the_lowest_p95():
    assert first("latency", "ab", health=health(a=GOOD, b=POOR)) == "b"


def test_metrics_weighs_success_latency_and_cost():
    known = health(a=GOOD, b=POOR)

    assert first("metrics", "ab", health=known) == "a"
    assert first("metrics", "ab", health=known, more={"success": 0, "latency": 1, "cost": 0}) == "b"
    decision = choose(
        situation(
            "ab", health=known, fees={"a": 250}, policy=policy(strategy={"kind": "metrics", "explore": 0})
        )
    )
    # 0.6 x 0.9155 (Wilson of 97 in 100) + 0.3 x 1 / 1.4 + 0.1 x 0.5, of a fee of 250 basis points
    assert decision.ranking.scores["a"] == pytest.approx(0.6 * 0.9155 + 0.3 / 1.4 + 0.1 * 0.5, abs=1e-4)


def test_scores_lie_between_0_and_1():
    assert (latency_score(0), latency_score(1000)) == (1, 0.5)
    assert 0 < latency_score(1e9) < 1e-5
    assert (cost_score(0, 10_000), cost_score(500, 10_000), cost_score(9_999, 10_000)) == (1, 0, 0)


def test_weighted_gives_nothing_to_an_account_that_it_does_not_name():
    chosen = {
        choose(
            situation(facts=facts(n), policy=policy(strategy={"kind": "weighted", "weights": {"b": 1}}))
        ).account
        for n in range(200)
    }

    assert chosen == {"b"}


def test_weights_of_accounts_that_are_no_candidates_leave_the_order():
    assert first("weighted", "ab", more={"weights": {"x": 1}}) == "a"


@pytest.mark.parametrize(
    ("of", "by", "chosen"),
    [
        ({"country": "DE"}, "customer", "b"),
        ({"country": "FR"}, "customer", "c"),
        ({"country": "US"}, "customer", "d"),
        ({"country": None}, "customer", "d"),
        ({"country": "US", "card": CardFacts(country="DE")}, "card", "b"),
        ({"country": "DE", "card": CardFacts()}, "card", "d"),
    ],
)
def test_geographic_takes_the_narrowest_place_that_fits(of, by, chosen):
    places = {"*": ["d"], "eea": ["c"], "DE": ["x", "b"]}

    assert first("geographic", "abcd", facts(**of), more={"by": by, "places": places}) == chosen


def test_an_experiment_is_sticky_by_customer_and_splits_by_its_shares():
    strategy = {
        "kind": "experiment",
        "id": "cheaper",
        "control": "old",
        "arms": {
            "old": {"share": 0.8, "account": "a"},
            "new": {"share": 0.2, "strategy": {"kind": "cost"}},
        },
    }
    ready = policy(strategy=strategy)

    def arm(payment: int, customer: str) -> tuple[str, str]:
        made = choose(
            situation("ab", facts=facts(payment, customer_id=customer), fees={"b": 1}, policy=ready)
        )
        return made.record()["experiment"]["arm"], made.account

    assert {arm(n, "customer-7") for n in range(50)} == {arm(0, "customer-7")}
    n = 10_000
    counted = Counter(arm(0, f"customer-{number}") for number in range(n))
    assert counted.keys() == {("old", "a"), ("new", "b")}
    assert abs(counted["new", "b"] - 0.2 * n) < 4 * sqrt(n * 0.2 * 0.8)


def test_a_measured_strategy_explores_a_share_of_the_payments_and_no_high_amounts():
    known = health(a=GOOD, b=POOR)
    ready = policy(strategy={"kind": "success", "explore": 0.1, "explore_below_minor": 10_000})

    low = choose(situation("ab", health=known, policy=ready)).ranking
    high = choose(situation("ab", health=known, policy=ready, facts=facts(amount_minor=10_001))).ranking

    assert list(low.propensities) == pytest.approx([0.95, 0.05])
    assert list(high.propensities) == [1, 0]


def test_adaptive_tries_what_may_be_best_and_leaves_what_is_not():
    arms = health(
        a=SegmentHealth(approved=90, declined=10, wins=900, losses=100),
        b=SegmentHealth(approved=5, wins=5),
        c=SegmentHealth(approved=10, declined=90, wins=100, losses=900),
    )
    ready = policy(strategy={"kind": "adaptive", "explore": 0})

    ranking = choose(situation(health=arms, policy=ready)).ranking
    chances = dict(zip(ranking.order, ranking.propensities, strict=True))

    assert chances["c"] < 1e-6
    assert 0.05 < chances["b"] < 0.95
    decided = choose(
        situation(
            health=arms,
            facts=facts(amount_minor=10_001),
            policy=policy(strategy={"kind": "adaptive", "explore_below_minor": 10_000}),
        )
    )
    assert max(decided.ranking.propensities) == 1


A_OR_B = {
    "kind": "experiment",
    "id": "a-or-b",
    "control": "a",
    "arms": {"a": {"share": 0.5, "account": "a"}, "b": {"share": 0.5, "account": "b"}},
}


@pytest.mark.parametrize(
    "instead",
    [
        {"hints": Hints(prefer=("c",))},
        {"shares": {"c": 1.0}},
        {"health": circuits(a=Circuit("open", NOW, "5 failures"), b=Circuit("open", NOW, "5 failures"))},
        {"rules": [{"id": "r", "then": {"prefer": ["a"]}}]},
    ],
    ids=["hook", "commitment", "circuit", "rule"],
)
def test_a_payment_that_something_else_sent_to_its_account_counts_for_no_arm(instead):
    ready = policy(strategy=A_OR_B, rules=instead.pop("rules", []))

    for number in range(20):
        record = choose(situation("abc", facts=facts(number), policy=ready, **instead)).record()
        assert record["experiment"]["serves"] == ""
    assert "serves" not in choose(situation("abc", policy=policy(strategy=A_OR_B))).record()["experiment"]
