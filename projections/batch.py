"""Applies a batch of events to the read models' tables, in one transaction.

Invariant: each version of a payment is applied once, in order. The version in its row is the only fence, so
duplicates, processes that lost their partition, and rebuilds change nothing. Versions that the batch lacks
are read from the event store. Where the store lacks them too, the payment is marked stale and the others go
on.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

import psycopg

from commands.failpoints import reached
from commands.messages import InvalidMessage
from commands.sql import statements
from projections import bodies, events, fold, payments, tallies
from projections.events import Event
from projections.rows import OperationRow, PaymentRow, settle
from projections.tallies import Tally

_SQL: Final = statements(__file__)

Alarm = Literal["duplicate_charge", "contradiction", "escalated"]


@dataclass(slots=True)
class BatchResult:
    """The changes of a batch. `applied` and `skipped` count events, `filled` those read from the event store.
    `alarms`: what an operator has to look at, with the payment's id. `stale`: payments that became stale in
    this batch."""

    applied: int = 0
    skipped: int = 0
    filled: int = 0
    unknown: list[str] = field(default_factory=list)  # types of events
    stale: list[str] = field(default_factory=list)
    alarms: list[tuple[Alarm, str]] = field(default_factory=list)


async def apply(
    conn: psycopg.AsyncConnection, batch: Iterable[Event], heads: Mapping[str, int], now: datetime
) -> BatchResult:
    """Applies `batch`, and what the event store holds up to `heads`: versions that payments are known to have
    reached without an event in the batch. `conn` is in autocommit: the batch is a transaction of its own."""
    known: dict[str, dict[int, Event]] = defaultdict(dict)
    arrived = 0
    for event in batch:
        known[event.payment_id][event.version] = event
        arrived += 1
    # The topic may bring version 7 before 6 was seen, when a relay or this group lost a record: then `_fill`
    # reads what lies between from the store, and nothing waits.
    wanted = {payment_id: max(versions) for payment_id, versions in known.items()}
    for payment_id, head in heads.items():
        wanted[payment_id] = max(head, wanted.get(payment_id, 0))
    if not wanted:
        return BatchResult()
    result = BatchResult()
    # Another process that has the same payments waits in `lock` until this commits, and then reads the
    # versions that this wrote: so what both have is applied once.
    async with conn.pipeline(), conn.transaction():
        rows = await payments.lock(conn, sorted(wanted))
        result.filled = await _fill(conn, rows, known, wanted)
        changed, operations, tally = _fold(rows, known, wanted, now, result)
        if changed:
            await payments.save(conn, changed, operations)
            await tallies.save(conn, tally)
        reached("read-models.before_commit")
    reached("read-models.after_commit")
    result.skipped = max(arrived + result.filled - result.applied, 0)
    return result


async def _fill(
    conn: psycopg.AsyncConnection,
    rows: Mapping[str, PaymentRow],
    known: dict[str, dict[int, Event]],
    wanted: Mapping[str, int],
) -> int:
    gaps = [
        (payment_id, row.version, wanted[payment_id])
        for payment_id, row in rows.items()
        if any(version not in known[payment_id] for version in range(row.version + 1, wanted[payment_id] + 1))
    ]
    if not gaps:
        return 0
    filled = 0
    cursor = await conn.execute(_SQL["gaps"], list(map(list, zip(*gaps, strict=True))))
    for payment_id, version, topic, state in await cursor.fetchall():
        # The batch has this event already, and it counts as one that arrived.
        if version in known[payment_id]:
            continue
        try:
            known[payment_id][version] = events.from_store(payment_id, version, topic, state)
        except InvalidMessage:
            continue  # no release can read it: the payment stays stale, which raises the alarm
        filled += 1
    return filled


def _fold(
    rows: Mapping[str, PaymentRow],
    known: Mapping[str, Mapping[int, Event]],
    wanted: Mapping[str, int],
    now: datetime,
    result: BatchResult,
) -> tuple[list[PaymentRow], list[OperationRow], Tally]:
    """Applies the events to the rows, as far as they follow one another; returns the rows to write, and what
    to count."""
    tally = Tally()
    changed: list[PaymentRow] = []
    operations: list[OperationRow] = []
    for payment_id, row in rows.items():
        before, was_stale, was_disputed = row.version, row.stale_since, _disputed_beyond_record(row)
        shares = tallies.shares_of(row)
        # Each round takes the very next version: a gap ends the loop, and a version that the row has is
        # passed over.
        while (event := known[payment_id].get(row.version + 1)) is not None:
            fold.apply(row, event)
            result.applied += 1
            _raise_alarms(event, result)
        if row.version > before:
            settle(row)
            tally.add(row, shares)
            if _disputed_beyond_record(row) and not was_disputed:
                result.alarms.append(("contradiction", payment_id))
        if row.version >= wanted[payment_id]:
            row.stale_since = None
        elif was_stale is None:
            row.stale_since = now
            result.stale.append(payment_id)
        if row.version > before:
            operations.extend(row.operations[name] for name in row.touched)
        # A row that did not change is not written, though it is locked: a batch of repeats costs no update.
        if row.version > before or row.stale_since != was_stale:
            changed.append(row)
    return changed, operations, tally


def _disputed_beyond_record(row: PaymentRow) -> bool:
    return any(one["dispute_id"] is not None for one in row.contradictions)


def _raise_alarms(event: Event, result: BatchResult) -> None:
    match event.body:
        case bodies.Other():
            result.unknown.append(event.topic)
        case bodies.DuplicateChargeConfirmed():
            result.alarms.append(("duplicate_charge", event.payment_id))
        case bodies.Contradicted():
            result.alarms.append(("contradiction", event.payment_id))
        case bodies.Escalated():
            result.alarms.append(("escalated", event.payment_id))
        case _:
            pass
