"""What is read in an answer: each operation with each class of outcome, and what says another thing than was
asked."""

from dataclasses import replace
from itertools import pairwise

import pytest

from gateways.contract import HttpResponse
from tests.gateways.conformance.book import CaseBook
from tests.gateways.conformance.books import CASEBOOKS, each_book, each_operation, operations
from tests.gateways.conformance.calls import result_of
from tests.gateways.conformance.cases import (
    KEY_CASES,
    OTHERS,
    RESULTS,
    KeyCase,
    Operation,
    Other,
    Result,
    Without,
)


@each_operation(RESULTS, has=lambda book, operation, how: book.says[operation][how])
def test_an_answer_is_read_as_what_its_psp_means_by_it(book: CaseBook, operation: Operation, how: Result):
    call, answer = book.case(operation, book.says[operation][how])

    outcome = book.gateway.outcome(call, answer)

    assert result_of(outcome) == how, outcome
    if how == "APPROVED":
        assert (outcome.amount_minor, outcome.currency) == (call.amount_minor, call.currency)
        assert outcome.next_step is None
    if how == "ACTION_REQUIRED":
        assert outcome.action_url is not None
    assert not outcome.unlisted


@each_operation()
def test_the_steps_before_the_money_lead_to_it(book: CaseBook, operation: Operation):
    before = book.before.get(operation, ())
    calls = [*(replace(book.call(operation), **on.changes) for on in before), book.call(operation)]
    for on, (call, following) in zip(before, pairwise(calls), strict=True):
        read = book.gateway.found if on.asked else book.gateway.outcome
        outcome = read(call, on.says(call))

        assert outcome is not None
        assert (outcome.kind, outcome.next_step) == ("PENDING", following.step), outcome
        assert following.psp_id in {outcome.psp_id, call.psp_id}
    assert book.gateway.moves_money(calls[-1])


@each_operation(OTHERS, has=lambda book, operation, how: book.unseen.get((operation, how)))
def test_an_answer_about_another_thing_than_was_asked_is_unknown(
    book: CaseBook, operation: Operation, how: Other
):
    asked, answer = book.other_answer(operation, how)

    outcome = book.gateway.outcome(asked, answer)

    assert outcome.kind == "UNKNOWN", outcome


@each_book
def test_an_answer_that_does_not_name_the_payment_decides_nothing(book: CaseBook):
    for operation, how in book.unseen:
        asked, answer = book.other_answer(operation, how)
        outcome = book.gateway.outcome(asked, answer)
        if how == "payment":
            assert outcome.kind in {"UNKNOWN", "PENDING"}
            assert outcome.psp_id in {None, asked.psp_id}


@each_book
def test_an_error_in_an_answer_that_says_200_is_no_approval(book: CaseBook):
    for operation in operations(book):
        outcome = book.gateway.outcome(book.call(operation), book.error_in_200)

        assert result_of(outcome) in book.error_in_200_is, (operation, outcome)


_EXPECTED: dict[KeyCase, Result] = {"other_parameters": "DUPLICATE", "still_running": "UNKNOWN"}


def _keyed(book: CaseBook, operation: Operation, how: KeyCase) -> object:
    cells = book.keys[operation]
    return cells if isinstance(cells, Without) else cells[how]


@each_operation(KEY_CASES, has=_keyed)
def test_a_key_that_was_used_before_never_hides_what_was_done_with_it(
    book: CaseBook, operation: Operation, how: KeyCase
):
    cells = book.keys[operation]
    assert not isinstance(cells, Without)
    call, answer = book.case(operation, cells[how])

    outcome = book.gateway.outcome(call, answer)

    first = book.gateway.outcome(*book.case(operation, book.best(operation)))
    if how == "replayed":
        assert outcome == first
    else:
        assert result_of(outcome) == _EXPECTED[how], outcome


_FROM_A_PROXY = b"<html><body><h1>Bad Gateway</h1></body></html>"


@each_operation([429, 408, 500, 502, 503, 504, 520])
def test_what_a_proxy_says_is_not_the_psps_word(book: CaseBook, operation: Operation, how: int):
    answer = HttpResponse(how, {"content-type": "text/html"}, _FROM_A_PROXY)

    assert book.gateway.outcome(book.call(operation), answer).kind == "UNKNOWN"


@each_operation([301, 302, 307, 308])
def test_a_redirect_is_a_matter_of_the_configuration(book: CaseBook, operation: Operation, how: int):
    answer = HttpResponse(how, {"location": "https://elsewhere.example/"}, b"")

    outcome = book.gateway.outcome(book.call(operation), answer)

    assert outcome.kind in {"UNKNOWN", "NOT_SENT"}
    assert outcome.hint == "CONFIG"


@pytest.mark.parametrize("book", CASEBOOKS.values(), ids=CASEBOOKS)
def test_too_many_calls_is_said_before_anything_is_done(book: CaseBook):
    for operation in operations(book):
        assert result_of(book.gateway.outcome(book.first(operation), book.too_many)) == "NOT_SENT", operation
