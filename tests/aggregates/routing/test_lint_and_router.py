"""The lint's idea of what rules do, against the router that applies them."""

from hypothesis import given, settings

from aggregates.routing.choice import Situation, choose
from aggregates.routing.facts import Candidate
from aggregates.routing.policy import Conditions, Policy
from aggregates.routing.rules import ReadyPolicy
from tests.aggregates.routing.world_of_payments import (
    ACCOUNTS,
    CONDITIONS,
    PAYMENTS,
    decider,
    holds,
    in_order,
    left,
    policies,
)


@settings(max_examples=100, deadline=None)
@given(CONDITIONS)
def test_conditions_hold_for_the_same_payments(content):
    when = Conditions.model_validate(content)
    rule = {"id": "r", "when": content, "then": {"never": ["a"]}}
    made = ReadyPolicy.of(Policy.model_validate({"rules": [rule]}), 1)

    assert all(bool(made.rules_that_hold(*at)) == holds(when, at) for at in PAYMENTS)


@settings(max_examples=60, deadline=None)
@given(policies())
def test_the_router_leaves_the_same_accounts_and_lets_the_same_rule_decide(policy):
    made = ReadyPolicy.of(policy, 1)
    for at in PAYMENTS[::37]:
        facts, now = at
        candidates = [Candidate(name) for name in ACCOUNTS]
        decision = choose(Situation(facts=facts, candidates=candidates, now=now, policy=made))

        assert set(ACCOUNTS) - decision.excluded.keys() == left(policy, at)
        deciding = [rule for rule in in_order(policy) if rule.id in decision.rules]
        first = next((rule.id for rule in deciding if not (rule.then.only or rule.then.never)), None)
        assert first == decider(policy, at)
