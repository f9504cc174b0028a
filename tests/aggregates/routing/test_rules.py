from dataclasses import replace
from datetime import UTC, datetime
from operator import or_

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregates.routing.facts import CardFacts
from aggregates.routing.policy import Policy
from aggregates.routing.rules import ReadyPolicy
from tests.aggregates.routing.situations import NOW, facts
from tests.aggregates.routing.world_of_payments import CONDITIONS, PAYMENTS, holds


def held(when: dict, now: datetime = NOW, **of_payment) -> bool:
    document = {"rules": [{"id": "r", "when": when, "then": {"never": ["a"]}}]}
    ready = ReadyPolicy.of(Policy.model_validate(document), 1)
    return bool(ready.rules_that_hold(facts(**of_payment), now))


EUR_100_TO_200 = [{"currency": "EUR", "min": 10_000, "below": 20_000}]
GERMAN = CardFacts(bin="41111111", country="DE", scheme="visa", funding="credit")


@pytest.mark.parametrize(
    ("when", "of_payment", "expected"),
    [
        ({}, {}, True),
        ({"amount": EUR_100_TO_200}, {"amount_minor": 10_000}, True),
        ({"amount": EUR_100_TO_200}, {"amount_minor": 19_999}, True),
        ({"amount": EUR_100_TO_200}, {"amount_minor": 20_000}, False),
        ({"amount": EUR_100_TO_200}, {"amount_minor": 9_999}, False),
        # A range is of one currency: 15,000 yen are no 150 euro.
        ({"amount": EUR_100_TO_200}, {"amount_minor": 15_000, "currency": "JPY"}, False),
        ({"amount": [*EUR_100_TO_200, {"currency": "JPY"}]}, {"currency": "JPY"}, True),
        ({"currency": ["USD", "EUR"]}, {}, True),
        ({"currency": ["USD"]}, {}, False),
        ({"method": ["wallet"]}, {}, False),
        ({"country": ["DE"]}, {"country": None}, False),
        ({"card_country": ["DE"]}, {"card": GERMAN}, True),
        ({"card_country": ["DE"]}, {}, False),
        ({"region": ["eea"]}, {"card": GERMAN, "country": "US"}, True),
        ({"region": ["unknown"]}, {"country": None}, True),
        ({"bin": ["4111", "55"]}, {"card": GERMAN}, True),
        ({"bin": ["411112"]}, {"card": GERMAN}, False),
        ({"bin": ["4"]}, {}, False),
        ({"scheme": ["visa"]}, {"card": GERMAN}, True),
        ({"customer": ["customer-0"]}, {}, True),
        (
            {"metadata": {"shop": "7", "app": "ios"}},
            {"metadata": {"shop": "7", "app": "ios", "x": "y"}},
            True,
        ),
        ({"metadata": {"shop": "7", "app": "ios"}}, {"metadata": {"shop": "7"}}, False),
        ({"attempt": [2, 3]}, {"attempt": 2}, True),
        ({"attempt": [2, 3]}, {}, False),
        # All conditions have to hold.
        ({"currency": ["EUR"], "attempt": [2]}, {}, False),
    ],
)
def test_a_rule_holds_where_all_its_conditions_do(when, of_payment, expected):
    assert held(when, **of_payment) is expected


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        # Berlin is one hour ahead of UTC in winter, and two in summer.
        (datetime(2026, 11, 30, 20, 59, tzinfo=UTC), False),
        (datetime(2026, 11, 30, 21, 0, tzinfo=UTC), True),
        (datetime(2026, 7, 1, 20, 0, tzinfo=UTC), True),
        (datetime(2026, 12, 1, 4, 59, tzinfo=UTC), True),
        (datetime(2026, 12, 1, 5, 0, tzinfo=UTC), False),
    ],
)
def test_a_window_may_pass_midnight_and_is_of_its_own_zone(at, expected):
    window = {"since": "22:00", "until": "06:00", "zone": "Europe/Berlin"}

    assert held({"time": window}, at) is expected


def test_a_window_may_be_of_some_days_only():
    monday = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)

    assert held({"time": {"since": "09:00", "until": "17:00", "days": [1]}}, monday)
    assert not held({"time": {"since": "09:00", "until": "17:00", "days": [6, 7]}}, monday)


def test_rules_of_one_priority_stay_in_the_order_in_which_they_are_written():
    rules = [{"id": name, "then": {"never": ["a"]}} for name in ("z", "y")]
    first = {"id": "x", "priority": 1, "then": {"never": ["a"]}}
    ready = ReadyPolicy.of(Policy.model_validate({"rules": [*rules, first]}), 1)

    assert [rule.id for rule in ready.rules_that_hold(facts(), NOW)] == ["x", "z", "y"]


_MORE_CONDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "method": st.sampled_from([["card"], ["wallet", "card"], ["wallet"]]),
        "scheme": st.sampled_from([["visa"], ["visa", "amex"]]),
        "customer": st.sampled_from([["x"], ["y", "x"]]),
        "metadata": st.dictionaries(st.sampled_from("kl"), st.sampled_from("12"), min_size=1),
    },
)
_PAYMENTS = st.builds(
    lambda at, scheme, customer, metadata: (
        replace(at[0], card=replace(at[0].card, scheme=scheme), customer_id=customer, metadata=metadata),
        at[1],
    ),
    st.sampled_from(PAYMENTS),
    st.sampled_from([None, "visa", "amex"]),
    st.sampled_from([None, "x", "z"]),
    st.dictionaries(st.sampled_from("klm"), st.sampled_from("12")),
)


@given(
    st.lists(st.builds(or_, CONDITIONS, _MORE_CONDITIONS), max_size=8),
    st.lists(_PAYMENTS, min_size=5, max_size=10),
)
def test_of_many_rules_those_hold_whose_conditions_all_do(conditions, payments):
    rules = [
        {"id": f"r{place}", "when": when, "then": {"never": ["a"]}} for place, when in enumerate(conditions)
    ]
    policy = Policy.model_validate({"rules": rules})
    ready = ReadyPolicy.of(policy, 1)

    for at in payments:
        expected = [rule.id for rule in policy.rules if holds(rule.when, at)]
        assert [rule.id for rule in ready.rules_that_hold(*at)] == expected


def test_a_check_that_fails_leaves_the_rules_without_the_same_condition():
    night = {"since": "22:00", "until": "06:00"}
    times = [night, {**night, "zone": "UTC"}, {**night, "zone": "Europe/Berlin"}]
    rules = [
        {"id": f"r{place}", "when": {"time": time}, "then": {"never": ["a"]}}
        for place, time in enumerate(times)
    ]

    ready = ReadyPolicy.of(Policy.model_validate({"rules": rules}), 1)

    assert [rule.checks[0].others for rule in ready.rules] == [0b100, 0b100, 0b011]
