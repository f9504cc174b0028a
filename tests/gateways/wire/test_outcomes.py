"""Outcomes that all adapters build alike."""

import pytest

from gateways.contract import HttpResponse
from gateways.wire.outcomes import DetailedOutcomes, balances, hint_of_status, move

WORDED = DetailedOutcomes(lambda response, body: f"{body.get('message', 'no words')}, HTTP {response.status}")
RESPONSE = HttpResponse(500, {}, b"")


def test_an_unknown_outcome_has_what_it_is_about_before_the_psps_words():
    outcome = WORDED.unknown(RESPONSE, "broken", {"message": "oh"}, about="the refund", psp_id="re_1")

    assert (outcome.kind, outcome.code, outcome.psp_id) == ("UNKNOWN", "broken", "re_1")
    assert outcome.detail == "the refund; oh, HTTP 500"


@pytest.mark.parametrize("value", [None, [], "oh", 7])
def test_what_is_no_object_has_no_words(value: object):
    assert WORDED.unknown(RESPONSE, "broken", value).detail == "no words, HTTP 500"


def test_an_object_of_another_operation_is_named_in_the_detail_only():
    outcome = WORDED.of_another(RESPONSE, "re_1")

    assert (outcome.kind, outcome.psp_id, outcome.repeat_is_useless) == ("UNKNOWN", None, True)
    assert outcome.detail == "re_1 belongs to another reference; no words, HTTP 500"


@pytest.mark.parametrize(
    ("status", "hint"),
    [(200, None), (301, "CONFIG"), (401, "CONFIG"), (403, "CONFIG"), (404, None), (503, None)],
)
def test_a_redirect_and_a_refused_key_need_an_operator(status: int, hint: str | None):
    assert hint_of_status(status) == hint


@pytest.mark.parametrize("minor", [-1, 2**53 + 1, None])
def test_a_number_that_can_be_no_amount_is_none(minor: int | None):
    assert balances(minor, 5, 0).captured_minor is None
    assert move("refund", "re_1", minor) == []


def test_a_move_without_an_id_or_of_nothing_is_none():
    assert move("refund", None, 5) == move("refund", "re_1", 0) == []
    assert [one.amount_minor for one in move("refund", "re_1", 5)] == [5]
