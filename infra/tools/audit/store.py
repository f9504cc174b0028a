"""Reads streams, refusals, parked payments and the read models from PostgreSQL, each in the order of
payment ids."""

from collections.abc import Iterator
from itertools import groupby
from typing import Any, Final
from uuid import UUID

import psycopg
from eventsourcing.persistence import StoredEvent
from psycopg import sql

from aggregates.events import Contradicted, ContradictionSettled, OutcomeReported, Requested
from aggregates.operation import ENDED
from aggregates.payment import Payment
from commands.decider import UNDECIDABLE
from commands.sql import statements
from commands.stored_events import EventMapper
from commands.wording import counted
from infra.postgres.unmatched_webhooks import NAMED, Unmatched
from infra.tools.audit.facts import Parked, Recorded, Refusals, Shown
from infra.tools.audit.read_models import COLUMNS, OPERATION_COLUMNS, as_shown

_SQL: Final = statements(__file__)

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


_UNMATCHED: Final = sql.SQL("{} ORDER BY payment_id, id").format(sql.SQL(NAMED))


def _rows(
    connection: psycopg.Connection, name: str, query: str | sql.SQL | sql.Composed
) -> Iterator[tuple[Any, ...]]:
    with connection.cursor(name, binary=True) as cursor:
        cursor.itersize = 5000
        cursor.execute(query)
        yield from cursor


def streams(connection: psycopg.Connection) -> Iterator[tuple[UUID, Recorded]]:
    """Yields every stream, replayed."""
    mapper = EventMapper()
    for payment_id, rows in groupby(
        _rows(connection, "audit_events", _SQL["events"]), key=lambda row: row[0]
    ):
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
                    contradictions[event.operation_id] = event.reason
                case ContradictionSettled(open_reason=str(open_reason)):
                    contradictions[event.operation_id] = open_reason
                case OutcomeReported() if event.code is not None:
                    codes[event.operation_id] = event.code
    except UNDECIDABLE as error:
        text = f"{type(error).__name__} at version {row.originator_version}, {row.topic}"
        return Recorded(version, broken=text)
    assert payment is not None, "a stream has an event"
    if payment.version != len(stored):
        return Recorded(
            version, broken=f"it has {counted(len(stored), 'event')} and ends at version {version}"
        )
    return Recorded(version, payment, None, customer_id, contradictions, codes)


def refusals(connection: psycopg.Connection) -> Iterator[tuple[UUID, Refusals]]:
    """Yields the refused commands of each payment."""
    for payment_id, command_ids in _rows(connection, "audit_refusals", _SQL["refusals"]):
        yield payment_id, Refusals(frozenset(command_ids))


def parked(connection: psycopg.Connection) -> Iterator[tuple[UUID, Parked]]:
    """Yields the parked payments."""
    for payment_id, reason, places in _rows(connection, "audit_parked", _SQL["parked"]):
        yield payment_id, Parked(reason, frozenset(places))


def unmatched(connection: psycopg.Connection) -> Iterator[tuple[UUID, Unmatched]]:
    """Yields the webhooks that name a payment, could not be used and are not closed."""
    for row in _rows(connection, "audit_unmatched", _UNMATCHED):
        one = Unmatched(*row)
        yield one.payment_id, one


def shown(connection: psycopg.Connection) -> Iterator[tuple[UUID, Shown]]:
    """Yields the read models' rows of each payment."""
    for payment_id, version, stale, operations, *columns in _rows(connection, "audit_shown", _SHOWN):
        of_operations = {
            name: dict(zip(OPERATION_COLUMNS, values, strict=True))
            for name, values in (operations or {}).items()
        }
        of_payment = as_shown(dict(zip(COLUMNS, columns, strict=True)))
        yield payment_id, Shown(version, stale, of_payment, of_operations)


def in_flight(connection: psycopg.Connection, ahead_s: float) -> int:
    """Returns how many payments have something due within `ahead_s` or a read model that is behind, plus
    the webhooks that the inbox has not looked at yet."""
    timers = connection.execute(_SQL["timers"], (ahead_s, list(ENDED))).fetchone()
    behind = connection.execute(_SQL["behind"]).fetchone()
    webhooks = connection.execute(_SQL["webhooks"]).fetchone()
    assert timers is not None
    assert behind is not None
    assert webhooks is not None
    return int(timers[0]) + int(behind[0]) + int(webhooks[0])
