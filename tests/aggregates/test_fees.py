"""The prices are those that PSPs publish; docs/fees.md has each page and when it was read."""

from dataclasses import replace
from datetime import UTC, date, datetime
from fractions import Fraction
from itertools import permutations
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregates.fees import (
    FeeBook,
    FeeFacts,
    FeeRule,
    Fees,
    FeeSchedule,
    Part,
    Price,
    calculate_fees,
    expected_fee,
)
from aggregates.money import Money
from aggregates.routing.facts import CardFacts, PaymentFacts

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
MILLION = 1_000_000
CHARGED = frozenset({"sale", "capture"})


def rule(name: str, percent_e4: int = 0, fixed: dict[str, int] | None = None, **more: object) -> FeeRule:
    """`percent_e4`: ten-thousandths of a percent, which are parts per million. `fixed`: minor units."""
    micros = {currency: minor * MILLION for currency, minor in (fixed or {}).items()}
    return FeeRule(**{"id": name, "kinds": CHARGED, "prices": (Price(percent_e4, micros),), **more})


STRIPE_IRELAND = FeeSchedule(
    (
        rule("eea", 15_000, {"EUR": 25}, regions=frozenset({"eea"})),
        rule("uk", 25_000, {"EUR": 25}, regions=frozenset({"gb"})),
        rule("international", 32_500, {"EUR": 25}),
        rule("nothing", kinds=frozenset({"authorize", "void", "refund"})),
        rule("dispute", 0, {"EUR": 2000}, kinds=frozenset({"dispute"})),
    )
)
STRIPE_US = FeeSchedule(
    (
        rule("domestic", 29_000, {"USD": 30}, regions=frozenset({"us"})),
        rule("international", 44_000, {"USD": 30}),
    )
)
PAYPAL_US = FeeSchedule((rule("checkout", 34_900, {"USD": 49, "EUR": 39, "GBP": 39}),))
RAZORPAY = FeeSchedule((rule("cards", 20_000, tax_ppm=180_000),))
BRAINTREE = FeeSchedule((rule("cards", 29_000, {"USD": 30}, rounding="down"),))
ADYEN = FeeSchedule((rule("processing", 0, {"USD": 13}, kinds=frozenset({"authorize", "refund"})),))


def fee(schedule: FeeSchedule, amount_minor: int, currency: str, kind="sale", **more) -> Fees | None:
    volume_minor = more.pop("volume_minor", None)
    at = more.pop("at", NOW)
    return calculate_fees(schedule, kind, FeeFacts(amount_minor, currency, **more), at, volume_minor)


@pytest.mark.parametrize(
    ("schedule", "amount", "country", "minor", "name"),
    [
        (STRIPE_IRELAND, Money(10_000, "EUR"), "DE", 175, "eea"),
        (STRIPE_IRELAND, Money(10_000, "EUR"), "GB", 275, "uk"),
        (STRIPE_IRELAND, Money(10_000, "EUR"), "US", 350, "international"),
        (STRIPE_US, Money(10_000, "USD"), "US", 320, "domestic"),
        (STRIPE_US, Money(10_000, "USD"), "FR", 470, "international"),
        (PAYPAL_US, Money(10_000, "USD"), None, 398, "checkout"),
        (PAYPAL_US, Money(10_000, "EUR"), None, 388, "checkout"),
        # Razorpay's own examples: its interface shows a fee of 24 with a tax of 4, and of 1652 with 252.
        (RAZORPAY, Money(1_000, "INR"), "IN", 24, "cards"),
        (RAZORPAY, Money(70_000, "INR"), "IN", 1_652, "cards"),
    ],
)
def test_a_published_price_gives_the_published_fee(schedule, amount, country, minor, name):
    found = fee(schedule, amount.minor, amount.currency, country=country)

    assert found is not None
    assert (found.total, found.rule) == (Money(minor, amount.currency), name)


