"""What an operation is expected to cost is kept in its first event, whatever the price lists say later."""

from datetime import timedelta
from typing import Any
from uuid import uuid4

from aggregates import merchant_commands
from aggregates.fees import MILLION, FeeBook, FeeKind, FeeRule, FeeSchedule, Price
from aggregates.money import Money
from aggregates.payment import Payment
from tests.support.builders import MULTICAPTURE, NOW, authorized, captured, cause, payment

LATER = NOW + timedelta(minutes=1)


def rule(
    name: str, *kinds: FeeKind, ppm: int = 0, fixed: dict[str, int] | None = None, **more: Any
) -> FeeRule:
    """`fixed`: in minor units."""
    micros = {currency: minor * MILLION for currency, minor in (fixed or {}).items()}
    return FeeRule(id=name, kinds=frozenset(kinds), prices=(Price(ppm, micros),), **more)


def book(*rules: FeeRule) -> FeeBook:
    schedule = FeeSchedule(rules)
    return FeeBook({"sim-eu": schedule, "sim-us": schedule})


# Stripe in the EEA takes 1.5 % and 0.25 EUR of a charge by a card from there, 3.25 % by other cards.
STRIPE = book(
    rule("eea", "sale", "capture", ppm=15_000, fixed={"EUR": 25}, regions=frozenset({"eea"})),
    rule("international", "sale", "capture", ppm=32_500, fixed={"EUR": 25}),
    rule("free", "authorize", "void", "refund"),
)


def kept(made: Payment) -> dict[str, Money]:
    return {name.rpartition("-")[2]: fee for name, fee in made.expected_fees.items()}


def test_a_sale_keeps_its_fee_by_the_cards_country_or_else_the_customers():
    german = {"bin": None, "country": "DE", "scheme": None, "funding": None}

    assert kept(payment(fees=STRIPE)) == {"s1": Money(61, "EUR")}  # 3.25 % of 10.99 are 0.36
    assert kept(payment(fees=STRIPE, country="FR")) == {"s1": Money(41, "EUR")}
    assert kept(payment(fees=STRIPE, country="US", card=german)) == {"s1": Money(41, "EUR")}


def test_captures_and_refunds_keep_their_own_of_their_own_amounts():
    made = authorized(MULTICAPTURE, fees=STRIPE)
    merchant_commands.capture(made, 400, cause(LATER, uuid4(), fees=STRIPE), final=False)
    merchant_commands.capture(made, 699, cause(LATER, uuid4(), fees=STRIPE), final=False)

    assert kept(made) == {"a1": Money(0, "EUR"), "c2": Money(38, "EUR"), "c3": Money(48, "EUR")}

    sold = captured(fees=STRIPE)
    merchant_commands.refund(sold, 100, cause(LATER, uuid4(), fees=STRIPE), reason=None)
    assert kept(sold)["r2"] == Money(0, "EUR")


def test_a_fee_that_no_rule_states_is_not_kept_and_not_free():
    made = captured(fees=book(rule("sales", "sale", ppm=15_000)))
    merchant_commands.refund(made, 100, cause(LATER, uuid4()), reason=None)

    assert kept(made) == {"s1": Money(16, "EUR")}
    assert kept(payment()) == {}


def test_a_fee_may_be_in_another_currency_than_the_payment():
    # Adyen's processing fee is 0.13 USD, whatever is paid.
    made = captured(fees=book(rule("processing", "sale", fixed={"USD": 13})))

    assert made.fee_totals == {"USD": 13}


def test_only_what_was_executed_is_expected_to_cost_anything():
    assert payment(fees=STRIPE).fee_totals == {}
    assert captured(fees=STRIPE).fee_totals == {"EUR": 61}


def test_a_price_that_changes_later_changes_no_fee_that_was_kept():
    made = captured(fees=STRIPE)
    dearer = book(rule("all", "sale", "capture", "refund", ppm=50_000))
    merchant_commands.refund(made, 100, cause(LATER, uuid4(), fees=dearer), reason=None)

    assert kept(made) == {"s1": Money(61, "EUR"), "r2": Money(5, "EUR")}
