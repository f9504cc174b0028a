"""The event log in PostgreSQL, behind the `eventsourcing` library's interfaces. Invariant: a stream is read before the
writing transaction begins, and that transaction has no savepoint: a later version never carries an older transaction id.

`EventMapper` and `Recorder` serve the library's `Repository`; `PaymentStore` saves a batch of streams at once.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import groupby
from typing import Any, Final
from uuid import UUID

import orjson
import psycopg
from eventsourcing.application import Repository
from eventsourcing.domain import DomainEventProtocol
from eventsourcing.persistence import AggregateRecorder, EventStore, Mapper, StoredEvent, Transcoder
from psycopg.types.json import Jsonb

from aggregates.events import EVENTS, Created
from aggregates.payment import Payment
from commands.batch import UNDECIDABLE
from commands.ports import Conflict, Loaded, Refusal, Writes
from commands.records import Record
from infra.misconfigured import Misconfigured


class UnknownEvent(ValueError):
    """A stored topic that no registered class has. Nothing is ever imported because a row says so."""


class _Json(Transcoder):
    def encode(self, obj: Any) -> bytes:
        return orjson.dumps(obj)

    def decode(self, data: bytes) -> Any:
        return orjson.loads(data)


class EventMapper(Mapper[UUID]):
    """An event's own fields as a JSON object: what the relay puts on Kafka as it stands."""

    def __init__(self) -> None:
        super().__init__(_Json())

    def to_stored_event(self, domain_event: DomainEventProtocol[UUID]) -> StoredEvent:
        state = dict(vars(domain_event))
        originator_id, version = state.pop("originator_id"), state.pop("originator_version")
        state.pop("originator_topic", None)
        return StoredEvent(originator_id, version, type(domain_event).TOPIC, orjson.dumps(state))  # type: ignore[attr-defined]

    def to_domain_event(self, stored_event: StoredEvent) -> DomainEventProtocol[UUID]:
        kind = EVENTS.get(stored_event.topic)
        if kind is None:
            raise UnknownEvent(f"no event of this release is stored as {stored_event.topic}")
        state = orjson.loads(stored_event.state)
        state["timestamp"] = datetime.fromisoformat(state["timestamp"])
        state["originator_id"] = stored_event.originator_id
        state["originator_version"] = stored_event.originator_version
        if issubclass(kind, Created):
            state["originator_topic"] = Payment.TOPIC
        event = object.__new__(kind)
        event.__dict__.update(state)
        return event


_SELECT: Final = "SELECT originator_id, originator_version, topic, state FROM payment_events"
_SELECT_STREAMS: Final = f"{_SELECT} WHERE originator_id = ANY(%s) ORDER BY originator_id, originator_version"
_SELECT_PARKED: Final = "SELECT payment_id FROM parked_streams WHERE payment_id = ANY(%s)"
_SELECT_REFUSALS: Final = """
    SELECT payment_id, command_id, fingerprint, answer::text FROM command_refusals
    WHERE payment_id = ANY(%s) AND command_id = ANY(%s)
"""
_INSERT_EVENTS: Final = """
    INSERT INTO payment_events (originator_id, originator_version, topic, state, generation)
    SELECT e.id, e.version, e.topic, e.state, %s
    FROM unnest(%b::uuid[], %s::bigint[], %s::text[], %b::bytea[]) AS e (id, version, topic, state)
"""


