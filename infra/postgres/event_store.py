"""The event log in PostgreSQL, behind the `eventsourcing` library's interfaces. Invariant: a stream is read
before the writing transaction begins, and that transaction has no savepoint: a later version never carries an
older transaction id.

The command worker uses `PaymentStore`, which loads and saves a batch of streams at once. `repository` is for
whoever replays one payment as it was at any version, with the library's own Repository: no process of ours
does, and `select_events` is in `Recorder` because the library's recorder interface obliges it.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

import orjson
import psycopg
from eventsourcing.application import Repository
from eventsourcing.persistence import AggregateRecorder, EventStore, StoredEvent
from psycopg.types.json import Jsonb

from aggregates.money import Money
from aggregates.payment import Payment
from aggregates.routing.budgets import DeclinedAttempt
from commands.decider import UNDECIDABLE
from commands.ports import Card, Conflict, Loaded, Refusal, Writes
from commands.records import Record
from commands.sql import statements
from commands.stored_events import EventMapper
from infra.errors import Misconfigured
from relay import generation

_SQL: Final = statements(__file__)
_SELECT: Final = "SELECT originator_id, originator_version, topic, state FROM payment_events"
_SELECT_STREAMS: Final = _SQL["select_streams"]
_SELECT_PARKED: Final = _SQL["select_parked"]
_SELECT_REFUSALS: Final = _SQL["select_refusals"]
_SELECT_DECLINED: Final = _SQL["select_declined"]
_SELECT_QUEUE: Final = _SQL["select_queue"]
_COUNT_NEWLY_PARKED: Final = _SQL["count_newly_parked"]
_INSERT_EVENTS: Final = _SQL["insert_events"]


_NO_CARDS: Final[Mapping[UUID, Card]] = {}


class Recorder(AggregateRecorder):
    """Writes and reads events on one connection, in autocommit: no retries, no table lock, no NOTIFY. One
    thread at a time."""

    def __init__(self, connection: psycopg.Connection, generation: int) -> None:
        self.connection = connection
        self._generation = generation

    @classmethod
    def for_this_cluster(cls, connection: psycopg.Connection) -> "Recorder":
        """Returns a recorder that writes in the log's generation of this cluster. Raises `Misconfigured`
        where it has none."""
        try:
            return cls(connection, generation.current_blocking(connection))
        except generation.LogMoved as moved:
            raise Misconfigured(str(moved)) from moved

    def insert_events(self, stored_events: Sequence[StoredEvent], **_: Any) -> None:
        """Appends the events, in the caller's transaction or one of its own. Raises psycopg's
        `UniqueViolation`."""
        # Two workers with the same streams insert into the primary key in one order: the second waits for the
        # first and then gets the UniqueViolation, where another order could end in a deadlock.
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
        """Returns one stream, in the order of its versions, as the library's Repository reads it."""
        order = "DESC" if desc else "ASC"
        rows = self.connection.execute(
            f"{_SELECT} WHERE originator_id = %s AND originator_version > %s"  # two constants
            f" AND originator_version <= %s ORDER BY originator_version {order} LIMIT %s",
            (originator_id, gt or 0, lte if lte is not None else 2**62, limit),
        )
        return [StoredEvent(*row) for row in rows]

    def select_streams(self, ids: Collection[UUID]) -> list[StoredEvent]:
        """Returns the events of all these streams, in the order of (stream, version)."""
        cursor = self.connection.execute(_SELECT_STREAMS, (list(ids),), prepare=True, binary=True)
        return [StoredEvent(*row) for row in cursor]


def repository(recorder: Recorder) -> Repository[UUID]:
    """Returns the library's Repository, whose `get` replays one payment at any version or raises
    `AggregateNotFoundError`."""
    return Repository(EventStore(EventMapper(), recorder))


