"""Stored webhooks, the inbox that matches them, and the reports that it wrote."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import structlog

from commands.messages import AnyReport, Dispute, Outcome
from commands.notices import Notice
from commands.parsing import parse_outcome
from gateways.agent import metrics
from gateways.contract import Webhook
from infra.api import webhooks
from infra.kafka import topics
from infra.kafka.producers import producing
from infra.postgres.connections import connect_async
from infra.process import clock
from infra.settings import ApiSettings, InboxSettings
from infra.workers.inbox import CONFIRMING
from relay.inbox import Inbox
from tests.relay.history import records_of
from tests.support.builders import create_payment, operation_of
from tests.support.decider_harness import DeciderHarness
from tests.support.environment import Environment

APPROVED = Outcome(kind="APPROVED", psp_id="pi_1", amount_minor=1099, currency="EUR")
DISPUTE = Dispute(
    dispute_id="du_1",
    state="opened",
    amount_minor=1099,
    currency="EUR",
    reason="fraudulent",
    respond_by=datetime(2026, 12, 9, tzinfo=UTC),
)


@asynccontextmanager
async def serve_inbox(environment: Environment) -> AsyncIterator[Inbox]:
    settings = environment.settings(InboxSettings, "inbox", accounts_file="not read here")
    async with (
        await connect_async(settings, "inbox") as connection,
        producing(settings, "inbox") as broker,
    ):
        yield Inbox(
            connection,
            broker,
            environment.prefix + topics.OUTCOMES,
            structlog.get_logger(),
            count=metrics.notified,
            now=clock.now,
            confirmed_gateways=CONFIRMING,
        )


async def store(
    environment: Environment, *notices: Notice, account: str = "sim-eu", gateway: str = "stripe"
) -> None:
    """As the API stores them, in its role."""
    async with await connect_async(environment.settings(ApiSettings, "api"), "test") as connection:
        await webhooks._store(connection, gateway, account, Webhook({}, repr(notices).encode()), notices)


def make_notice(reference: str | None = None, event_id: str = "evt_1", **more: Any) -> Notice:
    fields: dict[str, Any] = {"outcome": APPROVED} | more
    return Notice(event_id, "payment_intent.succeeded", reference=reference, **fields)


def start_payment(harness: DeciderHarness, key: str = "order-1") -> tuple[UUID, str]:
    """A payment whose first operation is under way at sim-eu."""
    command = create_payment(idempotency_key=key)
    harness.run(harness.record(command))
    return command.payment_id, operation_of(harness.payment(command.payment_id))


def stored(owner: psycopg.Connection) -> list[tuple[str, str | None, UUID | None]]:
    return owner.execute("SELECT state, reason, payment_id FROM webhooks_in ORDER BY id").fetchall()


def make_due(owner: psycopg.Connection) -> None:
    owner.execute("UPDATE webhooks_in SET next_try_at = clock_timestamp() WHERE state = 'waiting'")


async def reports(environment: Environment) -> list[AnyReport]:
    return [parse_outcome(record.value) for record in await records_of(environment, topics.OUTCOMES)]
