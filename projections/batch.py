"""A batch of events onto every table, in one transaction. Invariant: a payment's versions are applied once each, in
order; its row's version is the only fence, so duplicates, zombies and rebuilds change nothing.

Versions that the batch lacks are read from the event store. Where they are absent there too the payment is marked
stale, and the others go on.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal

import psycopg

from commands.crash_points import reached
from commands.messages import InvalidMessage
from projections import events, fold, payments
from projections.events import Event
from projections.rows import OperationRow, PaymentRow, settle

Alarm = Literal["extra_charge", "contradiction", "needs_person"]


@dataclass(slots=True)
class Done:
    """What a batch came to. `alarms`: what an operator has to hear of, and the payment. `stale`: the payments that
    became stale in it."""

    applied: int = 0
    skipped: int = 0
    filled: int = 0
    unknown: list[str] = field(default_factory=list)  # types of events
    stale: list[str] = field(default_factory=list)
    alarms: list[tuple[Alarm, str]] = field(default_factory=list)


_GAPS: Final = """
    SELECT e.originator_id::text, e.originator_version, e.topic, e.state
    FROM unnest(%s::uuid[], %s::bigint[], %s::bigint[]) AS gap (payment_id, above, head)
    JOIN payment_events e ON e.originator_id = gap.payment_id
        AND e.originator_version > gap.above AND e.originator_version <= gap.head
"""


async def apply(
    conn: psycopg.AsyncConnection, batch: Iterable[Event], heads: Mapping[str, int], now: datetime
) -> Done:
    """`heads`: versions that payments have reached, with no event of them in hand. `conn` is in autocommit."""
    known: dict[str, dict[int, Event]] = defaultdict(dict)
    arrived = 0
    for event in batch:
        known[event.payment_id][event.version] = event
        arrived += 1
    wanted = {payment_id: max(versions) for payment_id, versions in known.items()}
    for payment_id, head in heads.items():
        wanted[payment_id] = max(head, wanted.get(payment_id, 0))
    if not wanted:
        return Done()
    done = Done()
    async with conn.pipeline(), conn.transaction():
        rows = await payments.lock(conn, sorted(wanted))
        done.filled = await _fill(conn, rows, known, wanted)
        changed, operations = _fold(rows, known, wanted, now, done)
        if changed:
            await payments.save(conn, changed, operations)
        reached("views.before_commit")
    reached("views.after_commit")
    done.skipped = max(arrived + done.filled - done.applied, 0)
    return done


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
    cursor = await conn.execute(_GAPS, list(map(list, zip(*gaps, strict=True))))
    for payment_id, version, topic, state in await cursor.fetchall():
        if version in known[payment_id]:
            continue
        try:
            known[payment_id][version] = events.from_store(payment_id, version, topic, state)
        except InvalidMessage:
            continue  # no release of ours can read it: the payment stays stale, which raises the alarm
        filled += 1
    return filled


def _fold(
    rows: Mapping[str, PaymentRow],
    known: Mapping[str, Mapping[int, Event]],
    wanted: Mapping[str, int],
    now: datetime,
    done: Done,
) -> tuple[list[PaymentRow], list[OperationRow]]:
    """The rows that have to be written."""
    changed: list[PaymentRow] = []
    operations: list[OperationRow] = []
    for payment_id, row in rows.items():
        before, was_stale = row.version, row.stale_since
        while (event := known[payment_id].get(row.version + 1)) is not None:
            fold.apply(row, event)
            done.applied += 1
            _note(event, done)
        if row.version > before:
            settle(row)
        if row.version >= wanted[payment_id]:
            row.stale_since = None
        elif was_stale is None:
            row.stale_since = now
            done.stale.append(payment_id)
        if row.version > before:
            operations.extend(row.operations[name] for name in row.touched)
        if row.version > before or row.stale_since != was_stale:
            changed.append(row)
    return changed, operations


def _note(event: Event, done: Done) -> None:
    match event.body:
        case events.Other():
            done.unknown.append(event.topic)
        case events.ExtraChargeConfirmed():
            done.alarms.append(("extra_charge", event.payment_id))
        case events.Contradicted():
            done.alarms.append(("contradiction", event.payment_id))
        case events.DisputeChanged(contradicts=why) if why is not None:
            done.alarms.append(("contradiction", event.payment_id))
        case events.NeedsPerson():
            done.alarms.append(("needs_person", event.payment_id))
        case _:
            pass
