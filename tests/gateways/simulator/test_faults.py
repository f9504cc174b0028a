from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gateways.simulator.faults import Fault, Faults, Mishap, Spent


def hit(calls: list[str], **fault: Any) -> set[str]:
    faults = Faults([Fault(on="create", **fault)])
    return {call for call in calls if faults.chosen("create", call) is not None}


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
    faults = Faults([Fault(on="create", do="429", share=1, times=2)])

    met = [faults.chosen("create", "k") is not None for _ in range(4)]

    assert met == [True, True, False, False]


def test_the_next_calls_are_hit_whatever_their_keys():
    faults = Faults([Fault(on="capture", do="lost", next=2)])

    assert faults.chosen("refund", "k") is None
    assert [faults.chosen("capture", key) is not None for key in "aab"] == [True, True, False]
    assert faults.hits == {"capture/lost": 2}


def test_faults_switched_off_are_forgotten():
    faults = Faults([Fault(on="create", do="lost", share=1)])
    faults.chosen("create", "k")

    faults.switch([])

    assert faults.chosen("create", "k") is None
    assert faults.hits == {}


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
        Fault.model_validate(fault)


def test_a_mishap_of_a_payment_counts_its_attempts_under_any_key():
    spent, mishap = Spent(), Mishap("429", times=2, of_payment=True)

    assert [spent.again(mishap, key, "p") for key in "abc"] == [True, True, False]


def test_a_call_without_a_key_cannot_be_told_from_its_repeat():
    spent, mishap = Spent(), Mishap("reset", times=1)

    assert [spent.again(mishap, None, "p") for _ in range(2)] == [True, True]