def test_the_parts_name_the_percentage_the_fixed_amount_the_rounding_and_the_tax():
    # 2 % of 10.99 are 21.98 paise, 22; GST is 18 % of that, 3.96 paise, 4.
    found = fee(RAZORPAY, 1_099, "INR")

    assert found == Fees(
        "cards",
        Money(26, "INR"),
        (Part("percent", 21_980_000), Part("rounding", 20_000), Part("tax", 4 * MILLION)),
    )


@pytest.mark.parametrize(
    ("how", "amount", "minor"),
    [
        # Stripe: "if the fee is 0.025, we'll round up to 0.03. If the fee is 0.024, we'll round down".
        ("half_up", 250, 3),
        ("half_up", 240, 2),
        # Square: 1.9 % of 15.00 is 0.285, and 0.29 is taken; at 1 % that is 28.50.
        ("half_up", 2_850, 29),
        # Airwallex: half to even.
        ("half_even", 250, 2),
        ("half_even", 350, 4),
        ("half_even", 251, 3),
        # Braintree: down where anything is left beyond the cent.
        ("down", 299, 2),
    ],
)
def test_the_fee_is_rounded_as_the_psp_says(how, amount, minor):
    found = fee(FeeSchedule((rule("one percent", 10_000, rounding=how),)), amount, "USD")

    assert found is not None
    assert found.total == Money(minor, "USD")


def test_a_fee_is_rounded_to_the_currencys_own_unit():
    schedule = FeeSchedule((rule("japan", 36_000),))  # Stripe Japan: 3.6 %

    assert fee(schedule, 1_999, "JPY").total == Money(72, "JPY")  # 71.96 yen
    assert fee(schedule, 1_999, "KWD").total == Money(72, "KWD")  # 0.07196 dinar


def test_a_fraction_of_a_cent_counts_before_the_rounding():
    # A scheme's fee of 0.0195 USD for each authorization, as contracts state it.
    schedule = FeeSchedule((FeeRule("scheme", frozenset({"sale"}), (Price(1_400, {"USD": 1_950_000}),)),))

    assert fee(schedule, 400, "USD").total == Money(3, "USD")  # 0.56 and 1.95 cents


def test_what_no_rule_states_is_unknown_and_never_free():
    assert calculate_fees(None, "sale", FeeFacts(1_000, "EUR"), NOW) is None
    assert fee(STRIPE_US, 1_000, "USD", kind="refund") is None
    assert fee(STRIPE_US, 1_000, "EUR", country="US") is None  # it would take an exchange rate
    only_eea = FeeSchedule((rule("eea", 15_000, regions=frozenset({"eea"})),))
    assert fee(only_eea, 1_000, "EUR", country=None) is None


def test_a_rule_that_charges_nothing_is_free_and_known():
    found = fee(STRIPE_IRELAND, 10_000, "EUR", kind="refund")

    assert found == Fees("nothing", Money(0, "EUR"), ())


def test_a_fee_without_a_percentage_may_be_in_a_currency_of_its_own():
    # Adyen: 0.13 USD for each request, whatever the payment's currency.
    assert fee(ADYEN, 10_000, "EUR", kind="refund").total == Money(13, "USD")
    two = FeeSchedule((rule("either", 0, {"USD": 13, "GBP": 10}),))
    assert fee(two, 10_000, "EUR") is None


def test_a_least_and_a_most_bound_the_fee_before_tax():
    ach = FeeSchedule((rule("ach", 8_000, most={"USD": 500}),))  # Stripe ACH: 0.8 %, at most 5.00
    bacs = FeeSchedule((rule("bacs", 10_000, least={"GBP": 20}, tax_ppm=200_000),))

    assert fee(ach, 50_000, "USD").total == Money(400, "USD")
    capped = fee(ach, 100_000, "USD")
    assert capped.total == Money(500, "USD")
    assert capped.parts == (Part("percent", 800 * MILLION), Part("most", -300 * MILLION))
    assert fee(bacs, 1_000, "GBP").total == Money(24, "GBP")


