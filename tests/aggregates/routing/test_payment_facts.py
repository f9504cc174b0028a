"""A payment as routing sees it."""

from aggregates.routing.facts import CardFacts
from aggregates.routing.payment_facts import payment_facts
from tests.support.builders import payment


def test_a_payments_facts_are_what_the_merchant_gave():
    made = payment(
        capture="manual",
        payment_method=None,
        payment_methods={"stripe": "pm_1", "adyen": "8416", "paypal": "paypal"},
        method="wallet",
        card={"bin": "42424242", "country": "DE", "scheme": "visa", "funding": "debit"},
        country="GB",
        customer_id="customer-7",
        metadata={"basket": "big"},
    )

    facts = payment_facts(made, 2)

    assert (facts.payment_id, facts.merchant_id, facts.attempt) == (made.id, "demo", 2)
    assert (facts.kind, facts.amount_minor, facts.currency) == ("authorize", 1099, "EUR")
    assert (facts.method, facts.country, facts.customer_id) == ("wallet", "GB", "customer-7")
    assert facts.card == CardFacts("42424242", "DE", "visa", "debit")
    assert facts.metadata == {"basket": "big"}
    assert facts.segments[0] == "authorize/wallet/EUR/eea"  # the card's country before the customer's


def test_a_payment_that_says_nothing_of_its_card_is_one_by_card():
    facts = payment_facts(payment(payment_method="stripe:pm_1"), 1)

    assert (facts.kind, facts.method, facts.card) == ("sale", "card", CardFacts())
    assert facts.segments[0] == "sale/card/EUR/unknown"


def test_a_token_is_not_in_the_facts():
    assert "pm_1" not in repr(payment_facts(payment(payment_method="stripe:pm_1"), 1))


def test_a_funding_of_a_later_release_is_unknown_to_this_one():
    facts = payment_facts(payment(card={"bin": "424242", "funding": "deferred"}), 1)

    assert (facts.card.bin, facts.card.funding) == ("424242", None)
