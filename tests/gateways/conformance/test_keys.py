"""Through the agent and its claims: a call without a response is repeated with the same bytes while the PSP
keeps its key, and only queried when the key may have expired, or where there is none.
"""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from commands.messages import Outcome
from commands.records import Record
from gateways.agent.handle import GatewayAgent
from gateways.contract import Call, HttpResponse
from infra.postgres.claims import PostgresClaims
from infra.psp.http_client import HttpClient
from infra.settings import DatabaseSettings
from tests.gateways.agent.lookups import Reports, age
from tests.gateways.conformance.book import CaseBook
from tests.gateways.conformance.books import each_book, operations
from tests.gateways.conformance.calls import PAYMENT
from tests.gateways.conformance.cases import Operation, Without
from tests.gateways.conformance.faulty_server import Connection, FaultyServer, responds
from tests.support.environment import Environment

pytestmark = pytest.mark.stack


@dataclass
class Psp:
    """Takes the first call in and sends no response; responds to what comes after it."""

    book: CaseBook
    operation: Operation
    calls: list[bytes] = field(default_factory=list)

    def respond(self, raw: bytes) -> HttpResponse:
        self.calls.append(raw)
        call, response = self.book.case(self.operation, self.book.best(self.operation))
        if raw == self.calls[0]:
            return response
        ways = self.book.looks[self.operation]
        assert not isinstance(ways, Without), "what cannot be looked up was looked up"
        way = ways["by_reference" if call.psp_id is None else "by_id"]
        if isinstance(way, Without):  # by the id of what it acts on
            way = ways["by_reference"]
        assert not isinstance(way, Without)
        return way(call, [call])

    async def behaviour(self, connection: Connection, response: HttpResponse) -> None:
        if len(self.calls) > 1:
            await responds(connection, response)


def repeat(call: Call, account: str) -> Record:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    content = {
        "operation_id": call.reference,
        "account": account,
        "target_operation_id": call.target_reference,
        "expires_at": later,
        "action_until": later,
        "how": "repeat",
    }
    names = ("kind", "step", "amount_minor", "currency", "payment_method", "description", "target_psp_id")
    more = ("target_minor", "final", "multicapture", "psp_id")
    content |= {name: getattr(call, name) for name in (*names, *more)} | {"returned": dict(call.returned)}
    payment_id = str(UUID(PAYMENT))
    headers = {"ce_type": b"operation.follow_up_requested.v1", "ce_id": f"{payment_id}/5".encode()}
    return Record("requests", 0, 5, payment_id.encode(), json.dumps(content).encode(), headers, 0)


@pytest.fixture
async def claims(database: Environment) -> AsyncIterator[PostgresClaims]:
    async with PostgresClaims.open(database.settings(DatabaseSettings, "gateway"), "test") as opened:
        yield opened


async def twice(
    book: CaseBook, operation: Operation, claims: PostgresClaims, database: Environment, after_s: float
) -> tuple[Psp, Outcome, Outcome]:
    """The call that got no response, and the same requested so much later."""
    psp, reports = Psp(book, operation), Reports()
    record = repeat(book.call(operation), book.name)
    async with (
        HttpClient.open(10) as http,
        FaultyServer(book, psp.behaviour, psp.respond).serving() as server,
    ):
        agent = GatewayAgent(
            book.gateway,
            claims=claims,
            http=http,
            outcomes=reports,
            letters=reports,
            samples=reports,
            circuits=reports,
            credentials_of=lambda _: replace(book.credentials, base_url=server.url),
            return_url_of=lambda operation_id, until: f"https://shop.example/{operation_id}",
        )
        await agent.handle(record)
        age(database, after_s)
        await agent.handle(record)
    first, second = (report.outcome for report in reports.outcomes)
    return psp, first, second


@each_book
async def test_a_repeat_within_the_keys_life_is_the_same_call(
    book: CaseBook, claims: PostgresClaims, database: Environment
):
    for operation in operations(book):
        if book.gateway.key_life_s(book.call(operation), book.credentials) == 0:
            continue
        if operation.endswith("_part"):
            continue  # the same reference as the full one, whose claim is closed
        psp, first, second = await twice(book, operation, claims, database, after_s=60)

        assert first.kind == "UNKNOWN"
        assert psp.calls == [psp.calls[0]] * 2, operation
        assert second == book.gateway.outcome(*book.case(operation, book.best(operation))), operation


@each_book
async def test_when_the_key_may_have_expired_nothing_is_sent_again(
    book: CaseBook, claims: PostgresClaims, database: Environment
):
    for operation in operations(book):
        if operation.endswith("_part"):
            continue
        life_s = book.gateway.key_life_s(book.call(operation), book.credentials)
        psp, first, second = await twice(book, operation, claims, database, after_s=life_s + 60)

        assert first.kind == "UNKNOWN"
        assert psp.calls.count(psp.calls[0]) == 1, operation
        assert second.kind == ("APPROVED" if book.gateway.facts.looks_up else "UNKNOWN"), (operation, second)
