from typing import Any

import pytest
from hypothesis import given, settings

from aggregates.routing.differences import differences
from aggregates.routing.policy import Policy
from tests.aggregates.routing.world_of_payments import policies

_RULE = {"id": "big", "when": {"amount": [{"currency": "EUR", "min": 50000}]}, "then": {"prefer": ["a"]}}


def _between(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    return differences(Policy.model_validate(old), Policy.model_validate(new))


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ({}, {"strategy": {"kind": "adaptive", "explore": 0.05}},
         ["strategy is new: (explore 0.05 (5 %), kind adaptive)"]),
        ({"strategy": {"kind": "adaptive", "explore": 0.05}}, {"strategy": {"kind": "adaptive", "explore": 0.1}},
         ["strategy.explore: 0.05 (5 %) becomes 0.1 (10 %)"]),
        ({"strategy": {"kind": "cost"}}, {"strategy": {"kind": "latency"}},
         ["strategy: (kind cost) becomes (kind latency)"]),
        ({}, {"rules": [_RULE]},
         ["rules.big is new: (when (amount (currency EUR, min 50000)), then (prefer a))"]),
        ({"rules": [_RULE]}, {"rules": [_RULE | {"priority": 5, "then": {"prefer": ["b", "a"]}}]},
         ["rules.big.then.prefer: a becomes b, a", "rules.big.priority is new: 5"]),
        ({"rules": [_RULE, _RULE | {"id": "x"}]}, {"rules": [_RULE | {"id": "x"}, _RULE]},
         ["rules: the order becomes x, big; it was big, x"]),
        ({"accounts": ["a", "b"]}, {"accounts": ["b", "a"]},
         ["accounts: the order becomes b, a; it was a, b"]),
        ({"accounts": ["eu", "ad"]}, {"accounts": ["us", "eu", "ad"]},
         ["accounts: eu, ad becomes us, eu, ad"]),
        ({"accounts": ["us", "eu", "ad"]}, {"accounts": ["ad", "us"]},
         ["accounts: us, eu, ad becomes ad, us"]),
        ({"accounts": ["us", "eu"]}, {}, ["accounts is gone; it was us, eu"]),
        ({"rules": [_RULE | {"then": {"prefer": ["b", "a"]}}]}, {"rules": [_RULE | {"then": {"prefer": ["a", "b"]}}]},
         ["rules.big.then.prefer: the order becomes a, b; it was b, a"]),
        ({"residency": {"DE": ["a"], "IN": ["b"]}}, {"residency": {"IN": ["b", "c"]}},
         ["residency.DE is gone; it was a", "residency.IN: b becomes b, c"]),
        ({"commitments": [{"account": "a", "since": "2026-01-01", "by": "2026-12-31", "payments": 5}]}, {},
         ["commitments.a from 2026-01-01 to 2026-12-31 is gone; it was (payments 5)"]),
    ],
)  # fmt: skip
def test_each_difference_is_a_sentence(old, new, said):
    assert _between(old, new) == said


@settings(max_examples=60, deadline=None)
@given(policies(), policies())
def test_two_policies_differ_where_something_is_said_and_only_there(one, other):
    assert differences(one, one) == []
    assert bool(differences(one, other)) == (_applied(one) != _applied(other))


def _applied(policy: Policy) -> Policy:
    """Rules that stand elsewhere and are applied in the same order are no difference."""
    return policy.model_copy(update={"rules": sorted(policy.rules, key=lambda rule: rule.priority)})
