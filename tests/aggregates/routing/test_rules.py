from datetime import UTC, datetime

import pytest
from hypothesis import given

from aggregates.routing.facts import CardFacts
from aggregates.routing.policy import Policy
from aggregates.routing.rules import ReadyPolicy
from tests.aggregates.routing.situations import NOW, documents, facts, situations


def held(when: dict, now: datetime = NOW, **of_payment) -> bool:
    document = {"rules": [{"id": "r", "when": when, "then": {"never": ["a"]}}]}
    ready = ReadyPolicy.of(Policy.model_validate(document), 1)
    return bool(ready.rules_that_hold(facts(**of_payment), now))


EUR_100_TO_200 = [{"currency": "EUR", "min": 10_000, "below": 20_000}]
GERMAN = CardFacts(bin="41111111", country="DE", scheme="visa", funding="credit")


@pytest.mark.parametrize(
    ("when", "of_payment", "holds"),
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
def test_a_rule_holds_where_all_its_conditions_do(when, of_payment, holds):
    assert held(when, **of_payment) is holds


@pytest.mark.parametrize(
    ("at", "holds"),
    [
        # Berlin is one hour ahead of UTC in winter, and two in summer.
        (datetime(2026, 11, 30, 20, 59, tzinfo=UTC), False),
        (datetime(2026, 11, 30, 21, 0, tzinfo=UTC), True),
        (datetime(2026, 7, 1, 20, 0, tzinfo=UTC), True),
        (datetime(2026, 12, 1, 4, 59, tzinfo=UTC), True),
        (datetime(2026, 12, 1, 5, 0, tzinfo=UTC), False),
    ],
)
def test_a_window_may_pass_midnight_and_is_of_its_own_zone(at, holds):
    window = {"since": "22:00", "until": "06:00", "zone": "Europe/Berlin"}

    assert held({"time": window}, at) is holds


def test_a_window_may_be_of_some_days_only():
    monday = datetime(2026, 11, 30, 12, 0, tzinfo=UTC)

    assert held({"time": {"since": "09:00", "until": "17:00", "days": [1]}}, monday)
    assert not held({"time": {"since": "09:00", "until": "17:00", "days": [6, 7]}}, monday)


def test_rules_of_one_priority_stay_in_the_order_in_which_they_are_written():
    rules = [{"id": name, "then": {"never": ["a"]}} for name in ("z", "y")]
    first = {"id": "x", "priority": 1, "then": {"never": ["a"]}}
    ready = ReadyPolicy.of(Policy.model_validate({"rules": [*rules, first]}), 1)

    assert [rule.id for rule in ready.rules_that_hold(facts(), NOW)] == ["x", "z", "y"]


@given(documents, situations())
def test_a_lookup_by_one_fact_finds_the_rules_that_hold_and_no_others(document, made):
    ready = ReadyPolicy.of(Policy.model_validate(document), 1)

    each = [rule for rule in ready.rules if rule.holds(made.facts, made.now)]

    assert ready.rules_that_hold(made.facts, made.now) == each