TIERED = FeeSchedule(
    (
        FeeRule(
            "volume",
            frozenset({"sale"}),
            (Price(6_000), Price(5_000, from_minor=5_000_000), Price(4_000, from_minor=20_000_000)),
            currencies=frozenset({"EUR"}),
        ),
    )
)


@pytest.mark.parametrize(
    ("volume_minor", "minor"),
    [(0, 60), (4_999_999, 60), (5_000_000, 50), (19_999_999, 50), (20_000_000, 40)],
)
def test_the_months_volume_chooses_the_tier(volume_minor, minor):
    assert fee(TIERED, 10_000, "EUR", volume_minor=volume_minor).total == Money(minor, "EUR")


def test_a_book_takes_the_volume_of_the_account_and_the_currency():
    volumes = {("busy", "EUR"): 20_000_000, ("idle", "EUR"): 0, ("idle", "USD"): 20_000_000}
    book = FeeBook({"busy": TIERED, "idle": TIERED}, volumes)

    assert [book.expected(name, payment(), NOW) for name in ("busy", "idle", "none")] == [40, 60, None]
    assert book.fees("busy", "sale", FeeFacts(10_000, "EUR"), NOW).total == Money(40, "EUR")


def test_an_account_that_the_months_volumes_do_not_name_is_in_its_first_tier():
    assert FeeBook({"new": TIERED}, {}).expected("new", payment(), NOW) == 60
    assert FeeBook({"new": TIERED}).expected("new", payment(), NOW) is None


def test_a_tiered_fee_is_unknown_while_the_volume_is():
    assert fee(TIERED, 10_000, "EUR") is None


def test_a_price_counts_from_its_first_day_until_the_day_before_its_end():
    # Stripe raised its price in the EEA on 2023-04-10 from 1.4 to 1.5 %.
    day = date(2023, 4, 10)
    schedule = FeeSchedule((rule("earlier", 14_000, until=day), rule("later", 15_000, since=day)))

    before = fee(schedule, 10_000, "EUR", at=datetime(2023, 4, 9, 23, 59, 59, tzinfo=UTC))
    after = fee(schedule, 10_000, "EUR", at=datetime(2023, 4, 10, tzinfo=UTC))
    assert (before.total.minor, after.total.minor) == (140, 150)
    assert list(schedule.conflicts()) == []


NARROWING = (
    rule("any", 30_000),
    rule("eea", 20_000, regions=frozenset({"eea"})),
    rule("germany", 15_000, countries=frozenset({"DE"})),
    rule("german visa", 14_000, countries=frozenset({"DE"}), schemes=frozenset({"visa"})),
    rule(
        "eea visa debit",
        13_000,
        regions=frozenset({"eea"}),
        schemes=frozenset({"visa"}),
        fundings=frozenset({"debit"}),
        methods=frozenset({"card"}),
    ),
)


@pytest.mark.parametrize(
    ("facts", "name"),
    [
        ({}, "any"),
        ({"country": "FR"}, "eea"),
        ({"country": "DE"}, "germany"),
        ({"country": "DE", "scheme": "visa"}, "german visa"),
        ({"country": "DE", "scheme": "visa", "funding": "debit"}, "eea visa debit"),
        ({"country": "US", "scheme": "visa"}, "any"),
    ],
)
def test_the_most_specific_rule_that_fits_counts_in_whatever_order_they_stand(facts, name):
    for rules in permutations(NARROWING):
        assert fee(FeeSchedule(rules), 10_000, "EUR", **facts).rule == name


@pytest.mark.parametrize(
    ("more", "conflict"),
    [
        ({"schemes": frozenset({"visa"})}, True),
        ({"regions": frozenset({"eea"}), "schemes": frozenset()}, True),
        ({"schemes": frozenset({"amex"})}, False),
        ({"schemes": frozenset({"visa"}), "kinds": frozenset({"refund"})}, False),
        ({"schemes": frozenset({"visa"}), "since": date(2027, 1, 1)}, False),
        ({"schemes": frozenset({"visa"}), "countries": frozenset({"DE"})}, False),
    ],
)
def test_two_equally_specific_rules_that_fit_one_operation_are_a_conflict(more, conflict):
    visa = rule("visa", 20_000, schemes=frozenset({"visa", "mastercard"}), until=date(2027, 1, 1))
    other = replace(rule("other", 10_000), **more)

    assert bool(list(FeeSchedule((visa, other)).conflicts())) is conflict


