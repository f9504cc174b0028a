"""Each finding of the lint, against every payment of a small world; and each kind of finding once."""

import re
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings

from aggregates.routing.findings import Finding
from aggregates.routing.lint import lint
from aggregates.routing.policy import Policy, Rule
from tests.aggregates.routing.world_of_payments import ACCOUNTS, PAYMENTS, decider, holds, left, policies

_TODAY = date(2026, 11, 30)


def _lint(content: dict[str, Any], accounts: Any = ACCOUNTS) -> list[tuple[str, str, str]]:
    found = lint(Policy.model_validate(content), accounts, _TODAY)
    assert all(one.what and one.remedy for one in found)
    return [(one.severity, one.code, one.where) for one in found]


def _rule_at(policy: Policy, finding: Finding) -> Rule:
    return policy.rules[int(finding.where.split(".")[1])]


@settings(max_examples=120, deadline=None)
@given(policies())
def test_each_finding_is_true_of_every_payment(policy):
    for finding in lint(policy, ACCOUNTS, _TODAY):
        match finding.code:
            case "unreachable":
                rule = _rule_at(policy, finding)
                assert all(decider(policy, at) != rule.id for at in PAYMENTS)
            case "contradiction" if "no account is left" in finding.what:
                _assert_nothing_is_left(policy, finding)
            case "contradiction":
                rule = _rule_at(policy, finding)
                names = set(
                    re.findall(r"\b[abc]\b", finding.what.partition("to ")[2].partition(", which")[0])
                )
                assert names
                for at in PAYMENTS:
                    assert not holds(rule.when, at) or not names & left(policy, at)
            case "without_effect":
                rule = _rule_at(policy, finding)
                assert all(left(policy, at) == left(policy, at, without=rule.id) for at in PAYMENTS)
            case "overlap":
                rule = _rule_at(policy, finding)
                others = [one for one in policy.rules if f"{one.id} " in finding.what and one is not rule]
                assert others
                for other in others:
                    assert any(holds(rule.when, at) and holds(other.when, at) for at in PAYMENTS)
            case "currency":
                _assert_no_account_takes_it(policy, finding)
            case "sum":
                assert "weighted" in str(policy.document())
            case code:
                pytest.fail(f"these policies have nothing of {code}")


def _assert_nothing_is_left(policy: Policy, finding: Finding) -> None:
    # "where both rule r1 and the residency of DE apply no account is left"; "any payment" names no rule.
    about = finding.what.partition("no account is left")[0]
    rules = [one for one in policy.rules if re.search(rf"\b{one.id}\b", about)]
    countries = re.findall(r"residency of (\w+)", about)
    assert rules or countries or "rules" in finding.where
    found = [
        at
        for at in PAYMENTS
        if all(holds(one.when, at) for one in rules) and all(at[0].country == one for one in countries)
    ]
    assert found
    assert not any(left(policy, at) for at in found)


def _assert_no_account_takes_it(policy: Policy, finding: Finding) -> None:
    rule = _rule_at(policy, finding)
    for at in PAYMENTS:
        if not holds(rule.when, at):
            continue
        currency = at[0].currency
        if finding.where.endswith("then"):  # such payments are refused
            stray = re.findall(r"takes (.*):", finding.what)[0]
            assert currency not in stray or all(currency not in ACCOUNTS[name] for name in left(policy, at))
        else:
            (name,) = re.findall(r"to ([abc]), which does not", finding.what)
            assert currency not in ACCOUNTS[name]


@settings(max_examples=60, deadline=None)
@given(policies())
def test_without_the_accounts_only_what_is_true_of_any_is_found(policy):
    known = {(one.code, one.where) for one in lint(policy, ACCOUNTS, _TODAY)}

    for finding in lint(policy, None, _TODAY):
        assert (finding.code, finding.where) in known or finding.code in {"without_effect", "contradiction"}
        if finding.code == "without_effect":
            rule = _rule_at(policy, finding)
            assert all(left(policy, at) == left(policy, at, without=rule.id) for at in PAYMENTS)


