from collections import Counter

from aggregates.money import Money, exponent
from commands.card_data import sensitive_path
from infra.tools.traffic.orders import orders, run_name


def test_one_seed_gives_the_same_orders_and_another_gives_others():
    first, again = (list(orders(seed=7, count=50, rate=20, run="a")) for _ in range(2))
    other = list(orders(seed=8, count=50, rate=20, run="a"))

    assert first == again
    assert first != other


def test_another_run_of_a_seed_asks_for_the_same_under_other_keys():
    first, other = (list(orders(seed=7, count=50, rate=20, run=run)) for run in "ab")

    assert [order.amount_minor for order in first] == [order.amount_minor for order in other]
    assert not {order.idempotency_key for order in first} & {order.idempotency_key for order in other}


def test_a_shop_takes_currencies_with_none_two_and_three_decimals_and_some_orders_go_wrong():
    many = list(orders(seed=1, count=2000, rate=20, run="a"))

    assert {exponent(order.currency) for order in many} == {0, 2, 3}
    ends = Counter(order.ends for order in many)
    assert 0.04 < ends["FAILED"] / len(many) < 0.15
    assert {"pm_sim_slow", "pm_sim_lost", "pm_sim_500_once"} < {order.payment_method for order in many}


def test_no_order_looks_as_if_it_held_a_card_number():
    for order in orders(seed=2, count=2000, rate=20, run=f"demo-{run_name()}"):
        content = {"idempotency_key": order.idempotency_key, "customer_id": order.customer_id}
        assert sensitive_path(content) is None


def test_every_amount_is_payable_and_a_card_can_carry_it():
    for order in orders(seed=2, count=2000, rate=20, run="a"):
        Money.payable(order.amount_minor, order.currency)
        assert order.amount_minor % 10 == 0 or exponent(order.currency) != 3


def test_orders_arrive_in_order_at_the_rate_requested():
    arrivals = [order.arrives_s for order in orders(seed=3, count=4000, rate=50, run="a")]

    assert arrivals == sorted(arrivals)
    assert arrivals[0] == 0
    assert 0.9 < arrivals[-1] / (4000 / 50) < 1.1


def test_calm_conditions_have_no_slow_lost_or_failing_responses_and_only_declines_after_which_no_attempt_follows():
    methods = {
        order.payment_method for order in orders(seed=4, count=2000, rate=50, run="a", conditions="calm")
    }

    assert not any(method.startswith("pm_sim") for method in methods)
    assert methods == {
        "pm_card_visa",
        "pm_card_visa_chargeDeclinedLostCard",
        "pm_card_visa_chargeDeclinedStolenCard",
    }


def test_each_order_has_a_card_of_its_own_that_behaves_as_its_token_says():
    made = list(orders(seed=1, count=500, rate=20, run="a"))

    sent = [order.content["payment_method"] for order in made]
    assert len(set(sent)) == len(sent)
    assert all(token.startswith(f"{order.payment_method}__") for token, order in zip(sent, made, strict=True))