def test_a_country_and_a_region_without_it_do_not_overlap():
    india = rule("india", 20_000, countries=frozenset({"IN"}))
    eea = rule("eea", 15_000, regions=frozenset({"eea"}), schemes=frozenset({"visa"}))

    assert list(FeeSchedule((india, eea)).conflicts()) == []
    germany = replace(india, id="germany", countries=frozenset({"DE"}))
    assert list(FeeSchedule((germany, eea)).conflicts()) == [(germany, eea)]


def payment(kind="sale", currency="EUR", amount_minor=10_000) -> PaymentFacts:
    card = CardFacts(country="DE", scheme="visa")
    return PaymentFacts(UUID(int=1), "shop", kind, amount_minor, currency, {"stripe": "pm_1"}, card=card)


def test_the_country_is_the_issuers_or_else_the_customers():
    german = payment()
    assert FeeFacts.of(replace(german, country="US")).country == "DE"
    assert FeeFacts.of(replace(german, country="US", card=CardFacts())).region == "us"
    assert FeeFacts.of(replace(german, card=CardFacts())).region == "unknown"


def test_a_payments_expected_fee_is_the_sales_or_the_authorizations_and_its_captures():
    assert expected_fee(STRIPE_IRELAND, payment(), NOW) == 175
    assert expected_fee(STRIPE_IRELAND, payment("authorize"), NOW) == 175
    both = FeeSchedule(
        (*STRIPE_IRELAND.rules[:3], rule("each", 0, {"EUR": 12}, kinds=frozenset({"authorize"})))
    )
    assert expected_fee(both, payment("authorize"), NOW) == 187


def test_an_expected_fee_is_unknown_where_a_part_of_it_is_or_where_it_is_in_another_currency():
    assert expected_fee(None, payment(), NOW) is None
    assert expected_fee(STRIPE_US, payment("authorize", "USD"), NOW) is None  # no rule for authorize
    fixed = FeeSchedule((rule("fixed", 0, {"USD": 13}),))
    assert expected_fee(fixed, payment(), NOW) is None
    assert expected_fee(fixed, payment(currency="USD"), NOW) == 13


@given(
    amount=st.integers(1, 10**10),
    ppm=st.integers(0, 100_000),
    fixed=st.integers(0, 10**9),
    bounds=st.tuples(st.none() | st.integers(0, 10**6), st.none() | st.integers(10**6, 10**9)),
    tax_and_rounding=st.tuples(st.integers(0, 250_000), st.sampled_from(["half_up", "half_even", "down"])),
)
def test_the_parts_add_up_and_the_fee_is_within_a_minor_unit_of_the_exact_one(
    amount, ppm, fixed, bounds, tax_and_rounding
):
    (least, most), (tax, how) = bounds, tax_and_rounding
    one = FeeRule(
        "any",
        frozenset({"sale"}),
        (Price(ppm, {"EUR": fixed}),),
        least={} if least is None else {"EUR": least},
        most={} if most is None else {"EUR": most},
        tax_ppm=tax,
        rounding=how,
    )
    found = fee(FeeSchedule((one,)), amount, "EUR")

    assert sum(part.millionths for part in found.parts) == found.total.minor * MILLION
    exact = Fraction(amount * ppm + fixed, MILLION)
    exact = exact if least is None else max(exact, Fraction(least))
    exact = exact if most is None else min(exact, Fraction(most))
    assert abs(found.total.minor - exact * (1 + Fraction(tax, MILLION))) < 2 + Fraction(tax, MILLION)
    assert expected_fee(FeeSchedule((one,)), payment(amount_minor=amount), NOW) == found.total.minor
