from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateways.simulator.core.faults import (
    AT_FIRST_ACCOUNT,
    LATER_CALLS,
    ONCE,
    TOKEN_FAULTS,
    Fault,
    FaultRule,
    FaultRules,
    HitCounts,
    TokenNames,
    fault_at,
)


def hit(calls: list[str], **fault: Any) -> set[str]:
    rules = FaultRules([FaultRule(on="create", **fault)])
    return {call for call in calls if rules.choose("create", call) is not None}


CALLS = [f"sim-eu/{number}" for number in range(2000)]


@given(st.permutations(CALLS[:50]), st.integers())
def test_the_same_seed_hits_the_same_calls_in_whatever_order_they_come(calls: list[str], seed: int):
    assert hit(calls, do="lost", share=0.3, seed=seed) == hit(CALLS[:50], do="lost", share=0.3, seed=seed)


def test_another_seed_and_another_fault_hit_other_calls():
    first = hit(CALLS, do="lost", share=0.1, seed=1)

    assert first != hit(CALLS, do="lost", share=0.1, seed=2)
    assert first != hit(CALLS, do="reset", share=0.1, seed=1)


@pytest.mark.parametrize(("share", "least", "most"), [(0, 0, 0), (0.1, 150, 250), (1, 2000, 2000)])
def test_a_share_of_the_calls_is_hit(share: float, least: int, most: int):
    assert least <= len(hit(CALLS, do="lost", share=share, seed=7)) <= most


def test_a_repeat_of_what_was_hit_gets_through():
    rules = FaultRules([FaultRule(on="create", do="429", share=1, times=2)])

    met = [rules.choose("create", "k") is not None for _ in range(4)]

    assert met == [True, True, False, False]


def test_the_next_calls_are_hit_whatever_their_keys():
    rules = FaultRules([FaultRule(on="capture", do="lost", next=2)])

    assert rules.choose("refund", "k") is None
    assert [rules.choose("capture", key) is not None for key in "aab"] == [True, True, False]
    assert rules.hits == {"capture/lost": 2}


def test_a_fault_of_one_account_spares_the_others():
    rules = FaultRules()
    rules.replace([FaultRule(on="create", do="503", share=1, account="sim-eu")])

    assert rules.choose("create", "sim-us/k-1") is None
    assert rules.choose("create", "sim-eu-2/k-1") is None
    assert rules.choose("create", "sim-eu/k-1").do == "503"


def test_rules_taken_away_are_forgotten():
    rules = FaultRules([FaultRule(on="create", do="lost", share=1)])
    rules.choose("create", "k")

    rules.replace([])

    assert rules.choose("create", "k") is None
    assert rules.hits == {}


@pytest.mark.parametrize(
    "fault",
    [
        {"on": "create", "do": "lost"},
        {"on": "create", "do": "lost", "share": 0.1, "next": 1},
        {"on": "create", "do": "lost", "share": 1.1},
        {"on": "create", "do": "absent", "share": 1},
        {"on": "get", "do": "late", "share": 1},
        {"on": "search", "do": "wrong_amount", "share": 1},
        {"on": "pay", "do": "lost", "share": 1},
        {"on": "create", "do": "explode", "share": 1},
    ],
)
def test_a_fault_that_makes_no_sense_is_refused(fault: dict[str, object]):
    with pytest.raises(ValidationError):
        FaultRule.model_validate(fault)


def test_a_fault_of_a_payment_counts_its_attempts_under_any_key():
    counts, fault = HitCounts(), Fault("429", times=2, of_payment=True)

    assert [counts.hits(fault, key, "p") for key in "abc"] == [True, True, False]


def test_a_call_without_a_key_cannot_be_distinguished_from_its_repeat():
    counts, fault = HitCounts(), Fault("reset", times=1)

    assert [counts.hits(fault, None, "p") for _ in range(2)] == [True, True]


def test_a_token_declines_the_first_attempts_of_each_payment():
    counts = HitCounts()

    assert [counts.declines(ONCE, "p", at_first_account=False) for _ in range(2)] == [True, False]
    assert counts.declines(ONCE, "q", at_first_account=False)


@pytest.mark.parametrize("at_first_account", [True, False])
def test_a_token_declines_at_the_first_account_alone(at_first_account: bool):
    declined = HitCounts().declines(AT_FIRST_ACCOUNT, "p", at_first_account=at_first_account)

    assert declined == at_first_account


def test_a_token_names_its_fault_and_the_call_that_it_hits():
    names = TokenNames("card-{}", separator="-", first="continue", not_at_first={"wrong_amount"})

    first, later = names.at_first(), names.at_later()

    assert len(first) == len(TOKEN_FAULTS) - 1
    assert len(later) == len(LATER_CALLS) * len(TOKEN_FAULTS)
    assert fault_at(first["card-reset-before"], "continue") == TOKEN_FAULTS["reset_before"]
    assert fault_at(first["card-reset-before"], "capture") is None
    assert fault_at(later["card-refund-wrong-amount"], "refund") == TOKEN_FAULTS["wrong_amount"]
    assert fault_at(None, "refund") is None
