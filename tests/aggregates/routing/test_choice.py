"""Composition: hard filters, rules, strategy, order; and what holds for any situation."""

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from math import sqrt

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregates.routing.choice import choose
from aggregates.routing.facts import Exclusion, Hints
from aggregates.routing.health import STALE_AFTER, Circuit, SegmentHealth
from tests.aggregates.routing.situations import (
    NOW,
    circuits,
    facts,
    health,
    policy,
    situation,
    situations,
)

OPEN = Circuit("open", NOW, "5 technical failures in a row")
GOOD = SegmentHealth(approved=98, declined=2)
POOR = SegmentHealth(approved=70, declined=30)


def chances(ranking) -> dict[str, float]:
    return dict(zip(ranking.order, ranking.propensities, strict=True))


@given(situations())
def test_the_same_situation_gives_the_same_choice(made):
    assert choose(made).record() == choose(made).record()


@given(situations())
def test_what_is_chosen_is_a_candidate_that_nothing_excludes(made):
    decision = choose(made)

    if decision.account is not None:
        assert decision.account in {one.account for one in made.candidates}
        assert decision.account not in decision.excluded


@given(situations())
def test_an_account_that_is_excluded_has_a_reason_and_no_chance(made):
    decision = choose(made)

    of = chances(decision.ranking) if decision.ranking else {}
    for name, one in decision.excluded.items():
        assert one.detail in decision.reasons
        assert of.get(name, 0) == 0
    if decision.account is None:
        assert decision.excluded.keys() >= {one.account for one in made.candidates}


@given(situations())
def test_propensities_are_probabilities_that_add_up_to_1(made):
    decision = choose(made)

    if decision.ranking is not None and not decision.probe:
        assert sum(decision.ranking.propensities) == pytest.approx(1)
        assert all(0 <= chance <= 1 + 1e-9 for chance in decision.ranking.propensities)


@given(situations())
def test_an_account_that_was_not_tried_comes_before_one_that_was(made):
    decision = choose(made)

    fresh = {one.account for one in made.candidates} - set(made.tried) - decision.excluded.keys()
    if decision.account is not None:
        assert decision.elsewhere == bool(fresh)


@given(situations())
def test_a_record_is_json_and_names_the_choice(made):
    record = choose(made).record()

    assert orjson.loads(orjson.dumps(record)) == record
    assert record["account"] == choose(made).account


def test_without_policy_and_health_the_order_of_the_settings_decides():
    decision = choose(situation("bac"))

    assert (decision.account, decision.strategy) == ("b", "order")
    assert decision.record()["health"] == "none"


def test_the_policys_order_comes_first_and_the_settings_order_follows():
    ordered = [one.account for one in choose(situation("abc", policy=policy(accounts=["c", "x"]))).ranked]

    assert ordered == ["c", "a", "b"]


def test_only_and_never_add_up_and_the_first_of_the_deciding_actions_counts():
    ready = policy(
        rules=[
            {"id": "second", "priority": 2, "then": {"prefer": ["a"]}},
            {"id": "first", "priority": 1, "then": {"prefer": ["c"]}},
            {"id": "not-b", "then": {"never": ["b"]}},
            {"id": "bcd", "then": {"only": ["b", "c", "d"]}},
        ]
    )

    decision = choose(situation("abcd", policy=ready))

    assert decision.account == "c"
    assert decision.rules == ("first", "second", "not-b", "bcd")
    assert {name: one.detail for name, one in decision.excluded.items()} == {
        "b": "rule not-b rules it out",
        "a": "rule bcd rules it out",
    }


def test_residency_excludes_every_other_account_also_where_a_rule_prefers_it():
    ready = policy(residency={"IN": ["b"]}, rules=[{"id": "r", "then": {"prefer": ["a"]}}])

    decision = choose(situation("ab", facts=facts(country="IN"), policy=ready))

    assert decision.account == "b"
    assert decision.excluded["a"].code == "residency"
    assert choose(situation("ab", facts=facts(country="DE"), policy=ready)).account == "a"


def test_an_open_circuit_excludes_until_its_health_is_stale():
    known = circuits(a=OPEN)

    decision = choose(situation("ab", health=known))

    assert decision.account == "b"
    detail = "its circuit is open: 5 technical failures in a row"
    assert decision.excluded["a"] == Exclusion("a", "circuit_open", detail)
    later = replace(situation("ab", health=known), now=NOW + STALE_AFTER + timedelta(seconds=1))
    assert choose(later).account == "a"


def test_with_all_circuits_open_it_is_worth_waiting_and_else_it_is_not():
    both = choose(situation("ab", health=circuits(a=OPEN, b=OPEN)))
    never = choose(situation("ab", policy=policy(rules=[{"id": "no", "then": {"never": ["a", "b"]}}])))

    assert (both.account, both.may_pass) == (None, True)
    assert (never.account, never.may_pass) == (None, False)


def test_a_half_open_circuit_is_probed_by_its_share_of_payments():
    half = circuits(a=Circuit("half_open", NOW, "60 s after it opened", probe_share=0.1))

    decisions = [choose(situation("ab", facts=facts(number), health=half)) for number in range(10_000)]
    probes = [decision for decision in decisions if decision.probe]

    assert abs(len(probes) - 1_000) < 4 * sqrt(10_000 * 0.1 * 0.9)
    assert {decision.account for decision in probes} == {"a"}
    assert {decision.account for decision in decisions if not decision.probe} == {"b"}


