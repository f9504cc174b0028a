"""The inbox process: what PSPs told by webhook becomes reports on `gateways.outcomes`.

Invariant: a row is marked as done only after the broker has its report. A report that is sent again changes nothing.
What names no payment of ours is tried again for three days, and then takes a person.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, Literal
from uuid import UUID, uuid5

import orjson
from aiokafka import AIOKafkaProducer
from prometheus_client import Counter, Histogram
from psycopg import AsyncConnection
from psycopg.rows import dict_row
from pydantic import TypeAdapter, ValidationError

from commands.messages import AnyReport, RecordDispute, RecordOutcome, dump
from gateways.contract import FIRST_STEP, Notice
from infra import clock, topics
from infra.broker import producing
from infra.database import connect_async
from infra.inbox_match import Missing, Subject, Told, subjects
from infra.process import Process, run
from infra.settings import InboxSettings
from infra.startup import ready_to_start

TRIED_FOR_S: Final = 3 * 24 * 3600
TRY_AFTER_S: Final = (1, 5, 30, 120, 600, 3600)
"""The last of them again and again."""
_COMMANDS: Final = UUID("6d3f5b0e-94c2-4c0f-8f0b-0d5a3c6f4f1e")
_LEASE_S: Final = 30
_BATCH: Final = 200
_BROKER_MAX_S: Final = 10.0
_PAUSE_MIN_S: Final = 0.01
_PAUSE_MAX_S: Final = 0.25
_NOTICE: Final = TypeAdapter(Notice)

Why = Missing | Literal["not_valid"]

MATCHED = Counter("aegispay_inbox_matched", "Webhooks whose report the broker has acknowledged", ["gateway"])
UNMATCHED = Counter(
    "aegispay_inbox_unmatched", "Webhooks that take a person: no command was made of them", ["account", "why"]
)
SECONDS = Histogram(
    "aegispay_inbox_seconds",
    "From a webhook's storing to the broker's acknowledgement of its report",
    buckets=(0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 30, 600, 86400),
)

# A lease, not a lock that is held: a transaction that waits for the broker would hold back the relay.
_TAKE: Final = """
WITH due AS (
    SELECT id FROM webhooks_in WHERE state = 'waiting' AND next_try_at <= now()
    ORDER BY next_try_at LIMIT %(batch)s FOR UPDATE SKIP LOCKED
)
UPDATE webhooks_in AS w SET next_try_at = now() + %(lease_s)s * interval '1 second'
FROM due WHERE w.id = due.id
RETURNING w.id, w.gateway, w.account, w.event_id, w.received_at, w.notice, w.tries,
    w.received_at < now() - %(tried_for_s)s * interval '1 second' AS last_try
"""
_FIGURES: Final = {"batch": _BATCH, "lease_s": _LEASE_S, "tried_for_s": TRIED_FOR_S}

# Whoever comes late with a row that another has done meanwhile changes nothing.
_MARK: Final = """
UPDATE webhooks_in AS w SET state = m.state, why = m.why, payment_id = m.payment_id, tries = m.tries,
    next_try_at = now() + m.wait_s * interval '1 second'
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::uuid[], %s::smallint[], %s::int[])
    AS m (id, state, why, payment_id, tries, wait_s)