_GOOD: list[dict[str, Any]] = [
    {},
    {"accounts": ["b", "a"], "strategy": {"kind": "metrics", "success": 0.5, "latency": 0.3, "cost": 0.2}},
    {"strategy": {"kind": "weighted", "weights": {"a": 70, "b": 30}}},
    {"strategy": {"kind": "weighted", "weights": {"a": 0.7, "b": 0.3}}},
    {"strategy": {"kind": "geographic", "places": {"DE": ["a"], "eea": ["b"], "*": ["c", "a"]}}},
    {"strategy": {"kind": "adaptive", "explore": 0.05, "explore_below_minor": 10000}},
    {
        "strategy": {
            "kind": "experiment",
            "id": "b-or-not",
            "control": "before",
            "arms": {
                "before": {"share": 0.9, "strategy": {"kind": "success"}},
                "b": {"share": 0.1, "account": "b"},
            },
        }
    },
    {
        "strategy": {"kind": "cost"},
        "rules": [
            {"id": "big", "priority": 1, "when": {"amount": [{"currency": "EUR", "min": 50000}]}, "then": {"prefer": ["a"]}},
            {"id": "euro", "priority": 2, "when": {"currency": ["EUR"]}, "then": {"split": {"a": 0.5, "b": 0.5}}},
            {"id": "night", "when": {"time": {"since": "22:00", "until": "06:00"}}, "then": {"never": ["b"]}},
            {"id": "rest", "priority": 9, "then": {"strategy": {"kind": "round_robin"}}},
        ],
    },
    {
        "rules": [
            {"id": "vip", "when": {"metadata": {"tier": "gold"}, "attempt": [1]}, "then": {"only": ["a", "c"]}},
            {"id": "us", "when": {"card_country": ["US"], "currency": ["USD"]}, "then": {"prefer": ["c"]}},
        ],
        "residency": {"DE": ["a", "b"]},
        "commitments": [{"account": "b", "since": "2026-11-01", "by": "2026-12-31", "payments": 5000}],
    },
]  # fmt: skip


@pytest.mark.parametrize("content", _GOOD)
def test_a_good_policy_has_no_finding(content):
    assert _lint(content) == []
    assert [code for severity, code, _ in _lint(content, None) if severity == "error"] == []


def _rules(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"rules": [{"id": f"r{place}", **rule} for place, rule in enumerate(rules)]}


