"""PayPal's webhooks are taken as PayPal itself shows them, on a real Kafka and PostgreSQL."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import psycopg
import pytest
import structlog
from aiohttp import web

from commands.messages import RecordDispute, RecordOutcome
from commands.notices import Notice
from commands.parsing import parse_outcome
from gateways.agent import metrics
from gateways.agent.metrics import UNLISTED
from gateways.contract import Credentials, Webhook
from gateways.paypal import webhooks as paypal
from gateways.paypal.adapter import PayPal
from infra.api import webhooks
from infra.kafka import topics
from infra.kafka.producers import producing
from infra.postgres.connections import connect_async
from infra.process import clock
from infra.psp.http_client import HttpClient
from infra.psp.webhook_confirmation import CONFIRMED, Confirming
from infra.settings import ApiSettings, InboxSettings
from relay.inbox import TRIED_FOR_S, UNMATCHED, Inbox
from tests.relay.history import records_of
from tests.support.builders import create_payment, operation_of
from tests.support.decider_harness import DeciderHarness
from tests.support.environment import Environment
from tests.support.listening import listening

pytestmark = pytest.mark.stack

ACCOUNT = "sim-eu"


@dataclass
class Shown:
    """PayPal's list of events, over HTTP. An address that is not in its documents is not there."""

    events: dict[str, Any] = field(default_factory=dict)
    queried: list[str] = field(default_factory=list)
    away: bool = False
    url: str = ""

    async def sign_in(self, request: web.Request) -> web.Response:
        return web.json_response({"access_token": "A21AA", "expires_in": 32400})

    async def event(self, request: web.Request) -> web.Response:
        assert request.headers["Authorization"] == "Bearer A21AA"
        self.queried.append(request.match_info["id"])
        if self.away:
            return web.json_response({"name": "INTERNAL_SERVER_ERROR"}, status=500)
        found = self.events.get(request.match_info["id"])
        return web.json_response(found or {"name": "INVALID_RESOURCE_ID"}, status=200 if found else 404)


@pytest.fixture
async def shown() -> AsyncIterator[Shown]:
    shown, app = Shown(), web.Application()
    app.router.add_post("/v1/oauth2/token", shown.sign_in)
    app.router.add_get("/v1/notifications/webhooks-events/{id}", shown.event)
    async with listening(app) as shown.url:
        yield shown


@pytest.fixture
def operation(environment: Environment) -> str:
    """Under way at that account, as far as the inbox looks."""
    with environment.connect("command") as connection:
        harness, command = DeciderHarness(connection), create_payment()
        harness.run(harness.record(command))
        started = operation_of(harness.payment(command.payment_id))
    with environment.connect("admin") as connection:
        connection.execute(
            "UPDATE payment_events SET state = convert_to(replace(convert_from(state, 'UTF8'), '\"stripe\"', '\"paypal\"'), 'UTF8')"
        )
    return started


@asynccontextmanager
async def _inbox(environment: Environment, shown: Shown, tmp_path: Path) -> AsyncIterator[Inbox]:
    settings = environment.settings(InboxSettings, "inbox", accounts_file=tmp_path / "accounts.toml")
    known = Credentials(shown.url, "secret", {"client_id": "us", "webhook_id": "WH"})
    async with (
        await connect_async(settings, "inbox") as connection,
        producing(settings, "inbox") as broker,
        HttpClient.open(10) as http,
    ):
        confirming = Confirming(PayPal(), http, lambda account: known if account == ACCOUNT else None)
        yield Inbox(
            connection,
            broker,
            environment.prefix + topics.OUTCOMES,
            structlog.get_logger(),
            count=metrics.notified,
            now=clock.now,
            confirmed_gateways=[confirming.gateway],
            confirmation=confirming,
        )


@pytest.fixture
async def inbox(environment: Environment, shown: Shown, tmp_path: Path) -> AsyncIterator[Inbox]:
    async with _inbox(environment, shown, tmp_path) as made:
        yield made


def _dispute(operation: str, value: str, status: str = "OPEN") -> dict[str, Any]:
    resource = {
        "dispute_id": "PP-D-27803",
        "status": status,
        "reason": "MERCHANDISE_OR_SERVICE_NOT_RECEIVED",
        "dispute_amount": {"currency_code": "EUR", "value": value},
        "seller_response_due_date": "2026-12-20T00:00:00Z",
        "disputed_transactions": [{"custom": operation}],
    }
    return {"id": "WH-1", "event_type": "CUSTOMER.DISPUTE.CREATED", "resource": resource}


async def _tell(environment: Environment, event: Any, account: str = ACCOUNT) -> None:
    """As the API stores what was delivered, in its role."""
    notices = paypal._notices(event)
    assert isinstance(notices, tuple)
    async with await connect_async(environment.settings(ApiSettings, "api"), "test") as connection:
        await webhooks._store(connection, "paypal", account, Webhook({}, orjson.dumps(event)), notices)


async def _reports(environment: Environment) -> list[Any]:
    return [parse_outcome(record.value) for record in await records_of(environment, topics.OUTCOMES)]


