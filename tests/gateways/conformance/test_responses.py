"""The outcome read from a response: each operation with each class of outcome, and responses about
another thing than was requested."""

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


@each_operation(RESULTS, has=lambda book, operation, how: book.responses[operation][how])
def test_a_response_is_read_as_what_its_psp_means_by_it(book: CaseBook, operation: Operation, how: Result):
    call, response = book.case(operation, book.responses[operation][how])

    outcome = book.gateway.outcome(call, response)

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
        read = book.gateway.found if on.lookup else book.gateway.outcome
        outcome = read(call, on.respond(call))

        assert outcome is not None
        assert (outcome.kind, outcome.next_step) == ("PENDING", following.step), outcome
        assert following.psp_id in {outcome.psp_id, call.psp_id}
    assert book.gateway.moves_money(calls[-1])


@each_operation(OTHERS, has=lambda book, operation, how: book.unseen.get((operation, how)))
def test_a_response_about_another_thing_than_was_requested_is_unknown(
    book: CaseBook, operation: Operation, how: Other
):
    requested, response = book.other_response(operation, how)

    outcome = book.gateway.outcome(requested, response)

    assert outcome.kind == "UNKNOWN", outcome


@each_book
def test_a_response_that_does_not_name_the_payment_decides_nothing(book: CaseBook):
    for operation, how in book.unseen:
        requested, response = book.other_response(operation, how)
        outcome = book.gateway.outcome(requested, response)
        if how == "payment":
            assert outcome.kind in {"UNKNOWN", "PENDING"}
            assert outcome.psp_id in {None, requested.psp_id}


@each_book
def test_an_error_in_a_response_that_says_200_is_no_approval(book: CaseBook):
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
    call, response = book.case(operation, cells[how])

    outcome = book.gateway.outcome(call, response)

    first = book.gateway.outcome(*book.case(operation, book.best(operation)))
    if how == "replayed":
        assert outcome == first
    else:
        assert result_of(outcome) == _EXPECTED[how], outcome


_FROM_A_PROXY = b"<html><body><h1>Bad Gateway</h1></body></html>"


@each_operation([429, 408, 500, 502, 503, 504, 520])
def test_a_proxys_response_is_not_taken_for_the_psps(book: CaseBook, operation: Operation, how: int):
    response = HttpResponse(how, {"content-type": "text/html"}, _FROM_A_PROXY)

    assert book.gateway.outcome(book.call(operation), response).kind == "UNKNOWN"


@each_operation([301, 302, 307, 308])
def test_a_redirect_is_a_matter_of_the_configuration(book: CaseBook, operation: Operation, how: int):
    response = HttpResponse(how, {"location": "https://elsewhere.example/"}, b"")

    outcome = book.gateway.outcome(book.call(operation), response)

    assert outcome.kind in {"UNKNOWN", "NOT_SENT"}
    assert outcome.hint == "CONFIG"


@pytest.mark.parametrize("book", CASEBOOKS.values(), ids=CASEBOOKS)
def test_too_many_calls_means_that_nothing_was_done(book: CaseBook):
    for operation in operations(book):
        assert result_of(book.gateway.outcome(book.first(operation), book.too_many)) == "NOT_SENT", operation
