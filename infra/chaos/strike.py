"""One fault brought about, from its beginning to its end. Returns what it did, in figures; raises `NotDone`."""

import asyncio
import signal
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, assert_never

import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import KafkaError
from psycopg import sql

from infra import topics
from infra.chaos import faults
from infra.chaos.arena import Arena, NotDone
from infra.chaos.faults import Fault
from infra.command_worker import GROUP

_LOOK_EVERY_S: Final = 0.05
_GROUP_EMPTY_WITHIN_S: Final = 15.0

Detail = dict[str, Any]


async def strike(fault: Fault, arena: Arena) -> Detail:
    """A crash point and a cut wait for their turn, for ever."""
    try:
        return await _strike(fault, arena)
    except (KafkaError, psycopg.Error, OSError) as error:
        # Another fault at the same time: what this one needs is away.
        raise NotDone(f"{type(error).__name__}: {str(error).splitlines()[:1]}") from error


async def _strike(fault: Fault, arena: Arena) -> Detail:
    match fault:
        case faults.Kill() | faults.Stop():
            await arena.down([fault.process], gently=isinstance(fault, faults.Stop))
            await asyncio.sleep(fault.down_s)
            try:
                await arena.up([fault.process])
            except NotDone as late:  # it was struck all the same: what it needs may be away too
                return {"late": str(late)}
            return {}
        case faults.Pause():
            arena.signal(fault.process, signal.SIGSTOP)
            await asyncio.sleep(fault.for_s)
            arena.signal(fault.process, signal.SIGCONT)
            return {}
        case faults.CrashPoint():
            return await _crash_point(fault, arena)
        case faults.CutCommit():
            await arena.proxy(fault.process).cut(fault.when, fault.statement)
            return {}
        case faults.Clock():
            arena.set_clock(fault.process, fault.step_s)
            await asyncio.sleep(fault.for_s)
            arena.set_clock(fault.process, 0)
            return {}
        case faults.Simulator():
            await arena.tell_simulator(fault.set)
            await asyncio.sleep(fault.for_s)
            if fault.then:
                await arena.until(lambda: _told(arena, fault.then), "the simulator back as it was")
            return {}
        case faults.Again():
            await arena.ready("kafka")
            return {"records": await _again(fault, arena)}
        case faults.Lose():
            await arena.ready("kafka")
            return {"records": await _lose(fault, arena)}
        case faults.NoConnections():
            await arena.ready("postgres")
            return await _no_connections(fault, arena)
        case faults.Locked():
            await arena.ready("postgres")
            return await _locked(fault, arena)
        case faults.DiskFull():
            await arena.ready("postgres")
            return await _disk_full(fault, arena)
        case _:
            assert_never(fault)


async def _told(arena: Arena, change: dict[str, Any]) -> bool:
    with suppress(NotDone):
        await arena.tell_simulator(change)
        return True
    return False


async def _crash_point(fault: faults.CrashPoint, arena: Arena) -> Detail:
    """It was armed when the process started."""
    while not arena.fired(fault.where, fault.point):  # noqa: ASYNC110  # a file of another process
        await asyncio.sleep(_LOOK_EVERY_S)
    if fault.action == "stop":

        async def stopped() -> bool:
            return arena.stopped(fault.where)

        with suppress(NotDone):  # it may have been killed right there
            await arena.until(stopped, "its stop", 1.0)
        await asyncio.sleep(fault.for_s)
        arena.signal(fault.where, signal.SIGCONT)
    return {}


# Kafka


@asynccontextmanager
async def _consumer(arena: Arena, group: str | None = None) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = AIOKafkaConsumer(
        bootstrap_servers=arena.settings.kafka, group_id=group, enable_auto_commit=False
    )
    try:
        await consumer.start()
        yield consumer
    finally:
        await consumer.stop()


def _places(arena: Arena, topic: str) -> list[TopicPartition]:
    settings = arena.settings
    return [TopicPartition(settings.topic_prefix + topic, number) for number in range(settings.partitions)]


async def _again(fault: faults.Again, arena: Arena) -> int:
    """Sends its last records once more; how many."""
    sent = 0
    async with _consumer(arena) as consumer:
        places = _places(arena, fault.topic)
        consumer.assign(places)
        firsts, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        producer = AIOKafkaProducer(bootstrap_servers=arena.settings.kafka, acks="all")
        await producer.start()
        try:
            for place in places:
                records = await _last(
                    consumer, place, max(firsts[place], ends[place] - fault.count), ends[place]
                )
                for record in records if fault.fault == "duplicate" else reversed(records):
                    await producer.send_and_wait(
                        place.topic,
                        record.value,
                        key=record.key,
                        headers=list(record.headers),
                        partition=place.partition,
                    )
                    sent += 1
        finally:
            await producer.stop()
    if not sent:
        raise NotDone(f"{fault.topic} was empty")
    return sent


