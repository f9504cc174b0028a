"""What PostgreSQL says: streams, refusals, parked payments and the read models, each in the order of payment ids."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final
from uuid import UUID

import psycopg
from eventsourcing.persistence import StoredEvent
from psycopg import sql

from aggregates.events import Contradicted, DisputeChanged, OutcomeReported, Requested
from aggregates.payment import Payment
from commands.batch import UNDECIDABLE
from infra.audit.facts import Parked, Recorded, Refusals, Shown
from infra.audit.views import COLUMNS, OPERATION_COLUMNS
from infra.event_store import EventMapper

_EVENTS: Final = sql.SQL(
    "SELECT originator_id, originator_version, topic, state FROM payment_events"
    " ORDER BY originator_id, originator_version"
)
_REFUSALS: Final = sql.SQL(
    "SELECT payment_id, array_agg(command_id) FROM command_refusals GROUP BY payment_id ORDER BY payment_id"
)
_PARKED: Final = sql.SQL("""
    SELECT s.payment_id, s.reason, array_remove(array_agg(r.topic || '/' || r.partition || '/' || r.record_offset), NULL)
    FROM parked_streams s LEFT JOIN parked_records r USING (payment_id)
    GROUP BY s.payment_id, s.reason ORDER BY s.payment_id
""")
# An operation whose payment has no row is shown under version 0.
_SHOWN: Final = sql.SQL("""
    SELECT payment_id, coalesce(p.version, 0), p.stale_since IS NOT NULL, o.operations, {columns}
    FROM payments p
    FULL JOIN (
        SELECT payment_id, jsonb_object_agg(operation_id, jsonb_build_array({of_operations})) AS operations
        FROM operations GROUP BY payment_id
    ) o USING (payment_id)
    ORDER BY payment_id
""").format(
    columns=sql.SQL(", ").join(sql.Identifier("p", name) for name in COLUMNS),
    of_operations=sql.SQL(", ").join(map(sql.Identifier, OPERATION_COLUMNS)),
)


def _rows(
    connection: psycopg.Connection, name: str, query: sql.SQL | sql.Composed
) -> Iterator[tuple[Any, ...]]:
    with connection.cursor(name, binary=True) as cursor:
        cursor.itersize = 5000
        cursor.execute(query)
        yield from cursor


def streams(connection: psycopg.Connection) -> Iterator[tuple[UUID, Recorded]]:
    mapper = EventMapper()
    for payment_id, rows in groupby(_rows(connection, "audit_events", _EVENTS), key=lambda row: row[0]):
        yield payment_id, _replayed(mapper, [StoredEvent(*row) for row in rows])


def _replayed(mapper: EventMapper, stored: list[StoredEvent]) -> Recorded:
    payment: Payment | None = None
    version = stored[-1].originator_version
    customer_id: str | None = None
    contradictions: dict[str, str] = {}
    codes: dict[str, str] = {}
    try:
        for row in stored:
            event = mapper.to_domain_event(row)
            payment = event.mutate(payment)  # type: ignore[attr-defined]
            assert payment is not None, "an event of a payment gives a payment"
            match event:
                case Requested():
                    customer_id = event.customer_id
                case Contradicted():
                    contradictions[event.operation_id] = event.why
                case DisputeChanged() if event.contradicts is not None:
                    contradictions[event.operation_id] = event.contradicts
                case OutcomeReported() if event.code is not None:
                    codes[event.operation_id] = event.code
    except UNDECIDABLE as error:
        text = f"{type(error).__name__} at version {row.originator_version}, {row.topic}"
        return Recorded(version, broken=text)
    assert payment is not None, "a stream has an event"
    if payment.version != len(stored):
        return Recorded(version, broken=f"it has {len(stored)} events and ends at version {version}")
    return Recorded(version, payment, None, customer_id, contradictions, codes)


def refusals(connection: psycopg.Connection) -> Iterator[tuple[UUID, Refusals]]:
    for payment_id, command_ids in _rows(connection, "audit_refusals", _REFUSALS):
        yield payment_id, Refusals(frozenset(command_ids))


def parked(connection: psycopg.Connection) -> Iterator[tuple[UUID, Parked]]:
    for payment_id, reason, places in _rows(connection, "audit_parked", _PARKED):
        yield payment_id, Parked(reason, frozenset(places))


def shown(connection: psycopg.Connection) -> Iterator[tuple[UUID, Shown]]:
    for payment_id, version, stale, operations, *columns in _rows(connection, "audit_shown", _SHOWN):
        of_operations = {
            name: dict(zip(OPERATION_COLUMNS, values, strict=True))
            for name, values in (operations or {}).items()
        }
        yield payment_id, Shown(version, stale, dict(zip(COLUMNS, columns, strict=True)), of_operations)


def in_flight(connection: psycopg.Connection, ahead_s: float) -> int:
    """Payments that something will still happen to within `ahead_s`, or whose read model is behind."""
    timers = connection.execute(_TIMERS, (ahead_s,)).fetchone()
    behind = connection.execute(_BEHIND).fetchone()
    assert timers is not None
    assert behind is not None
    return int(timers[0]) + int(behind[0])


# A payment that waits for its customer is at rest, though its PSP is asked now and then; but for the answer to that.
_TIMERS: Final = """
    SELECT count(*) FROM payment_timers t
    WHERE t.wake_at < clock_timestamp() + make_interval(secs => %s) AND t.stuck_since IS NULL AND NOT t.suspended
        AND NOT EXISTS (
            SELECT FROM payments p JOIN payment_events e
                ON e.originator_id = p.payment_id AND e.originator_version = p.version
            WHERE p.payment_id = t.payment_id AND p.version >= t.version AND p.status = 'REQUIRES_ACTION'
                AND e.topic <> 'operation.asked.v1'
        )
"""
_BEHIND: Final = """
    SELECT count(*) FROM (
        SELECT originator_id, max(originator_version) AS version FROM payment_events GROUP BY originator_id
    ) e
    LEFT JOIN payments p ON p.payment_id = e.originator_id WHERE p.version IS DISTINCT FROM e.version
"""
