"""Over the wire, with the one client: whatever happens to a call, what is reported of it is true."""

import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from urllib.parse import urlsplit

import pytest

from gateways.contract import Call, HttpResponse
from infra.psp.http_client import HttpClient
from tests.gateways.conformance import faulty_server
from tests.gateways.conformance.book import CaseBook
from tests.gateways.conformance.books import each_book, each_operation, operations
from tests.gateways.conformance.calls import result_of
from tests.gateways.conformance.cases import OTHERS, Operation, Other
from tests.gateways.conformance.faulty_server import (
    Behaviour,
    FaultyServer,
    responds,
    responds_in_pieces,
    send,
)

SHORT_S = 0.15
"""Of calls that never get a whole response. The others have the deadline that they have in production."""


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    async with HttpClient.open(10) as client:
        yield client


@pytest.fixture
async def hasty() -> AsyncIterator[HttpClient]:
    async with HttpClient.open(10, deadline_s=SHORT_S) as client:
        yield client


def best_case(book: CaseBook, operation: Operation) -> tuple[Call, HttpResponse]:
    """With the successful response."""
    return book.case(operation, book.best(operation))


def always(response: HttpResponse) -> Callable[[bytes], HttpResponse]:
    return lambda _: response


@each_operation([responds, responds_in_pieces])
async def test_a_whole_response_is_read_however_it_comes(
    book: CaseBook, operation: Operation, how: Behaviour, http: HttpClient
):
    call, response = best_case(book, operation)
    async with FaultyServer(book, how, always(response)).serving() as server:
        outcome = await send(book, call, server.url, http)

    assert outcome == book.gateway.outcome(call, response)
    assert outcome.kind in {"APPROVED", "PENDING"}


@each_operation(
    [
        faulty_server.resets,
        faulty_server.closes,
        faulty_server.truncates,
        faulty_server.sends_half_and_resets,
        faulty_server.floods,
        faulty_server.speaks_no_http,
    ]
)
async def test_a_call_that_was_taken_in_without_a_response_is_unknown_and_sent_once(
    book: CaseBook, operation: Operation, how: Behaviour, http: HttpClient
):
    call, response = best_case(book, operation)
    async with FaultyServer(book, how, always(response)).serving() as server:
        outcome = await send(book, call, server.url, http)

    assert outcome.kind == "UNKNOWN"
    assert len(server.received) == 1


@each_operation([faulty_server.is_silent, faulty_server.drips])
async def test_a_response_that_is_not_whole_in_time_is_unknown(
    book: CaseBook, operation: Operation, how: Behaviour, hasty: HttpClient
):
    call, response = best_case(book, operation)
    async with FaultyServer(book, how, always(response)).serving() as server:
        outcome = await send(book, call, server.url, hasty)

    assert outcome.kind == "UNKNOWN"
    assert len(server.received) <= 1


@each_operation()
async def test_a_connection_that_is_reset_before_it_was_read_from_is_unknown(
    book: CaseBook, operation: Operation, http: HttpClient
):
    """Nobody knows how far the first bytes came."""
    call, response = best_case(book, operation)
    async with FaultyServer(book, faulty_server.resets, always(response), reads=False).serving() as server:
        outcome = await send(book, call, server.url, http)

    assert outcome.kind == "UNKNOWN"


@each_operation()
async def test_a_refused_connection_is_not_sent(book: CaseBook, operation: Operation, http: HttpClient):
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        path = urlsplit(book.credentials.base_url).path
        url = f"http://127.0.0.1:{reserved.getsockname()[1]}{path}"
        outcome = await send(book, best_case(book, operation)[0], url, http)

    assert outcome.kind == "NOT_SENT"


@each_operation()
async def test_a_certificate_that_nobody_vouches_for_is_not_spoken_to(
    book: CaseBook, operation: Operation, http: HttpClient
):
    call, response = best_case(book, operation)
    async with FaultyServer(book, responds, always(response)).serving(tls=True) as server:
        outcome = await send(book, call, server.url, http)

    assert outcome.kind == "NOT_SENT"
    assert server.received == []


@each_operation([None, "7"])
async def test_too_many_calls_are_not_sent(
    book: CaseBook, operation: Operation, how: str | None, http: HttpClient
):
    headers = book.too_many.headers if how is None else {**book.too_many.headers, "retry-after": how}
    async with FaultyServer(
        book, responds, always(replace(book.too_many, headers=headers))
    ).serving() as server:
        outcome = await send(book, book.first(operation), server.url, http)

    assert outcome.kind == "NOT_SENT"
    assert len(server.received) == 1


_ANSWERS = {
    "500": HttpResponse(500, {"content-type": "text/html"}, b"<h1>Internal Server Error</h1>"),
    "502": HttpResponse(502, {"content-type": "text/html"}, b"<h1>Bad Gateway</h1>"),
    "503": HttpResponse(503, {"content-type": "text/plain", "retry-after": "1"}, b"no healthy upstream"),
    "504": HttpResponse(504, {}, b""),
    "garbage": HttpResponse(200, {"content-type": "application/json"}, b'{"id": "pi_1", "stat\xff\xfe'),
    "empty": HttpResponse(200, {}, b""),
    "an_empty_object": HttpResponse(200, {}, b"{}"),
    "html": HttpResponse(200, {"content-type": "text/html"}, b"<html>Maintenance</html>"),
}


@each_operation(_ANSWERS)
async def test_what_is_no_response_is_unknown(
    book: CaseBook, operation: Operation, how: str, http: HttpClient
):
    async with FaultyServer(book, responds, always(_ANSWERS[how])).serving() as server:
        outcome = await send(book, best_case(book, operation)[0], server.url, http)

    assert outcome.kind == "UNKNOWN"


@each_book
async def test_an_error_that_says_200_approves_nothing(book: CaseBook, http: HttpClient):
    for operation in operations(book):
        async with FaultyServer(book, responds, always(book.error_in_200)).serving() as server:
            outcome = await send(book, best_case(book, operation)[0], server.url, http)

        assert result_of(outcome) in book.error_in_200_is, operation


@each_operation(OTHERS, has=lambda book, operation, how: book.unseen.get((operation, how)))
async def test_a_response_about_another_thing_is_unknown(
    book: CaseBook, operation: Operation, how: Other, http: HttpClient
):
    call, response = book.other_response(operation, how)
    async with FaultyServer(book, responds, always(response)).serving() as server:
        outcome = await send(book, call, server.url, http)

    assert outcome.kind == "UNKNOWN"