async def _last(consumer: AIOKafkaConsumer, place: TopicPartition, first: int, end: int) -> list[Any]:
    records: list[Any] = []
    consumer.seek(place, first)
    while first < end:
        for record in (await consumer.getmany(place, timeout_ms=2000)).get(place, []):
            if record.offset < end:
                records.append(record)
            first = record.offset + 1
    return records


_READERS: Final = {
    "outcomes": ("command", GROUP, (topics.OUTCOMES,)),
    "requests": (
        "gateway",
        topics.gateway_group(topics.GATEWAYS[0]),
        (topics.requests(topics.GATEWAYS[0]),),
    ),
    "events": ("views", "read-models", (topics.EVENTS,)),
}


async def _lose(fault: faults.Lose, arena: Arena) -> int:
    """How many nobody will read."""
    kind, group, names = _READERS[fault.what]
    readers = arena.of_kind(kind)
    places = [place for name in names for place in _places(arena, name)]
    await arena.down(readers, gently=True)
    try:
        async with _consumer(arena, arena.settings.topic_prefix + group) as consumer:
            consumer.assign(places)
            read: dict[TopicPartition, int] = {
                place: await consumer.committed(place) or 0 for place in places
            }
            ends: dict[TopicPartition, int] = {}

            async def some() -> bool:
                ends.update(await consumer.end_offsets(places))
                return any(ends[place] > read[place] for place in places)

            await arena.until(some, f"{fault.what} that nobody has read", fault.for_s)
            # A member that was killed just before is missed only after its session.
            await arena.until(lambda: _committed(consumer, ends), "the group is empty", _GROUP_EMPTY_WITHIN_S)
    finally:
        await arena.up(readers)
    return sum(ends[place] - read[place] for place in places)


async def _committed(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> bool:
    try:
        await consumer.commit(ends)
    except KafkaError:
        return False
    return True


# PostgreSQL


async def _no_connections(fault: faults.NoConnections, arena: Arena) -> Detail:
    await _limit_connections(arena, 0)
    await asyncio.sleep(fault.for_s)
    await arena.until(lambda: _insisted(_limit_connections(arena, -1)), "connections again")
    return {}


async def _limit_connections(arena: Arena, limit: int) -> None:
    """A limit of the database: those that are open go on, and only a superuser gets a new one."""
    async with await arena.admin() as admin:
        database = sql.Identifier(admin.info.dbname)
        await admin.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(database, limit))


async def _locked(fault: faults.Locked, arena: Arena) -> Detail:
    async with await arena.admin() as admin, admin.transaction():
        await admin.execute(sql.SQL("LOCK TABLE {}").format(sql.Identifier(fault.table)))
        await asyncio.sleep(fault.for_s)
    return {}


_FULL: Final = """
    CREATE FUNCTION {} () RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100';
    END $$
"""


async def _disk_full(fault: faults.DiskFull, arena: Arena) -> Detail:
    # One for each table: two may be full at once.
    table, function = sql.Identifier(fault.table), sql.Identifier(f"chaos_disk_full_{fault.table}")
    trigger = sql.SQL("CREATE TRIGGER chaos_disk_full BEFORE INSERT ON {} EXECUTE FUNCTION {} ()").format(
        table, function
    )
    async with await arena.admin() as admin, admin.transaction():
        await admin.execute(sql.SQL(_FULL).format(function))
        await admin.execute(trigger)
    await asyncio.sleep(fault.for_s)
    # On a connection of its own: PostgreSQL may have been killed meanwhile, and the trigger would stay.
    await arena.until(lambda: _insisted(_room_again(arena, function)), "room on the disk")
    return {}


async def _room_again(arena: Arena, function: sql.Identifier) -> None:
    async with await arena.admin() as admin:
        await admin.execute(sql.SQL("DROP FUNCTION {} CASCADE").format(function))


async def _insisted(work: Awaitable[None]) -> bool:
    """Whether PostgreSQL was there to do it."""
    try:
        await work
    except psycopg.OperationalError:
        return False
    return True