def _row(owner: psycopg.Connection) -> Any:
    return owner.execute("SELECT state, reason, tries FROM webhooks_in").fetchone()


async def test_a_dispute_is_taken_as_paypal_shows_it_and_not_as_it_was_delivered(
    environment, owner, shown, inbox, operation
):
    before = CONFIRMED.labels("paypal", ACCOUNT, "differs")._value.get()
    shown.events["WH-1"] = _dispute(operation, "4.00")
    await _tell(environment, _dispute(operation, "9.00"))

    await inbox.run_once()

    (report,) = await _reports(environment)
    assert isinstance(report, RecordDispute)
    assert (report.operation_id, report.dispute.amount_minor) == (operation, 400)
    assert _row(owner) == ("done", None, 0)
    assert CONFIRMED.labels("paypal", ACCOUNT, "differs")._value.get() == before + 1


async def test_what_is_new_in_an_event_is_counted_as_paypal_shows_it(environment, shown, inbox, operation):
    codes = ("AS_DELIVERED", "AS_SHOWN")
    before = [UNLISTED.labels("paypal", code)._value.get() for code in codes]
    delivered, at_paypal = (_dispute(operation, "9.00", "RESOLVED") for _ in codes)
    for code, event in zip(codes, (delivered, at_paypal), strict=True):
        event["resource"]["dispute_outcome"] = {"outcome_code": code}
    shown.events["WH-1"] = at_paypal
    await _tell(environment, delivered)

    await inbox.run_once()

    assert [UNLISTED.labels("paypal", code)._value.get() for code in codes] == [before[0], before[1] + 1]


async def test_what_paypal_does_not_show_changes_nothing_and_ends_with_an_operator(
    environment, owner, shown, inbox, operation
):
    before = UNMATCHED.labels(ACCOUNT, "not_confirmed")._value.get()
    await _tell(environment, _dispute(operation, "9.00"))

    await inbox.run_once()
    assert _row(owner) == ("waiting", "not_confirmed", 1)

    owner.execute(
        "UPDATE webhooks_in SET next_try_at = now(), received_at = now() - %s * interval '1 second'",
        (TRIED_FOR_S + 1,),
    )
    await inbox.run_once()

    assert _row(owner) == ("unmatched", "not_confirmed", 1)
    assert await _reports(environment) == []
    assert UNMATCHED.labels(ACCOUNT, "not_confirmed")._value.get() == before + 1


async def test_while_paypal_is_away_it_waits(environment, owner, shown, inbox, operation):
    shown.events["WH-1"] = _dispute(operation, "4.00")
    shown.away = True
    await _tell(environment, _dispute(operation, "4.00"))

    await inbox.run_once()
    assert (_row(owner)[0], await _reports(environment)) == ("waiting", [])

    shown.away = False
    owner.execute("UPDATE webhooks_in SET next_try_at = now()")
    await inbox.run_once()

    assert _row(owner)[0] == "done"
    assert len(await _reports(environment)) == 1


async def test_an_outcome_that_would_end_an_operation_is_confirmed_too(environment, shown, inbox, operation):
    capture = {
        "id": "2GG279541U471931P",
        "status": "DECLINED",
        "custom_id": operation,
        "amount": {"currency_code": "EUR", "value": "10.99"},
    }
    event = {"id": "WH-2", "event_type": "PAYMENT.CAPTURE.DECLINED", "resource": capture}
    shown.events["WH-2"] = event | {"resource": capture | {"status": "COMPLETED"}}
    await _tell(environment, event)

    await inbox.run_once()

    (report,) = await _reports(environment)
    assert isinstance(report, RecordOutcome)
    assert report.outcome.kind == "APPROVED"


async def test_updates_that_only_lead_to_a_query_are_not_queried_twice(environment, shown, inbox, operation):
    order = {"id": "5O190127TN364715T", "purchase_units": [{"custom_id": operation}]}
    await _tell(environment, {"id": "WH-3", "event_type": "CHECKOUT.ORDER.APPROVED", "resource": order})

    await inbox.run_once()

    assert shown.queried == []
    assert [report.outcome.kind for report in await _reports(environment)] == ["UNKNOWN"]


async def test_other_psps_webhooks_do_not_wait_behind_paypals(environment, owner, shown, inbox, operation):
    notice = Notice("evt_1", "charge.dispute.created", reference=operation)
    async with await connect_async(environment.settings(ApiSettings, "api"), "test") as connection:
        await webhooks._store(connection, "stripe", ACCOUNT, Webhook({}, b"1"), (notice,))

    assert await inbox.run_once() == 0


async def test_webhooks_of_an_account_that_was_removed_wait_for_it(
    environment, owner, shown, inbox, operation
):
    event = _dispute(operation, "4.00")
    shown.events["WH-1"] = event
    await _tell(environment, event, account="removed")

    await inbox.run_once()

    assert _row(owner) == ("waiting", "not_confirmed", 1)
    assert shown.queried == []
