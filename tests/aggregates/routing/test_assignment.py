from math import sqrt
from uuid import UUID, uuid5

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aggregates.routing.assignment import arm_of
from aggregates.routing.policy import Arm, Experiment

PAYMENT = UUID("11111111-1111-4111-8111-111111111111")


def experiment(id_="checkout", **shares: float) -> Experiment:
    arms = {name: Arm(share=share, account=f"psp-{name}") for name, share in shares.items()}
    return Experiment(kind="experiment", id=id_, arms=arms, control="a")


def customers(count: int) -> list[str]:
    return [f"customer-{number}" for number in range(count)]


def arms_of(one: Experiment, count: int) -> dict[str, str]:
    return {name: arm_of(one, name, PAYMENT).arm for name in customers(count)}


@given(st.text(max_size=64), st.uuids(), st.uuids())
def test_a_customer_stays_in_one_arm_whatever_the_payment(customer, first, second):
    one = experiment(a=0.5, b=0.3, c=0.2)

    assert arm_of(one, customer, first) == arm_of(one, customer, second)


def test_each_arm_gets_its_share_within_the_binomial_bound():
    shares = {"a": 0.7, "b": 0.25, "c": 0.05}
    given_to = list(arms_of(experiment(**shares), 100_000).values())

    for arm, share in shares.items():
        # Five standard errors.
        assert abs(given_to.count(arm) / 100_000 - share) < 5 * sqrt(share * (1 - share) / 100_000)


def test_a_share_that_grows_takes_customers_from_the_others_and_moves_nobody_else():
    before = arms_of(experiment(a=0.6, b=0.2, c=0.2), 50_000)
    after = arms_of(experiment(a=0.6, b=0.2, c=0.4), 50_000)

    moved = {name for name in before if before[name] != after[name]}
    assert {after[name] for name in moved} == {"c"}
    # c had 1/5 and has 1/3: no assignment can move fewer than the difference.
    assert len(moved) / 50_000 == pytest.approx(1 / 3 - 1 / 5, abs=0.01)


def test_two_arms_that_trade_shares_move_only_what_they_trade():
    before = arms_of(experiment(a=0.9, b=0.1), 50_000)
    after = arms_of(experiment(a=0.5, b=0.5), 50_000)

    moved = {(before[name], after[name]) for name in before if before[name] != after[name]}
    assert moved == {("a", "b")}
    assert list(after.values()).count("b") / 50_000 == pytest.approx(0.5, abs=0.01)


def test_two_experiments_divide_the_customers_independently():
    one, other = arms_of(experiment(a=0.5, b=0.5), 20_000), arms_of(experiment("other", a=0.5, b=0.5), 20_000)

    same = sum(one[name] == other[name] for name in one)
    assert same / 20_000 == pytest.approx(0.5, abs=0.02)


def test_a_payment_without_a_customer_is_assigned_by_its_own_id_and_says_so():
    one = experiment(a=0.5, b=0.5)
    given_to = [arm_of(one, None, uuid5(PAYMENT, str(number))) for number in range(200)]

    assert {assigned.by for assigned in given_to} == {"payment"}
    assert {assigned.arm for assigned in given_to} == {"a", "b"}
    assert given_to[0].as_json() == {
        "id": "checkout",
        "definition": one.definition,
        "arm": given_to[0].arm,
        "by": "payment",
    }


def test_a_stopped_arms_customers_get_the_control_and_count_for_no_arm():
    one = experiment(a=0.5, b=0.5)
    before = arms_of(one, 100)

    for name, arm in before.items():
        assigned = arm_of(one, name, PAYMENT, stopped={"b"})
        assert assigned.serves == "a"
        assert assigned.arm == arm
        assert assigned.counted == (arm == "a")
    in_b = next(name for name, arm in before.items() if arm == "b")
    assert arm_of(one, in_b, PAYMENT, stopped={"b"}).as_json() == {
        "id": "checkout",
        "definition": one.definition,
        "arm": "b",
        "by": "customer",
        "serves": "a",
    }


def test_an_arm_without_a_share_gets_nobody():
    assert set(arms_of(experiment(a=0.0, b=1.0), 1000).values()) == {"b"}


def test_a_definition_is_another_one_with_other_arms_shares_or_control_and_no_other_field():
    one = experiment(a=0.5, b=0.5)

    assert one.definition == experiment(b=0.5, a=0.5).definition
    assert one.definition == one.model_copy(update={"guardrail": 0.1, "metric": "cost"}).definition
    others = [
        experiment(a=0.4, b=0.6),
        experiment(a=0.5, c=0.5),
        Experiment(kind="experiment", id="checkout", arms=one.arms, control="b"),
        Experiment(
            kind="experiment",
            id="checkout",
            arms=one.arms | {"b": Arm(share=0.5, account="another")},
            control="a",
        ),
    ]
    assert len({one.definition, *(other.definition for other in others)}) == 5