class Recorder(AggregateRecorder):
    """One connection, in autocommit; no retries, no table lock, no NOTIFY. One thread at a time."""

    def __init__(self, connection: psycopg.Connection, generation: int) -> None:
        self.connection = connection
        self._generation = generation

    @classmethod
    def for_this_cluster(cls, connection: psycopg.Connection) -> "Recorder":
        """Raises `Misconfigured` on a cluster whose transaction ids the log does not know."""
        row = connection.execute(
            # The newest, not any: a log that came back to a cluster that it had left has another one.
            "SELECT generation FROM log_generation JOIN pg_control_system() USING (system_identifier)"
            " WHERE generation = (SELECT max(generation) FROM log_generation)"
        ).fetchone()
        if row is None:
            text = "this PostgreSQL cluster is not the one that the event log was written in: stop every process of "
            raise Misconfigured(text + "AegisPay and run `aegispay relay rebase`")
        return cls(connection, row[0])

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> None:
        """In a transaction of the caller's, or one of its own. Raises psycopg's `UniqueViolation`."""
        rows = sorted(stored_events, key=lambda event: (event.originator_id, event.originator_version))
        self.connection.execute(
            _INSERT_EVENTS,
            (
                self._generation,
                [event.originator_id for event in rows],
                [event.originator_version for event in rows],
                [event.topic for event in rows],
                [event.state for event in rows],
            ),
            prepare=True,
        )

    def select_events(
        self,
        originator_id: UUID | str,
        *,
        gt: int | None = None,
        lte: int | None = None,
        desc: bool = False,
        limit: int | None = None,
    ) -> Sequence[StoredEvent]:
        order = "DESC" if desc else "ASC"
        rows = self.connection.execute(
            f"{_SELECT} WHERE originator_id = %s AND originator_version > %s"  # two constants
            f" AND originator_version <= %s ORDER BY originator_version {order} LIMIT %s",
            (originator_id, gt or 0, lte if lte is not None else 2**62, limit),
        )
        return [StoredEvent(*row) for row in rows]

    def select_streams(self, ids: Collection[UUID]) -> list[StoredEvent]:
        """Of all these streams, in the order of (stream, version)."""
        cursor = self.connection.execute(_SELECT_STREAMS, (list(ids),), prepare=True, binary=True)
        return [StoredEvent(*row) for row in cursor]


def repository(recorder: Recorder) -> Repository[UUID]:
    """The library's: one payment at a time, at any version. Raises its `AggregateNotFoundError`."""
    return Repository(EventStore(EventMapper(), recorder))