def test_a_retry_goes_elsewhere_and_in_turn_once_all_were_tried():
    made = situation("abc", facts=facts(attempt=2), tried=("b",))

    assert choose(made).account == "a"
    assert choose(replace(made, tried=("b", "a", "c"))).account == "a"
    assert choose(replace(made, tried=("b", "a"))).account == "c"


def test_a_hook_overrules_the_rules():
    ready = policy(rules=[{"id": "r", "then": {"prefer": ["a"]}}])

    assert choose(situation("abc", policy=ready, hints=Hints(prefer=("c",)))).account == "c"
    decision = choose(situation("abc", policy=ready, hints=Hints(never=("a",))))
    assert (decision.account, decision.excluded["a"].code) == ("b", "hook")


def test_a_commitment_bends_the_split_by_no_more_than_it_needs():
    ready = policy(strategy={"kind": "weighted", "weights": {"a": 6, "b": 3, "c": 1}})

    enough = choose(situation("abc", policy=ready, shares={"b": 0.25})).ranking
    bent = choose(situation("abc", policy=ready, shares={"c": 0.3})).ranking

    assert chances(enough) == pytest.approx({"a": 0.6, "b": 0.3, "c": 0.1})
    assert chances(bent) == pytest.approx({"a": 0.7 * 6 / 9, "b": 0.7 * 3 / 9, "c": 0.3})


@given(
    st.lists(st.floats(0, 1), min_size=3, max_size=5),
    st.dictionaries(st.sampled_from("abcde"), st.floats(0, 0.5), min_size=2, max_size=2),
)
def test_several_commitments_all_get_their_shares(weights, shares):
    names = "abcde"[: len(weights)]
    weights = {name: weight + 0.01 for name, weight in zip(names, weights, strict=True)}
    ready = policy(strategy={"kind": "weighted", "weights": weights})

    bent = chances(choose(situation(names, policy=ready, shares=shares)).ranking)

    assert sum(bent.values()) == pytest.approx(1)
    for name, share in shares.items():
        assert name not in names or bent[name] >= share - 1e-9
    before = {name: weight / sum(weights.values()) for name, weight in weights.items()}
    if all(before.get(name, 1) >= share for name, share in shares.items()):
        assert bent == pytest.approx(before)


def test_accounts_without_a_commitment_keep_their_proportions():
    ready = policy(strategy={"kind": "weighted", "weights": {"a": 1, "b": 1, "c": 4, "d": 4}})

    bent = chances(choose(situation("abcd", policy=ready, shares={"a": 0.5, "b": 0.4})).ranking)

    assert bent == pytest.approx({"a": 0.5, "b": 0.4, "c": 0.05, "d": 0.05})


@pytest.mark.parametrize(
    ("then", "more", "words"),
    [
        ({"prefer": ["c"]}, {}, "c, preferred by rule big (routing policy 7)"),
        ({"prefer": ["z"]}, {}, "a, by the order of the accounts (routing policy 7)"),
        ({"prefer": ["z"]}, {"shares": {"a": 0.1}}, "a, by the order of the accounts (routing policy 7)"),
        ({"split": {"b": 1.0}}, {}, "b, by the split of rule big (routing policy 7)"),
        (
            {"strategy": {"kind": "round_robin"}},
            {},
            "{}, by round_robin, as rule big says (routing policy 7)",
        ),
        (
            {"prefer": ["c"]},
            {"hints": Hints(prefer=("b",))},
            "b, preferred by a routing hook (routing policy 7)",
        ),
        (
            {"never": ["a"]},
            {"shares": {"c": 1.0}},
            "c, by order and the volume commitments (routing policy 7)",
        ),
    ],
)
def test_the_words_name_what_put_the_account_first(then, more, words):
    ready = policy(accounts=["a", "b", "c"], rules=[{"id": "big", "then": then}])

    decision = choose(situation("abc", policy=ready, **more))

    assert decision.words == words.format(decision.account)


def test_a_hooks_preference_goes_before_a_commitment():
    made = situation("abc", shares={"c": 1.0}, hints=Hints(prefer=("b",)))

    assert choose(made).account == "b"


def test_a_retry_in_turn_at_a_half_open_circuit_is_a_probe():
    half = circuits(a=Circuit("half_open", NOW, "60 s after it opened", probe_share=1.0))

    decision = choose(situation("a", facts=facts(attempt=2), tried=("a",), health=half))

    assert (decision.account, decision.strategy, decision.probe) == ("a", "in_turn", True)


def test_a_committed_account_that_is_excluded_is_not_forced():
    made = situation("ab", health=circuits(b=OPEN), shares={"b": 1.0})

    assert choose(made).account == "a"


SHARES = {
    "weighted": ({"kind": "weighted", "weights": {"a": 5, "b": 3, "c": 2}}, {"a": 0.5, "b": 0.3, "c": 0.2}),
    "round robin": ({"kind": "round_robin"}, {"a": 1 / 3, "b": 1 / 3, "c": 1 / 3}),
    "exploration": ({"kind": "success", "explore": 0.06}, {"a": 0.96, "b": 0.02, "c": 0.02}),
}


@pytest.mark.parametrize("name", SHARES)
def test_shares_over_100_000_payments_lie_within_the_binomial_bound(name):
    strategy, expected = SHARES[name]
    ready, known = policy(strategy=strategy), health(a=GOOD, b=POOR, c=POOR)
    n = 100_000

    counted = Counter(
        choose(situation("abc", facts=facts(number), policy=ready, health=known)).account
        for number in range(n)
    )

    for account, share in expected.items():
        assert abs(counted[account] - n * share) < 4 * sqrt(n * share * (1 - share)), account
