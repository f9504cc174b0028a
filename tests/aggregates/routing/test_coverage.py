"""The sets of payments that conditions hold for, against every payment of a small world."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from aggregates.routing.coverage import covers, currencies, meet, never_holds
from aggregates.routing.policy import Conditions
from tests.aggregates.routing.world_of_payments import CONDITIONS, PAYMENTS, holds, related


def _conditions(content: Any) -> Conditions:
    return Conditions.model_validate(content)


@settings(max_examples=200)
@given(st.one_of(related(), st.tuples(CONDITIONS, CONDITIONS)))
def test_what_covers_holds_wherever_the_other_does(pair):
    wide, narrow = map(_conditions, pair)

    if covers(wide, narrow):
        assert all(holds(wide, at) for at in PAYMENTS if holds(narrow, at))


@settings(max_examples=200)
@given(st.one_of(related(), st.tuples(CONDITIONS, CONDITIONS)))
def test_a_meet_holds_where_both_do_and_for_some_payment(pair):
    first, second = map(_conditions, pair)

    met = meet(first, second)

    if met is not None:
        found = [at for at in PAYMENTS if holds(met, at)]
        assert found
        assert all(holds(first, at) and holds(second, at) for at in found)


@settings(max_examples=200)
@given(CONDITIONS)
def test_conditions_that_never_hold_are_told_from_those_that_may(content):
    when = _conditions(content)

    assert (never_holds(when) is None) == any(holds(when, at) for at in PAYMENTS)


@settings(max_examples=100)
@given(CONDITIONS)
def test_conditions_cover_themselves_and_the_empty_ones_cover_all(content):
    when = _conditions(content)

    assert covers(when, when)
    assert covers(Conditions(), when)
    wanted = currencies(when)
    assert wanted is None or {at[0].currency for at in PAYMENTS if holds(when, at)} <= wanted


def test_touching_ranges_cover_a_range_that_spans_both():
    wide = _conditions(
        {"amount": [{"currency": "EUR", "min": 1000, "below": 2000}, {"currency": "EUR", "below": 1000}]}
    )
    spanning = _conditions({"amount": [{"currency": "EUR", "min": 500, "below": 2000}]})
    above = _conditions({"amount": [{"currency": "EUR", "min": 500, "below": 2001}]})

    assert covers(wide, spanning)
    assert not covers(wide, above)
    assert covers(_conditions({"amount": [{"currency": "EUR"}]}), _conditions({"currency": ["EUR"]}))


def test_a_beginning_covers_the_bins_that_go_on_from_it_and_not_the_other_way_round():
    assert covers(_conditions({"bin": ["4", "51"]}), _conditions({"bin": ["4242"]}))
    assert not covers(_conditions({"bin": ["4242"]}), _conditions({"bin": ["4"]}))


def test_a_window_past_midnight_covers_both_of_its_ends_and_no_other_zone():
    night = {"since": "22:00", "until": "06:00"}
    wide = _conditions({"time": night})

    assert covers(wide, _conditions({"time": {"since": "23:00", "until": "02:00"}}))
    assert not covers(wide, _conditions({"time": {"since": "05:00", "until": "07:00"}}))
    assert not covers(wide, _conditions({"time": night | {"zone": "Europe/Berlin"}}))


def test_a_card_of_a_country_is_of_its_region_alone():
    assert covers(_conditions({"region": ["eea"]}), _conditions({"card_country": ["DE", "FR"]}))
    # The card may be of another country than its customer.
    assert not covers(_conditions({"region": ["eea"]}), _conditions({"country": ["DE"]}))
    assert never_holds(_conditions({"region": ["us"], "card_country": ["DE"]})) is not None
