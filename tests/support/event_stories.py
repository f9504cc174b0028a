"""Payments that happened, as the event store and the topic have them."""

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import orjson
import psycopg
from eventsourcing.persistence import StoredEvent

from aggregates import attempts, outcomes, timers
from aggregates.hooks import Verdict
from aggregates.operation import OperationState
from aggregates.payment import Payment
from commands.ids import payment_id
from commands.records import Record
from commands.stored_events import EventMapper
from infra.postgres import connections
from infra.settings import ReadModelSettings
from projections import events
from projections.events import Event
from tests.support import builders
from tests.support.environment import Environment


def captured(**fields: Any) -> list[StoredEvent]:
    """requested, started, approved."""
    payment = requested(**fields)
    report = builders.report(
        builders.operation_of(payment), amount_minor=payment.amount.minor, currency=payment.amount.currency
    )
    outcomes.take(
        payment, report, builders.ROUTE, builders.cause(builders.NOW + timedelta(seconds=1), uuid4())
    )
    return stored(payment)


def doubtful() -> list[StoredEvent]:
    """requested, started, unknown, queried, approved."""
    payment = in_doubt()
    later = builders.NOW + timedelta(minutes=1)
    timers.wake(payment, builders.ROUTE, builders.cause(later, uuid4()))
    report = builders.report(builders.operation_of(payment))
    outcomes.take(payment, report, builders.ROUTE, builders.cause(later, uuid4()))
    return stored(payment)


def in_doubt(**fields: Any) -> Payment:
    """requested, started, unknown; since NOW."""
    payment = requested(**fields)
    unknown = builders.report(
        builders.operation_of(payment),
        OperationState.UNKNOWN,
        psp_id=None,
        amount_minor=None,
        currency=None,
        code="answer_lost",
    )
    outcomes.take(payment, unknown, builders.ROUTE, builders.cause(command_id=uuid4()))
    return payment


def charged_twice() -> Payment:
    """An attempt that was proven absent had charged as well; the PSP confirms both, and one is given back."""
    payment = requested()
    first = builders.operation_of(payment)
    absent = builders.report(first, OperationState.PROVEN_ABSENT, source="query")
    outcomes.take(payment, absent, builders.TWO_ACCOUNTS, builders.cause(command_id=uuid4()))
    second = builders.operation_of(payment)
    reported = ((second, "call"), (first, "webhook"), (first, "query"), (second, "query"))
    for later_s, (name, source) in enumerate(reported, start=2):
        observed_at = builders.NOW + timedelta(seconds=later_s)
        reported = builders.report(name, source=source, psp_id=f"pi_{name[-1]}", observed_at=observed_at)
        outcomes.take(payment, reported, builders.TWO_ACCOUNTS, builders.cause(command_id=uuid4()))
    return payment


def requested(*verdicts: Verdict, **fields: Any) -> Payment:
    content = builders.payment_request(**{"idempotency_key": str(uuid4())} | fields)
    id_ = payment_id(content.merchant_id, content.idempotency_key)
    return attempts.request(id_, content, builders.ROUTE, builders.cause(fingerprint="f" * 64), verdicts)


def stored(payment: Payment) -> list[StoredEvent]:
    """Those that were not collected before."""
    return [EventMapper().to_stored_event(event) for event in payment.collect_events()]


def event_of(one: StoredEvent) -> Event:
    return events.from_store(str(one.originator_id), one.originator_version, one.topic, one.state)


def record_of(one: StoredEvent, **other: Any) -> Record:
    """As the relay publishes it."""
    headers = {
        "ce_id": f"{one.originator_id}/{one.originator_version}".encode(),
        "ce_type": one.topic.encode(),
    }
    fields: dict[str, Any] = {
        "topic": "payments.events",
        "partition": 0,
        "offset": 7,
        "key": str(one.originator_id).encode(),
        "value": one.state,
        "headers": headers,
        "timestamp_ms": 0,
    }
    return Record(**fields | other)


def without(one: StoredEvent, name: str) -> bytes:
    state = orjson.loads(one.state)
    del state[name]
    return orjson.dumps(state)


def put_into_store(environment: Environment, stories: Iterable[StoredEvent]) -> None:
    with psycopg.connect(environment.dsn(), options=f"-c search_path={environment.schema}") as conn:
        conn.cursor().executemany(
            "INSERT INTO payment_events (originator_id, originator_version, topic, state, generation) "
            "VALUES (%s, %s, %s, %s, 1)",
            [(e.originator_id, e.originator_version, e.topic, e.state) for e in stories],
        )


@asynccontextmanager
async def read_models_connection(environment: Environment) -> AsyncIterator[psycopg.AsyncConnection]:
    settings = environment.settings(ReadModelSettings, "read_models")
    async with await connections.connect_async(settings, "test") as conn:
        yield conn


def read_model(environment: Environment, payment_id: UUID | str) -> dict[str, Any] | None:
    """The payment's row with its operations, as the audit sees it."""
    with psycopg.connect(
        environment.dsn(),
        options=f"-c search_path={environment.schema}_read",
        row_factory=psycopg.rows.dict_row,
    ) as conn:
        payment = conn.execute("SELECT * FROM payments WHERE payment_id = %s", [payment_id]).fetchone()
        operations = conn.execute(
            "SELECT * FROM operations WHERE payment_id = %s ORDER BY ordinal", [payment_id]
        ).fetchall()
    return payment and payment | {"operations": operations}