class PaymentStore:
    """Implements `commands.ports.Store`. Any psycopg error but a conflict leaves the connection unusable:
    end the process."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._connection = recorder.connection
        self._mapper = EventMapper()

    def load(
        self,
        payment_ids: Collection[UUID],
        command_ids: Collection[UUID],
        cards: Mapping[UUID, Card] = _NO_CARDS,
    ) -> Mapping[UUID, Loaded]:
        """Replays these payments, finds the results of those of these commands that were refused, and the
        declines of these cards. Outside of a transaction."""
        ids = list(payment_ids)
        refusals: dict[UUID, dict[UUID, Refusal]] = {}
        with self._connection.pipeline():
            parked_rows = self._connection.execute(_SELECT_PARKED, (ids,), prepare=True)
            if command_ids:
                rows = self._connection.execute(_SELECT_REFUSALS, (ids, list(command_ids)), prepare=True)
            if cards:
                declined_rows = self._select_declined(cards)
            events = self._recorder.select_streams(ids)
        parked = {row[0] for row in parked_rows}
        if command_ids:
            for payment_id, command_id, fingerprint, reply in rows:
                refusal = Refusal(payment_id, command_id, fingerprint, reply.encode())
                refusals.setdefault(payment_id, {})[command_id] = refusal
        loaded = {payment_id: Loaded(parked=payment_id in parked) for payment_id in ids}
        # groupby joins neighbours only: the statement has the rows in the order of their streams.
        for originator, stored in groupby(events, key=lambda event: event.originator_id):
            assert isinstance(originator, UUID)
            replayed = self._replay(list(stored), parked=originator in parked)
            loaded[originator] = replace(replayed, refusals=refusals.get(originator, {}))
        if cards:
            for payment_id, declined in _by_payment(cards, declined_rows).items():
                loaded[payment_id] = replace(loaded[payment_id], declined=declined)
        return loaded

    def declined(self, cards: Mapping[UUID, Card]) -> Mapping[UUID, Sequence[DeclinedAttempt]]:
        """Returns the declines of each payment's card, for its amount, and those for any amount that forbid
        every later attempt. Outside of a transaction."""
        return _by_payment(cards, self._select_declined(cards))

    def _select_declined(self, cards: Mapping[UUID, Card]) -> psycopg.Cursor[Any]:
        wanted = {(mark, card.amount) for card in cards.values() for mark in card.fingerprints}
        columns = zip(*((mark, amount.minor, amount.currency) for mark, amount in wanted), strict=True)
        return self._connection.execute(_SELECT_DECLINED, tuple(map(list, columns)), prepare=True)

    def _replay(self, stored: Sequence[StoredEvent], *, parked: bool) -> Loaded:
        payment: Payment | None = None
        try:
            for row in stored:
                payment = self._mapper.to_domain_event(row).mutate(payment)  # type: ignore[attr-defined]
        except UNDECIDABLE as error:
            version = row.originator_version
            # The reason names the error's class alone: its text may quote the event.
            return Loaded(broken=f"{type(error).__name__} at version {version}, {row.topic}", parked=parked)
        return Loaded(payment, parked=parked)

    def queue_of(self, payment_id: UUID) -> Sequence[Record]:
        """Returns the records that wait behind a parked stream, in the order in which they came."""
        rows = self._connection.execute(_SELECT_QUEUE, (payment_id,))
        return [
            Record(
                topic, partition, offset, str(payment_id).encode(), message, _headers(correlation, trace), 0
            )
            for topic, partition, offset, correlation, trace, message in rows
        ]

    def parked_within_a_minute(self) -> int:
        """Returns how many streams all workers parked within the last minute."""
        row = self._connection.execute(_COUNT_NEWLY_PARKED).fetchone()
        assert row is not None
        return int(row[0])

    def save(self, writes: Writes) -> None:
        """Saves everything in one transaction. Raises `Conflict` where another writer has added a version
        meanwhile."""
        # `collect_events` empties the aggregates. After a conflict they have nothing left to save: whoever
        # tries again loads the streams and decides anew.
        events = [
            self._mapper.to_stored_event(event)
            for payment in writes.payments
            for event in payment.collect_events()
        ]
        try:
            # The INSERT of the events takes the transaction's id for `tx`, and with it the place in the log.
            # All that follows commits with them or not at all: one wait for the disk for the whole batch.
            with self._connection.pipeline(), self._connection.transaction():
                if events:
                    self._recorder.insert_events(events)
                for insert, rows in _SIDE_WRITES:
                    if columns := rows(writes):
                        self._connection.execute(insert, columns, prepare=True)
        except psycopg.errors.UniqueViolation as error:
            # Only a version can collide: the other tables keep a row that is there already (ON CONFLICT).
            if error.diag.table_name == "payment_events":
                raise Conflict(error.diag.message_detail) from error
            raise


def _by_payment(
    cards: Mapping[UUID, Card], rows: Iterable[tuple[Any, ...]]
) -> dict[UUID, tuple[DeclinedAttempt, ...]]:
    """Gives each payment what is known of its card: under several fingerprints an attempt stands several
    times."""
    known: dict[tuple[bytes, Money | None], dict[str, DeclinedAttempt]] = {}
    for fingerprint, minor, currency, operation_id, *said in rows:
        attempt = DeclinedAttempt(operation_id, Money(minor, currency), *said)
        amount = None if attempt.forbids else attempt.amount
        known.setdefault((bytes(fingerprint), amount), {})[operation_id] = attempt
    found = {}
    for payment_id, card in cards.items():
        declined: dict[str, DeclinedAttempt] = {}
        for mark in card.fingerprints:
            declined |= known.get((mark, card.amount), {}) | known.get((mark, None), {})
        found[payment_id] = tuple(declined.values())
    return found


def _headers(correlation_id: str, traceparent: str | None) -> dict[str, bytes]:
    headers = {"correlation_id": correlation_id.encode()} if correlation_id else {}
    if traceparent is not None:
        headers["traceparent"] = traceparent.encode()
    return headers


def _columns(rows: Sequence[tuple[Any, ...]]) -> tuple[list[Any], ...]:
    return tuple(map(list, zip(*rows, strict=True)))


def _timers(writes: Writes) -> tuple[list[Any], ...]:
    # Rows are locked in the order in which they are given: two workers that lock the same ones in two orders
    # would end in a deadlock.
    return _columns(sorted((timer.payment_id, timer.version, timer.wake_at) for timer in writes.timers))


def _gateway_ids(writes: Writes) -> tuple[list[Any], ...]:
    return _columns(sorted((i.account, i.psp_id, i.payment_id, i.operation_id) for i in writes.gateway_ids))


def _refusals(writes: Writes) -> tuple[list[Any], ...]:
    refusals = sorted(writes.refusals, key=lambda refusal: (refusal.payment_id, refusal.command_id))
    return _columns(
        [(r.payment_id, r.command_id, r.fingerprint, Jsonb(orjson.loads(r.reply))) for r in refusals]
    )


def _declines(writes: Writes) -> tuple[list[Any], ...]:
    rows = [
        (
            decline.fingerprint,
            decline.attempt.amount.minor,
            decline.attempt.amount.currency,
            decline.attempt.operation_id,
            decline.payment_id,
            decline.attempt.declined_at,
            decline.attempt.scheme,
            decline.attempt.issuer_code,
            decline.attempt.issuer_advice,
            decline.attempt.forbids,
        )
        for decline in writes.declines
    ]
    return _columns(sorted(rows, key=itemgetter(0, 1, 2, 3)))


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
            # sorted() is stable: within a payment the records keep their order.
            for payment_id, record in sorted(writes.queued, key=itemgetter(0))
        ]
    )


def _unparked(writes: Writes) -> tuple[list[Any], ...]:
    return _columns(sorted(writes.unparked))


# `park` and `unpark` mark rows of timers, so timers are written before them; queued records refer to
# parkings.
_SIDE_WRITES: Final[tuple[tuple[str, Callable[[Writes], tuple[list[Any], ...]]], ...]] = (
    (_SQL["write_timers"], _timers),
    (_SQL["write_gateway_ids"], _gateway_ids),
    (_SQL["write_refusals"], _refusals),
    (_SQL["write_declines"], _declines),
    (_SQL["park"], _parked),
    (_SQL["queue"], _queued),
    (_SQL["unpark"], _unparked),
)
