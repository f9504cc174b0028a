"""All that is known of one payment, for an operator: its replayed state, its events, its claims, its
timer."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
import psycopg
from eventsourcing.persistence import StoredEvent
from psycopg.rows import dict_row

from aggregates.dispute import Dispute
from aggregates.events import AccountAwaited, RetryScheduled
from aggregates.money import Money
from aggregates.operation import Operation, OperationState
from aggregates.payment import Payment
from commands.decider import UNDECIDABLE
from commands.sql import statements
from commands.stored_events import EventMapper

_SQL: Final = statements(__file__)
_EVENTS: Final = _SQL["events"]
_CLAIMS: Final = _SQL["claims"]
_TIMER: Final = _SQL["timer"]
_PARKED: Final = _SQL["parked"]
_SHOWN: Final = _SQL["read_model"]
# Fields of every event that tell a reader of a history little.
_OF_EVERY_EVENT: Final = frozenset(
    {"command_id", "fingerprint", "correlation_id", "traceparent", "timestamp", "operation_id"}
)


def history(connection: psycopg.Connection, payment_id: UUID) -> dict[str, Any] | None:
    """Returns the payment as one JSON-like object; amounts in minor units. None: there is no such payment."""
    stored = [StoredEvent(*row) for row in connection.execute(_EVENTS, (payment_id,))]
    parked = _row(connection, _PARKED, payment_id)
    if not stored and parked is None:
        return None
    events = [_event(event) for event in stored]
    named = sorted({event["operation_id"] for event in events if event["operation_id"] is not None})
    claims = connection.cursor(row_factory=dict_row).execute(_CLAIMS, (named,)).fetchall()
    return {
        "payment_id": str(payment_id),
        **_state(stored, events),
        "parked": parked,
        "timer": _row(connection, _TIMER, payment_id),
        "read_model": _row(connection, _SHOWN, payment_id),
        "claims": claims,
        "events": events,
    }


def _row(connection: psycopg.Connection, query: str, payment_id: UUID) -> dict[str, Any] | None:
    return connection.cursor(row_factory=dict_row).execute(query, (payment_id,)).fetchone()


def _state(stored: Sequence[StoredEvent], events: Sequence[dict[str, Any]]) -> dict[str, Any]:
    payment: Payment | None = None
    try:
        for event in stored:
            payment = EventMapper().to_domain_event(event).mutate(payment)  # type: ignore[attr-defined]
    except UNDECIDABLE as error:
        return {
            "status": "UNREADABLE",
            "reason": f"{type(error).__name__} at version {event.originator_version}",
        }
    if payment is None:
        return {"status": "NOT_DECIDED"}
    first, total = orjson.loads(stored[0].state), payment.totals
    return {
        "status": payment.status.value,
        "version": payment.version,
        "merchant_id": payment.merchant_id,
        "customer_id": first["customer_id"],
        "idempotency_key": payment.idempotency_key,
        "amount": str(payment.amount),
        "amount_minor": payment.amount.minor,
        "currency": payment.amount.currency,
        "capture": payment.capture,
        "authorized_minor": total.authorized,
        "captured_minor": total.captured,
        "released_minor": total.released,
        "refunded_minor": total.refunded,
        "disputed_minor": total.disputed,
        "capturable_minor": total.capturable,
        "refundable_minor": total.refundable,
        "frozen": payment.frozen,
        "frozen_by": sorted(payment.frozen_by),
        "second_ids": {name: ids for name in payment.operations if (ids := payment.second_ids(name))},
        "dispute_contradicts": payment.dispute_contradicts,
        "disputes": [_dispute(name, dispute) for name, dispute in payment.disputes.items()],
        "reason": payment.reason,
        "detail": payment.detail,
        "waits": _waits(payment, events),
        "correlation_id": payment.correlation_id,
        "expected_fees": [str(Money(minor, currency)) for currency, minor in payment.fee_totals.items()],
        "operations": [
            _operation(operation, payment.expected_fees.get(operation.id))
            for operation in payment.operations.values()
        ],
    }


def _waits(payment: Payment, events: Sequence[dict[str, Any]]) -> list[dict[str, str]]:
    """Returns until when the payment waits for a PSP account or a retry, and why, as its newest such events
    say; empty where it waits for neither."""
    found: dict[str, dict[str, str]] = {}
    for event in events:
        name, data = event["operation_id"], event["data"]
        if event["type"] == AccountAwaited.TOPIC:
            waits = not payment.frozen and payment.awaits_account is not None
        elif event["type"] == RetryScheduled.TOPIC:
            waits = not payment.frozen and name in payment.retries
        else:
            waits = "retry_at" in data and payment.operations[name].state is OperationState.UNREACHED
        if waits:
            found[name or ""] = {"until": data["retry_at"], "reason": data["reason"]}
    return list(found.values())


def _dispute(name: str, dispute: Dispute) -> dict[str, Any]:
    return {
        "dispute_id": name,
        "operation_id": dispute.operation_id,
        "state": dispute.state,
        "amount_minor": dispute.amount_minor,
        "currency": dispute.currency,
        "reason": dispute.reason,
        "respond_by": dispute.respond_by,
        "reported_at": dispute.at.isoformat(),
        "who": dispute.who,
    }


def _operation(operation: Operation, fee: Money | None) -> dict[str, Any]:
    return {
        "operation_id": operation.id,
        "kind": operation.kind,
        "state": operation.state.value,
        "open": operation.open,
        "gateway": operation.psp.gateway,
        "account": operation.psp.account,
        "psp_id": operation.psp_id,
        "code": operation.code,
        "detail": operation.detail,
        "target": operation.target,
        "amount": str(operation.amount),
        "amount_minor": operation.amount.minor,
        "approved_minor": operation.approved_minor,
        "expected_fee": None if fee is None else str(fee),
        "expected_fee_minor": None if fee is None else fee.minor,
        "expected_fee_currency": None if fee is None else fee.currency,
        "duplicate_charge": operation.duplicate_charge,
        "queries": operation.queries,
        "in_doubt_since": operation.unknown_since,
    }


def _event(event: StoredEvent) -> dict[str, Any]:
    body = orjson.loads(event.state)
    return {
        "version": event.originator_version,
        "type": event.topic,
        "at": datetime.fromisoformat(body["timestamp"]),
        "command_id": body["command_id"],
        "operation_id": body.get("operation_id"),
        "data": {name: value for name, value in body.items() if name not in _OF_EVERY_EVENT},
    }