def _experiment(**arms: Any) -> dict[str, Any]:
    return {"kind": "experiment", "id": "test", "control": "x", "arms": arms}


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (_rules({"then": {"prefer": ["a"]}}, {"when": {"country": ["DE"]}, "then": {"prefer": ["b"]}}),
         ("error", "unreachable", "rules.1")),
        (_rules({"then": {"prefer": ["a"]}, "priority": 5}, {"then": {"prefer": ["b"]}, "priority": 4}),
         ("error", "unreachable", "rules.0")),
        (_rules({"when": {"time": {"since": "06:00", "until": "06:00"}}, "then": {"prefer": ["a"]}}),
         ("error", "unreachable", "rules.0.when.time")),
        (_rules({"when": {"amount": [{"currency": "EUR", "min": 5, "below": 5}]}, "then": {"prefer": ["a"]}}),
         ("error", "unreachable", "rules.0.when.amount")),
        (_rules({"when": {"amount": [{"currency": "EUR"}], "currency": ["USD"]}, "then": {"prefer": ["a"]}}),
         ("error", "unreachable", "rules.0.when.amount")),
        (_rules({"then": {"never": ["a", "b", "c"]}}), ("error", "contradiction", "rules")),
        (_rules({"when": {"country": ["DE"]}, "then": {"only": ["a"]}},
                {"when": {"currency": ["EUR"]}, "then": {"only": ["b"]}}),
         ("error", "contradiction", "rules.1")),
        (_rules({"when": {"country": ["DE"]}, "then": {"only": ["b"]}}) | {"residency": {"DE": ["a"]}},
         ("error", "contradiction", "rules.0")),
        (_rules({"then": {"never": ["a"]}}, {"when": {"country": ["DE"]}, "then": {"prefer": ["a"]}}),
         ("error", "contradiction", "rules.1.then")),
        (_rules({"then": {"never": ["a"]}}, {"then": {"split": {"a": 0.5, "b": 0.5}}}),
         ("warning", "contradiction", "rules.1.then.split.a")),
        (_rules({"then": {"never": ["a"]}}) | {"strategy": {"kind": "weighted", "weights": {"a": 1}}},
         ("warning", "contradiction", "strategy.weights.a")),
        (_rules({"then": {"never": ["a"]}}, {"when": {"country": ["DE"]}, "then": {"only": ["b", "c"]}}),
         ("warning", "without_effect", "rules.1")),
        (_rules({"when": {"country": ["DE"]}, "then": {"prefer": ["a"]}},
                {"when": {"currency": ["EUR"]}, "then": {"prefer": ["b"]}}),
         ("warning", "overlap", "rules.1")),
        (_rules({"when": {"currency": ["USD"]}, "then": {"only": ["b"]}}), ("error", "currency", "rules.0.then")),
        (_rules({"when": {"currency": ["USD"]}, "then": {"prefer": ["b"]}}),
         ("warning", "currency", "rules.0.then.prefer.0")),
        (_rules({"when": {"currency": ["JPY"]}, "then": {"never": ["b"]}}),
         ("warning", "currency", "rules.0.when")),
        (_rules({"then": {"split": {"a": 0.5, "b": 0.4}}}), ("error", "sum", "rules.0.then.split")),
        (_rules({"then": {"split": {"a": 1, "b": 0}}}), ("warning", "empty", "rules.0.then.split.b")),
        (_rules({"when": {"customer": [" "]}, "then": {"prefer": ["a"]}}),
         ("error", "empty", "rules.0.when.customer")),
        (_rules({"when": {"metadata": {"tier": ""}}, "then": {"prefer": ["a"]}}),
         ("warning", "empty", "rules.0.when.metadata.tier")),
        ({"accounts": ["a", "stripe"]}, ("error", "unknown_account", "accounts.1")),
        ({"residency": {"DE": ["x"]}}, ("error", "unknown_account", "residency.DE.0")),
        ({"strategy": {"kind": "geographic", "places": {"*": ["x"]}}},
         ("error", "unknown_account", "strategy.places.*.0")),
        ({"strategy": {"kind": "metrics", "success": 0.7}}, ("warning", "sum", "strategy")),
        ({"strategy": {"kind": "weighted", "weights": {"a": 0.5, "b": 0.4}}},
         ("warning", "sum", "strategy.weights")),
        ({"strategy": {"kind": "weighted", "weights": {"a": 0.95, "b": 5}}},
         ("warning", "sum", "strategy.weights")),
        ({"strategy": _experiment(x={"share": 0.5, "account": "a"}, y={"share": 0.4, "account": "b"})},
         ("error", "sum", "strategy.arms")),
        ({"strategy": _experiment(x={"share": 0, "account": "a"}, y={"share": 1, "account": "b"})},
         ("error", "control", "strategy.arms.x.share")),
        ({"strategy": _experiment(x={"share": 0.5, "account": "a"}, y={"share": 0.5, "account": "a"})},
         ("warning", "arms_alike", "strategy.arms.y")),
        (_rules({"when": {"country": ["DE"]}, "then": {"strategy": _experiment(
            x={"share": 0.5, "account": "a"}, y={"share": 0.5, "account": "b"})}}) | {"strategy": _experiment(
                x={"share": 0.5, "account": "a"}, y={"share": 0.5, "account": "c"})},
         ("error", "arms_differ", "rules.0.then.strategy.id")),
        ({"commitments": [{"account": "a", "since": "2026-10-01", "by": "2026-11-29", "payments": 5}]},
         ("warning", "commitment", "commitments.0.by")),
        ({"commitments": [{"account": "b", "since": "2026-10-01", "by": "2026-12-29", "amount_minor": 5,
                           "currency": "USD"}]},
         ("error", "commitment", "commitments.0")),
        (_rules({"then": {"never": ["a"]}}) | {"commitments": [
            {"account": "a", "since": "2026-10-01", "by": "2026-12-29", "payments": 5}]},
         ("error", "commitment", "commitments.0")),
    ],
)  # fmt: skip
def test_what_is_wrong_is_found_and_nothing_else(content, expected):
    assert _lint(content) == [expected]


def test_an_unknown_account_comes_with_the_nearest_known_one():
    (found,) = lint(Policy(accounts=["stripe-ue"]), {"stripe-eu": frozenset({"EUR"})}, _TODAY)

    assert (found.what, found.remedy) == ("the merchant has no account stripe-ue", "did you mean stripe-eu?")


def test_errors_come_first():
    content = _rules({"then": {"split": {"a": 1, "b": 0}}}, {"then": {"prefer": ["a"]}})

    assert [severity for severity, _, _ in _lint(content)] == ["error", "warning"]
