"""Planted secrets: in every call's headers, and nowhere else; not even where the PSP quotes what it was
sent."""

import base64
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import structlog

from gateways.contract import HttpResponse, StoredCredential
from infra.psp.http_client import HttpClient
from tests.gateways.conformance import faulty_server
from tests.gateways.conformance.book import CaseBook
from tests.gateways.conformance.books import each_judged, each_operation
from tests.gateways.conformance.cases import PLANTED, Operation
from tests.gateways.conformance.faulty_server import Behaviour, FaultyServer, responds, send
from tests.gateways.conformance.oracle import Oracle, each_change

CARD = "4111 1111 1111 1111"
TOKEN, CUSTOMER = "token_of_a_card", "token_of_a_customer"


@pytest.fixture
async def http() -> AsyncIterator[HttpClient]:
    async with HttpClient.open(10, deadline_s=5) as client:
        yield client


def secrets(raw: bytes) -> list[str]:
    """What in a call's headers only the PSP may know: what was planted, plain or encoded."""
    head = raw.partition(b"\r\n\r\n")[0].decode()
    words = [word for line in head.split("\r\n")[1:] for word in line.partition(": ")[2].split(" ")]
    return [word for word in words if PLANTED in word or PLANTED.encode() in _decoded(word)]


def _decoded(word: str) -> bytes:
    try:
        return base64.b64decode(word, validate=True)
    except ValueError:
        return b""


@each_operation()
async def test_a_call_carries_its_secret_in_a_header_and_nowhere_else(
    book: CaseBook, operation: Operation, http: HttpClient
):
    call, response = book.case(operation, book.best(operation))
    async with FaultyServer(book, responds, lambda _: response).serving() as server:
        await send(book, call, server.url, http)

    (raw,) = server.received
    head, _, body = raw.partition(b"\r\n\r\n")
    assert secrets(raw)
    for secret in (PLANTED, *secrets(raw)):
        assert secret.encode() not in head.split(b"\r\n")[0]
        assert secret.encode() not in body


@each_operation([responds, faulty_server.truncates, faulty_server.closes])
async def test_what_a_psp_quotes_of_a_secret_or_a_card_is_neither_reported_nor_logged(
    book: CaseBook, operation: Operation, how: Behaviour, http: HttpClient, caplog: pytest.LogCaptureFixture
):
    stored = StoredCredential("reuse", "customer", CUSTOMER)
    call = replace(book.first(operation), payment_method=TOKEN, stored_credential=stored)

    def quoting(raw: bytes) -> HttpResponse:
        head = raw.partition(b"\r\n\r\n")[0].decode().split("\r\n")
        quoted = [line for line in head if any(secret in line for secret in secrets(raw))]
        bare = f"{book.credentials.secret} {TOKEN} {CUSTOMER} {CARD}"
        return book.error_saying(f"not taken: {bare} {' '.join(quoted)}")

    with caplog.at_level(logging.DEBUG), structlog.testing.capture_logs() as logged:
        async with FaultyServer(book, how, quoting).serving() as server:
            outcome = await send(book, call, server.url, http)

    shown = outcome.model_dump_json() + repr(outcome) + caplog.text + repr(logged)
    for secret in (PLANTED, TOKEN, CUSTOMER, CARD, *secrets(server.received[0])):
        assert secret not in shown, secret


@each_judged
def test_a_secret_in_any_place_of_a_response_reaches_no_outcome(book: CaseBook, oracle: Oracle):
    planted = f"Bearer {PLANTED}-token sk_{PLANTED}"
    for call, shown in oracle.responses:
        for body in (changed for response in shown for changed in each_change(response.body, [planted])):
            for status in (200, 201, 400, 401, 422, 500):
                response = HttpResponse(status, {}, body)
                assert PLANTED not in repr(book.gateway.outcome(call, response))
                assert PLANTED not in repr(book.gateway.found(call, response))
