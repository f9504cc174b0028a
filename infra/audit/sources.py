"""The four sources, each read in the order of payment ids, so that no more than the commands is held at once."""

import asyncio
from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import psycopg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from eventsourcing.persistence import StoredEvent

from aggregates.operation import payment_id_of
from aggregates.payment import Payment
from commands.batch import UNDECIDABLE
from commands.handlers import check
from commands.messages import CreatePayment, InvalidMessage, fingerprint, parse_command
from gateways.simulator.ledger import read_charges
from infra import topics
from infra.audit.facts import Asked, Charge, OperationFacts, Parked, Recorded, Shown
from infra.command_worker import GROUP
from infra.event_store import EventMapper
from infra.settings import KafkaSettings

Offsets = dict[TopicPartition, int]


async def ends(settings: KafkaSettings) -> Offsets:
    """Where the commands end now."""
    async with _consumer(settings) as consumer:
        return dict(await consumer.end_offsets(_places(consumer, settings)))


async def unread(settings: KafkaSettings, until: Offsets) -> int:
    """Records before `until` that the command worker has not acknowledged."""
    done = await _acknowledged(settings)
    return sum(max(0, end - done.get(place, 0)) for place, end in until.items())


async def commands(settings: KafkaSettings, until: Offsets) -> tuple[dict[UUID, Asked], bool]:
    """The first valid create of each payment, from the topic's beginning; the later ones are repeats or refused.
    False with it where the topic no longer has its oldest records.
    """
    asked: dict[UUID, Asked] = {}
    done = await _acknowledged(settings)
    async with _consumer(settings) as consumer:
        left = {place for place, end in until.items() if end > 0}
        consumer.assign(sorted(left))
        firsts = await consumer.beginning_offsets(left)
        for place, first in firsts.items():
            consumer.seek(place, first)
            if first >= until[place]:
                left.discard(place)
        while left:
            for place, records in (await consumer.getmany(*left, timeout_ms=1000, max_records=2000)).items():
                for record in records:
                    if record.offset < until[place]:
                        _take(asked, record, read=record.offset < done.get(place, 0))
                if records[-1].offset + 1 >= until[place]:
                    left.discard(place)
            await asyncio.sleep(0)
    return asked, not any(firsts.values())


def _take(asked: dict[UUID, Asked], record: Any, *, read: bool) -> None:
    try:
        command = parse_command(record.value or b"")
        check(command)
    except InvalidMessage:
        return
    if not isinstance(command, CreatePayment) or record.key != str(command.payment_id).encode():
        return
    if command.payment_id not in asked:
        asked[command.payment_id] = Asked(
            place=f"{record.topic}/{record.partition}/{record.offset}",
            fingerprint=fingerprint(command),
            amount_minor=command.amount_minor,
            currency=command.currency,
            read=read,
        )


def _consumer(settings: KafkaSettings) -> AIOKafkaConsumer:
    return AIOKafkaConsumer(
        bootstrap_servers=settings.kafka, client_id="aegispay-audit", enable_auto_commit=False, group_id=None
    )


def _places(consumer: AIOKafkaConsumer, settings: KafkaSettings) -> list[TopicPartition]:
    topic = settings.topic_prefix + topics.COMMANDS
    return [TopicPartition(topic, number) for number in range(settings.partitions)]


async def _acknowledged(settings: KafkaSettings) -> Offsets:
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.kafka, client_id="aegispay-audit")
    await admin.start()
    try:
        offsets = await admin.list_consumer_group_offsets(settings.topic_prefix + GROUP)
    finally:
        await admin.close()
    return {place: committed.offset for place, committed in offsets.items()}


_EVENTS: Final = (
    "SELECT originator_id, originator_version, topic, state FROM payment_events"
    " ORDER BY originator_id, originator_version"
)
_SHOWN: Final = """
    SELECT payment_id, coalesce(p.version, 0), coalesce(p.status, ''), coalesce(p.merchant_id, ''), p.customer_id,
        coalesce(p.amount_minor, 0), coalesce(p.currency, ''), coalesce(p.captured_minor, 0),
        coalesce(p.frozen, false), p.stale_since IS NOT NULL, coalesce(o.operations, '{}')
    FROM payments p
    FULL JOIN (
        SELECT payment_id,
            jsonb_object_agg(operation_id, jsonb_build_array(state, amount_minor, currency, psp_id)) AS operations
        FROM operations GROUP BY payment_id
    ) o USING (payment_id)
    ORDER BY payment_id
"""


def _rows(connection: psycopg.Connection, name: str, query: str) -> Iterator[tuple[Any, ...]]:
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
    try:
        for row in stored:
            payment = mapper.to_domain_event(row).mutate(payment)  # type: ignore[attr-defined]
            assert payment is not None, "an event of a payment gives a payment"
    except UNDECIDABLE as error:
        return Recorded(
            version, broken=f"{type(error).__name__} at version {row.originator_version}, {row.topic}"
        )
    assert payment is not None, "a stream has an event"
    if payment.version != len(stored):
        return Recorded(version, broken=f"it has {len(stored)} events and ends at version {version}")
    return Recorded(
        version=version,
        status=payment.status,
        merchant_id=payment.merchant_id,
        customer_id=payment.customer_id,
        fingerprint=payment.fingerprint,
        amount_minor=payment.amount.minor,
        currency=payment.amount.currency,
        captured_minor=payment.captured.minor,
        frozen=payment.frozen,
        operations={
            o.id: OperationFacts(o.state.value, o.amount.minor, o.amount.currency, o.psp_id)
            for o in payment.operations.values()
        },
    )


def parked(connection: psycopg.Connection) -> Iterator[tuple[UUID, Parked]]:
    query = "SELECT payment_id, reason FROM parked_streams ORDER BY payment_id"
    for payment_id, reason in _rows(connection, "audit_parked", query):
        yield payment_id, Parked(reason)


def shown(connection: psycopg.Connection) -> Iterator[tuple[UUID, Shown]]:
    """Operations whose payment has no row are shown under version 0."""
    for payment_id, *fields, operations in _rows(connection, "audit_shown", _SHOWN):
        fields.append({name: OperationFacts(*facts) for name, facts in operations.items()})
        yield payment_id, Shown(*fields)


def in_flight(connection: psycopg.Connection, ahead_s: float) -> int:
    """Payments that something will still happen to within `ahead_s`, or whose read model is behind."""
    timers = connection.execute(_TIMERS, (ahead_s,)).fetchone()
    behind = connection.execute(_BEHIND).fetchone()
    assert timers is not None
    assert behind is not None
    return int(timers[0]) + int(behind[0])


_TIMERS: Final = """
    SELECT count(*) FROM payment_timers
    WHERE wake_at < clock_timestamp() + make_interval(secs => %s) AND stuck_since IS NULL AND NOT suspended
"""
_BEHIND: Final = """
    SELECT count(*) FROM (
        SELECT originator_id, max(originator_version) AS version FROM payment_events GROUP BY originator_id
    ) e
    LEFT JOIN payments p ON p.payment_id = e.originator_id WHERE p.version IS DISTINCT FROM e.version
"""


def charges(ledger: Path) -> list[tuple[UUID, Charge]]:
    """By the payment whose reference the PSP was given; what has none of ours stands under the id of zeros."""
    found = (
        (_payment_of(one.reference), Charge(one.reference, one.intent_id, one.amount_minor, one.currency))
        for one in read_charges(ledger)
    )
    return sorted(found, key=itemgetter(0))


def _payment_of(reference: str) -> UUID:
    try:
        return payment_id_of(reference)
    except ValueError:
        return UUID(int=0)