class PaymentStore:
    """`commands.ports.Store`. Any psycopg error but a conflict leaves the connection unusable: end the process."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._connection = recorder.connection
        self._mapper = EventMapper()

    def load(self, payment_ids: Collection[UUID], command_ids: Collection[UUID]) -> Mapping[UUID, Loaded]:
        ids = list(payment_ids)
        refusals: dict[UUID, dict[UUID, Refusal]] = {}
        with self._connection.pipeline():
            parked_rows = self._connection.execute(_SELECT_PARKED, (ids,), prepare=True)
            if command_ids:
                rows = self._connection.execute(_SELECT_REFUSALS, (ids, list(command_ids)), prepare=True)
            events = self._recorder.select_streams(ids)
        parked = {row[0] for row in parked_rows}
        if command_ids:
            for payment_id, command_id, fingerprint, answer in rows:
                refusal = Refusal(payment_id, command_id, fingerprint, answer.encode())
                refusals.setdefault(payment_id, {})[command_id] = refusal
        loaded = {payment_id: Loaded(parked=payment_id in parked) for payment_id in ids}
        for originator, stored in groupby(events, key=lambda event: event.originator_id):
            assert isinstance(originator, UUID)
            replayed = self._replay(list(stored), parked=originator in parked)
            loaded[originator] = replace(replayed, refusals=refusals.get(originator, {}))
        return loaded

    def _replay(self, stored: Sequence[StoredEvent], *, parked: bool) -> Loaded:
        payment: Payment | None = None
        try:
            for row in stored:
                payment = self._mapper.to_domain_event(row).mutate(payment)  # type: ignore[attr-defined]
        except UNDECIDABLE as error:
            version = row.originator_version
            return Loaded(broken=f"{type(error).__name__} at version {version}, {row.topic}", parked=parked)
        return Loaded(payment, parked=parked)

    def queue_of(self, payment_id: UUID) -> Sequence[Record]:
        rows = self._connection.execute(
            "SELECT topic, partition, record_offset, correlation_id, traceparent, message FROM parked_records"
            " WHERE payment_id = %s ORDER BY place",
            (payment_id,),
        )
        return [
            Record(
                topic, partition, offset, str(payment_id).encode(), message, _headers(correlation, trace), 0
            )
            for topic, partition, offset, correlation, trace, message in rows
        ]

    def parked_within_a_minute(self) -> int:
        row = self._connection.execute(
            "SELECT count(*) FROM parked_streams WHERE since > clock_timestamp() - interval '1 minute'"
        ).fetchone()
        assert row is not None
        return int(row[0])

    def save(self, writes: Writes) -> None:
        events = [
            self._mapper.to_stored_event(event)
            for payment in writes.payments
            for event in payment.collect_events()
        ]
        try:
            with self._connection.pipeline(), self._connection.transaction():
                if events:
                    self._recorder.insert_events(events)
                for insert, rows in _SIDE_WRITES:
                    if columns := rows(writes):
                        self._connection.execute(insert, columns, prepare=True)
        except psycopg.errors.UniqueViolation as error:
            if error.diag.table_name == "payment_events":
                raise Conflict(error.diag.message_detail) from error
            raise


def _headers(correlation_id: str, traceparent: str | None) -> dict[str, bytes]:
    headers = {"correlation_id": correlation_id.encode()} if correlation_id else {}
    if traceparent is not None:
        headers["traceparent"] = traceparent.encode()
    return headers


def _columns(rows: Sequence[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    return tuple(map(list, zip(*rows, strict=True)))


def _timers(writes: Writes) -> tuple[list[Any], ...]:
    return _columns(sorted((timer.payment_id, timer.version, timer.wake_at) for timer in writes.timers))


def _gateway_ids(writes: Writes) -> tuple[list[Any], ...]:
    return _columns(sorted((i.account, i.psp_id, i.payment_id, i.operation_id) for i in writes.gateway_ids))


def _refusals(writes: Writes) -> tuple[list[Any], ...]:
    return _columns(
        [(r.payment_id, r.command_id, r.fingerprint, Jsonb(orjson.loads(r.answer))) for r in writes.refusals]
    )


def _parked(writes: Writes) -> tuple[list[Any], ...]:
    return _columns(sorted((parking.payment_id, parking.reason) for parking in writes.parked))


def _queued(writes: Writes) -> tuple[list[Any], ...]:
    return _columns(
        [
            (
                payment_id,
                record.topic,
                record.partition,
                record.offset,
                record.header("correlation_id") or "",
                record.traceparent,
                record.value,
            )
            for payment_id, record in writes.queued
        ]
    )


def _unparked(writes: Writes) -> tuple[list[Any], ...]:
    return _columns(sorted(writes.unparked))


_SIDE_WRITES: Final[tuple[tuple[str, Callable[[Writes], tuple[list[Any], ...]]], ...]] = (
    (
        """
        INSERT INTO payment_timers AS t (payment_id, version, wake_at)
        SELECT * FROM unnest(%s::uuid[], %s::bigint[], %s::timestamptz[])
        ON CONFLICT (payment_id) DO UPDATE
        SET version = excluded.version, wake_at = excluded.wake_at,
            -- A wake that moved nothing keeps its lease: two clocks that differ must not make it come at once again.
            leased_until = CASE WHEN (t.version, t.wake_at) = (excluded.version, excluded.wake_at) THEN t.leased_until END,
            leases = CASE WHEN (t.version, t.wake_at) = (excluded.version, excluded.wake_at) THEN t.leases ELSE 0 END,
            stuck_since = CASE WHEN (t.version, t.wake_at) = (excluded.version, excluded.wake_at) THEN t.stuck_since END
        WHERE t.version <= excluded.version
        """,
        _timers,
    ),
    (
        """
        INSERT INTO gateway_ids (account, psp_id, payment_id, operation_id)
        SELECT * FROM unnest(%s::text[], %s::text[], %s::uuid[], %s::text[]) ON CONFLICT DO NOTHING
        """,
        _gateway_ids,
    ),
    (
        """
        INSERT INTO command_refusals (payment_id, command_id, fingerprint, answer)
        SELECT * FROM unnest(%s::uuid[], %s::uuid[], %s::text[], %s::jsonb[]) ON CONFLICT DO NOTHING
        """,
        _refusals,
    ),
    (
        """
        WITH parked AS (
            INSERT INTO parked_streams (payment_id, reason) SELECT * FROM unnest(%s::uuid[], %s::text[])
            ON CONFLICT DO NOTHING RETURNING payment_id
        )
        UPDATE payment_timers t SET suspended = true FROM parked WHERE t.payment_id = parked.payment_id
        """,
        _parked,
    ),
    (
        """
        INSERT INTO parked_records (payment_id, topic, partition, record_offset, correlation_id, traceparent, message)
        SELECT * FROM unnest(%s::uuid[], %s::text[], %s::int[], %s::bigint[], %s::text[], %s::text[], %b::bytea[])
        ON CONFLICT DO NOTHING
        """,
        _queued,
    ),
    (
        """
        -- Only with all that was read of its queue: a record that came since keeps the stream parked.
        WITH gone AS (
            DELETE FROM parked_streams p USING unnest(%s::uuid[], %s::int[]) AS drained (payment_id, records)
            WHERE p.payment_id = drained.payment_id
              AND drained.records = (SELECT count(*) FROM parked_records r WHERE r.payment_id = p.payment_id)
            RETURNING p.payment_id
        )
        UPDATE payment_timers t SET suspended = false FROM gone WHERE t.payment_id = gone.payment_id
        """,
        _unparked,
    ),
)
