"""What is sent: amounts as the PSP writes them, and repeats that are repeats."""

from dataclasses import replace

import pytest

from commands.messages import Outcome
from gateways.contract import HttpRequest
from tests.gateways.conformance.book import CaseBook, On
from tests.gateways.conformance.books import CASEBOOKS, each_operation, operations
from tests.gateways.conformance.calls import of_money
from tests.gateways.conformance.cases import AMOUNTS, CHARGE_ATTEMPTS, PLANTED, Operation, Without

_MONEY = pytest.mark.parametrize(("minor", "currency"), AMOUNTS, ids=str)
_BOOKS = pytest.mark.parametrize("book", CASEBOOKS.values(), ids=CASEBOOKS)


def _whole(book: CaseBook) -> list[Operation]:
    return [operation for operation in operations(book) if not operation.endswith("_part")]


@_BOOKS
@_MONEY
def test_an_amount_is_written_as_the_psp_reads_it_or_refused(book: CaseBook, minor: int, currency: str):
    expected = book.amounts[minor, currency]
    for operation in _whole(book):
        call = of_money(book.first(operation), minor, currency)

        request = book.gateway.request(call, book.credentials)

        written = book.written(request) if isinstance(request, HttpRequest) else None
        if operation == "void" and written is None:
            continue  # all that is left, without an amount
        if isinstance(expected, Without):
            assert isinstance(request, Outcome), operation
            assert (request.kind, request.hint) == ("NOT_SENT", None)
        else:
            says_none = operation == "refund" and written is None  # all that was taken
            assert says_none or written == expected, operation


@_BOOKS
@_MONEY
def test_an_amount_comes_back_as_it_was_requested(book: CaseBook, minor: int, currency: str):
    if isinstance(book.amounts[minor, currency], Without):
        return
    for operation in _whole(book):
        _, outcome = book.read(operation, lambda call: of_money(call, minor, currency))

        assert outcome is not None, operation
        assert outcome.kind in {"APPROVED", "PENDING"}
        if (operation, "more") not in book.unseen or outcome.amount_minor is not None:
            assert (outcome.amount_minor, outcome.currency) == (minor, currency), operation


@each_operation()
def test_a_repeat_has_the_same_bytes(book: CaseBook, operation: Operation):
    for call in (book.first(operation), book.call(operation)):
        first = book.gateway.request(call, book.credentials)

        again = book.gateway.request(replace(call), book.credentials)

        assert isinstance(first, HttpRequest)
        assert isinstance(again, HttpRequest)
        assert (again.method, again.path, again.body) == (first.method, first.path, first.body)
        assert dict(again.headers) == dict(first.headers)


@each_operation()
def test_a_key_stands_for_one_step_of_one_operation(book: CaseBook, operation: Operation):
    call = book.call(operation)
    request = book.gateway.request(call, book.credentials)
    another = book.gateway.request(book.another(call), book.credentials)
    assert isinstance(request, HttpRequest)
    assert isinstance(another, HttpRequest)

    key = book.key_of(request)

    assert (key is None) == (isinstance(book.keys[operation], Without) or operation in book.keyless)
    if key is not None:
        assert key != book.key_of(another)
        assert 10 <= len(key) <= 64, "what all PSPs take"
    steps = [
        book.gateway.request(replace(call, **on.changes), book.credentials) for on in _before(book, operation)
    ]
    keys = [book.key_of(step) for step in steps if isinstance(step, HttpRequest)]
    assert key is None or key not in keys


def _before(book: CaseBook, operation: Operation) -> tuple[On, ...]:
    return tuple(book.before.get(operation, ()))


@each_operation()
def test_no_secret_stands_in_an_address_or_a_body_or_is_shown(book: CaseBook, operation: Operation):
    call = replace(book.call(operation), payment_method="tok_1")
    sent = [
        book.gateway.request(call, book.credentials),
        book.gateway.lookup(call, book.credentials),
        book.gateway.lookup(replace(call, psp_id=book.psp_id(call.reference)), book.credentials),
    ]
    if operation in CHARGE_ATTEMPTS:
        sent.append(
            book.gateway.cancel(replace(call, step="x", psp_id=book.psp_id(call.reference)), book.credentials)
        )

    for request in sent:
        if isinstance(request, HttpRequest):
            assert PLANTED not in request.path
            assert PLANTED not in (request.body or b"").decode()
            assert PLANTED not in repr(request)
    assert PLANTED not in repr(book.credentials)
