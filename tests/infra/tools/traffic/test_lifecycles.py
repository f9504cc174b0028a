from collections import Counter

from aggregates.money import exponent
from gateways.registry import ADAPTERS
from infra.tools.traffic.lifecycles import lifecycles
from infra.tools.traffic.orders import orders


def _lives(count=2000):
    return list(lifecycles(orders(seed=3, count=count, rate=20, run="a")))


def test_the_same_orders_have_the_same_lives():
    assert _lives(50) == _lives(50)


def test_half_of_the_orders_are_sales_and_every_kind_of_life_is_among_thirty_orders():
    kinds = Counter(life.name for life in _lives())

    assert 0.4 < kinds.pop("sold") / 2000 < 0.7
    assert max(kinds.values()) - min(kinds.values()) <= 1
    assert {life.name for life in _lives(30)} == {"sold", *kinds}


def test_no_step_asks_for_more_than_is_left_nor_for_what_a_card_cannot_carry():
    for life in _lives():
        left = life.order.amount_minor
        for step in life.steps:
            if step.amount_minor is not None:
                assert 0 < step.amount_minor < left
                assert step.amount_minor % 10 == 0 or exponent(life.order.currency) != 3
                left -= step.amount_minor


def test_what_fails_or_is_slow_stays_a_sale_as_the_shop_made_it():
    made = list(orders(seed=3, count=2000, rate=20, run="a"))

    for order, life in zip(made, lifecycles(made), strict=True):
        if order.payment_method != "pm_card_visa":
            assert (life.order, life.name, life.ends) == (order, "sold", order.ends)


def test_everywhere_is_at_every_psp_and_in_currencies_that_its_account_takes():
    everywhere = list(lifecycles(orders(seed=3, count=2000, rate=20, run="a"), everywhere=True))

    used = {life.order.payment_method.partition(":")[0] for life in everywhere}
    assert set(ADAPTERS) - {"stripe"} <= used
    kinds = Counter(life.name for life in everywhere if ":" in life.order.payment_method)
    assert max(kinds.values()) - min(kinds.values()) < 0.5 * max(kinds.values())
    for life in everywhere:
        gateway, _, token = life.order.payment_method.partition(":")
        assert not token or life.order.currency in ADAPTERS[gateway].facts.currencies
