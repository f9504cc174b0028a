"""What is learnt by asking: of what is there once, twice, not at all, late, or is another one's."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from commands.messages import Outcome
from gateways.contract import Call, HttpRequest, HttpResponse
from tests.gateways.conformance.book import CaseBook, Shows
from tests.gateways.conformance.books import CASEBOOKS, each_book, operations
from tests.gateways.conformance.cases import OTHERS, Operation, Other, Way, Without


def _looks() -> Iterator[Any]:
    for name, book in CASEBOOKS.items():
        for operation in operations(book):
            ways = book.looks[operation]
            if isinstance(ways, Without):
                continue
            for way, shows in ways.items():
                if not isinstance(shows, Without):
                    yield pytest.param(book, operation, way, shows, id=f"{name}-{operation}-{way}")


each_look_up = pytest.mark.parametrize(("book", "operation", "way", "shows"), list(_looks()))


def call_of(book: CaseBook, operation: Operation, way: Way) -> Call:
    call = book.call(operation)
    return replace(call, psp_id=book.psp_id(call.reference) if way == "by_id" else None)


@each_look_up
def test_what_was_executed_is_found(book: CaseBook, operation: Operation, way: Way, shows: Shows):
    call = call_of(book, operation, way)
    assert isinstance(book.gateway.lookup(call, book.credentials), HttpRequest)

    outcome = book.gateway.found(call, shows(call, [call]))

    assert outcome is not None
    assert (outcome.kind, outcome.amount_minor, outcome.currency) == ("APPROVED", call.amount_minor, "USD")


@each_look_up
def test_what_is_not_found_is_not_yet_proven_absent(
    book: CaseBook, operation: Operation, way: Way, shows: Shows
):
    """Found late: the first lookup decides nothing, for the agent waits; the second one finds it."""
    call = call_of(book, operation, way)

    nothing = book.gateway.found(call, shows(call, []))
    later = book.gateway.found(call, shows(call, [call]))

    assert nothing is None or nothing.kind == "UNKNOWN", nothing
    delay_s = book.gateway.absence_delay_s(call)
    assert delay_s is None or delay_s >= 60
    assert later is not None
    assert later.kind == "APPROVED"


@each_look_up
@pytest.mark.parametrize("what", OTHERS)
def test_what_is_found_of_another_thing_is_not_what_was_asked(
    book: CaseBook, operation: Operation, way: Way, shows: Shows, what: Other
):
    call = call_of(book, operation, way)

    outcome = book.gateway.found(call, shows(call, [book.other(call, what)]))

    if outcome is not None and outcome.code == "more_than_is_left":
        return  # What is found is anybody's, and leaves no room for ours: it was not made.
    assert outcome is None or outcome.kind == "UNKNOWN", outcome
    if what != "payment":
        assert outcome is not None, "it is there, and it is not nothing"


@each_book
def test_what_is_found_twice_is_not_decided(book: CaseBook):
    for operation in operations(book):
        shows = book.twice[operation]
        if isinstance(shows, Without):
            continue
        call = replace(book.call(operation), psp_id=None)

        outcome = book.gateway.found(call, shows(call, [call, call]))

        assert outcome is not None
        assert outcome.kind == "UNKNOWN", (operation, outcome)


@each_look_up
@pytest.mark.parametrize("status", [400, 401, 403, 429, 500, 502, 503])
def test_a_lookup_that_failed_proves_nothing(
    book: CaseBook, operation: Operation, way: Way, shows: Shows, status: int
):
    call = call_of(book, operation, way)
    for body in (b"", b"<html>", b"{}", b"[]", b"null"):
        outcome = book.gateway.found(call, HttpResponse(status, {}, body))

        assert outcome is not None
        assert outcome.kind == "UNKNOWN", outcome


@each_book
def test_a_psp_without_lookups_declares_it(book: CaseBook):
    for operation in operations(book):
        if isinstance(book.looks[operation], Without):
            asked_for = book.gateway.lookup(book.call(operation), book.credentials)
            assert isinstance(asked_for, Outcome), operation
            assert asked_for.kind == "UNKNOWN"


_ENDS = {"ended": {"EXPIRED"}, "was_approved": {"APPROVED"}, "refused": {"UNKNOWN"}}


@each_book
def test_a_cancel_ends_only_what_the_psp_says_it_has_ended(book: CaseBook):
    for name, cell in book.cancels.items():
        if isinstance(cell, Without):
            continue
        call, response = book.case("sale", cell)
        assert isinstance(book.gateway.cancel(call, book.credentials), HttpRequest), name

        outcome = book.gateway.cancelled(call, response)

        assert outcome.kind in _ENDS[name], (name, outcome)