WHERE w.id = m.id AND w.state = 'waiting'
"""


@dataclass(frozen=True, slots=True)
class _Mark:
    id: int
    state: Literal["waiting", "done", "unmatched"]
    why: Why | None = None
    payment_id: UUID | None = None
    tries: int = 0
    wait_s: int = 0


class Inbox:
    def __init__(
        self, connection: AsyncConnection, broker: AIOKafkaProducer, outcomes_topic: str, process: Process
    ) -> None:
        self._connection = connection
        self._broker = broker
        self._outcomes_topic = outcomes_topic
        self._process = process

    async def run_once(self) -> int:
        """One batch; the count of rows that were due."""
        rows = await self._take()
        if not rows:
            return 0
        told = [one for row in rows if (one := _read(row)) is not None]
        decided = list(map(_decided, told, await subjects(self._connection, told)))
        await self._publish([report for _, reports in decided for report in reports])
        marks = {mark.id: mark for mark, _ in decided}
        of_all = [marks.get(row["id"]) or _Mark(row["id"], "unmatched", "not_valid") for row in rows]
        await self._connection.execute(_MARK, _columns(of_all), prepare=True)
        for row, mark in zip(rows, of_all, strict=True):
            self._account(row, mark)
        return len(rows)

    async def _take(self) -> list[dict[str, Any]]:
        cursor = self._connection.cursor(row_factory=dict_row)
        await cursor.execute(_TAKE, _FIGURES, prepare=True)
        return sorted(await cursor.fetchall(), key=lambda row: int(row["id"]))

    async def _publish(self, reports: Sequence[AnyReport]) -> None:
        """Rows whose report is lost on the way are taken again after their lease."""
        async with asyncio.timeout(_BROKER_MAX_S):
            for ack in [await self._send(report) for report in reports]:
                await ack

    async def _send(self, report: AnyReport) -> "asyncio.Future[object]":
        # Without a correlation id: the payment's own goes on.
        key = str(report.payment_id).encode()
        ack: asyncio.Future[object] = await self._broker.send(self._outcomes_topic, dump(report), key=key)
        return ack

    def _account(self, row: dict[str, Any], mark: _Mark) -> None:
        if mark.state == "unmatched":
            UNMATCHED.labels(row["account"], mark.why).inc()
            self._process.log.error(
                "a webhook takes a person", id=mark.id, account=row["account"], why=mark.why
            )
        elif mark.payment_id is not None:
            MATCHED.labels(row["gateway"]).inc()
            SECONDS.observe(max((clock.now() - row["received_at"]).total_seconds(), 0.0))


def _read(row: dict[str, Any]) -> Told | None:
    """None: another version stored it, in a form that this one does not know."""
    try:
        return Told(**row | {"notice": _NOTICE.validate_python(row["notice"])})
    except ValidationError:
        return None


def _decided(told: Told, subject: Subject | Missing) -> tuple[_Mark, list[AnyReport]]:
    if told.notice.outcome is None and told.notice.dispute is None:
        return _Mark(told.id, "done"), []
    if subject == "no_payment" and not told.last_try:
        wait_s = TRY_AFTER_S[min(told.tries, len(TRY_AFTER_S) - 1)]
        return _Mark(told.id, "waiting", subject, None, told.tries + 1, wait_s), []
    if not isinstance(subject, Subject):
        return _Mark(told.id, "unmatched", subject, None, told.tries), []
    try:
        made = reports(told, subject)
    except ValidationError:
        return _Mark(told.id, "unmatched", "not_valid", subject.payment_id, told.tries), []
    return _Mark(told.id, "done", None, subject.payment_id, told.tries), made


def reports(told: Told, subject: Subject) -> list[AnyReport]:
    """A repeat has the same command ids. Raises pydantic's `ValidationError` for what no report can say."""
    made: list[AnyReport] = []
    notice = told.notice
    if notice.outcome is not None:
        made.append(
            RecordOutcome(
                command_id=_command_id(told, "outcome"),
                payment_id=subject.payment_id,
                operation_id=subject.operation_id,
                step=FIRST_STEP,
                gateway=told.gateway,
                account=told.account,
                outcome=notice.outcome,
                source="webhook",
                tries=0,
                first_try_at=None,
                # By our clock: the PSP's may be any, and some do not sign it.
                observed_at=told.received_at,
            )
        )
    if notice.dispute is not None:
        dispute = {one.name: getattr(notice.dispute, one.name) for one in fields(notice.dispute)}
        made.append(
            RecordDispute(
                command_id=_command_id(told, "dispute"),
                payment_id=subject.payment_id,
                operation_id=subject.operation_id,
                observed_at=told.received_at,
                **dispute,
            )
        )
    return made


def _command_id(told: Told, kind: Literal["outcome", "dispute"]) -> UUID:
    return uuid5(_COMMANDS, orjson.dumps([told.account, told.event_id, kind]).decode())


def _columns(marks: Sequence[_Mark]) -> tuple[list[Any], ...]:
    return tuple([getattr(mark, one.name) for mark in marks] for one in fields(_Mark))


async def main(process: Process, settings: InboxSettings) -> None:
    if not await ready_to_start(process, settings):
        return
    async with (
        await connect_async(settings, "inbox") as connection,
        producing(settings, "inbox") as broker,
    ):
        inbox = Inbox(connection, broker, settings.topic_prefix + topics.OUTCOMES, process)
        process.ready()
        pause_s = _PAUSE_MIN_S
        while not process.stop.is_set():
            found = await inbox.run_once()
            pause_s = _PAUSE_MIN_S if found else min(2 * pause_s, _PAUSE_MAX_S)
            await process.stopped_within(pause_s)


if __name__ == "__main__":
    run("inbox", InboxSettings, main)
