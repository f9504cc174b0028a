"""All that is known of one payment, for a person: its stream replayed, its events, its claims, what waits for it."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import orjson
import psycopg
from eventsourcing.persistence import StoredEvent
from psycopg.rows import dict_row

from aggregates.operation import Operation
from aggregates.payment import Payment
from commands.batch import UNDECIDABLE
from infra.event_store import EventMapper

_EVENTS: Final = (
    "SELECT originator_id, originator_version, topic, state FROM payment_events"
    " WHERE originator_id = %s ORDER BY originator_version"
)
_CLAIMS: Final = (
    "SELECT operation_id, step, state, tries, first_try_at, last_try_at, result FROM gateway_sends"
    " WHERE operation_id LIKE %s ORDER BY operation_id, step"
)
_TIMER: Final = (
    "SELECT wake_at, leased_until, leases, stuck_since, suspended FROM payment_timers WHERE payment_id = %s"
)
_PARKED: Final = "SELECT reason, since FROM parked_streams WHERE payment_id = %s"
_SHOWN: Final = "SELECT version, status, stale_since, action_url FROM payments WHERE payment_id = %s"
# Of every event; they say little to a reader of a history.
_OF_EVERY_EVENT: Final = frozenset(
    {"command_id", "fingerprint", "correlation_id", "traceparent", "timestamp", "operation_id"}
)


def history(connection: psycopg.Connection, payment_id: UUID) -> dict[str, Any] | None:
    """None: there is no such payment."""
    stored = [StoredEvent(*row) for row in connection.execute(_EVENTS, (payment_id,))]
    parked = _row(connection, _PARKED, payment_id)
    if not stored and parked is None:
        return None
    claims = connection.cursor(row_factory=dict_row).execute(_CLAIMS, (f"{payment_id.hex}-%",)).fetchall()
    return {
        "payment_id": str(payment_id),
        **_state(stored),
        "parked": parked,
        "timer": _row(connection, _TIMER, payment_id),
        "read_model": _row(connection, _SHOWN, payment_id),
        "claims": claims,
        "events": [_event(event) for event in stored],
    }


def _row(connection: psycopg.Connection, query: str, payment_id: UUID) -> dict[str, Any] | None:
    return connection.cursor(row_factory=dict_row).execute(query, (payment_id,)).fetchone()


def _state(stored: Sequence[StoredEvent]) -> dict[str, Any]:
    payment: Payment | None = None
    try:
        for event in stored:
            payment = EventMapper().to_domain_event(event).mutate(payment)  # type: ignore[attr-defined]
    except UNDECIDABLE as error:
        return {
            "status": "UNREADABLE",
            "why": f"{type(error).__name__} at version {event.originator_version}",
        }
    if payment is None:
        return {"status": "NOT_DECIDED"}
    first, total = orjson.loads(stored[0].state), payment.sums
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
        "reason": payment.reason,
        "correlation_id": payment.correlation_id,
        "operations": [_operation(operation) for operation in payment.operations.values()],
    }


def _operation(operation: Operation) -> dict[str, Any]:
    return {
        "operation_id": operation.id,
        "kind": operation.kind,
        "state": operation.state.value,
        "open": operation.open,
        "gateway": operation.psp.gateway,
        "account": operation.psp.account,
        "psp_id": operation.psp_id,
        "target": operation.target,
        "amount": str(operation.amount),
        "amount_minor": operation.amount.minor,
        "approved_minor": operation.approved_minor,
        "extra": operation.extra,
        "asked": operation.asked,
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
