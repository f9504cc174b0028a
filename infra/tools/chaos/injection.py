"""Injects one fault of a plan, from its beginning to its end, and returns figures about what it did."""

import asyncio
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, Final, assert_never

import psycopg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.errors import CommitFailedError, KafkaError
from psycopg import sql

from infra.kafka import reader, topics
from infra.tools.chaos import faults
from infra.tools.chaos.faults import Fault
from infra.tools.chaos.testbed import FaultNotInjected, Testbed

_LOOK_EVERY_S: Final = 0.05
# A commit waits as long as another fault keeps Kafka away.
_GROUP_EMPTY_WITHIN_S: Final = 60.0
_KAFKA_FAILS_AT_MOST_S: Final = 120.0

Detail = dict[str, Any]


async def inject(fault: Fault, testbed: Testbed) -> Detail:
    """Injects the fault. A failpoint and a cut wait for their turn without a limit. Raises
    `FaultNotInjected`."""
    try:
        return await _inject(fault, testbed)
    except (KafkaError, psycopg.Error, OSError) as error:
        # Another fault at the same time: what this one needs is away.
        raise FaultNotInjected(f"{type(error).__name__}: {str(error).splitlines()[:1]}") from error


async def _inject(fault: Fault, testbed: Testbed) -> Detail:
    match fault:
        case faults.Kill() | faults.Stop():
            await testbed.down([fault.process], gently=isinstance(fault, faults.Stop))
            await asyncio.sleep(fault.down_s)
            return await _up_or_late(testbed, [fault.process])
        case faults.Pause():
            testbed.signal(fault.process, signal.SIGSTOP)
            await asyncio.sleep(fault.for_s)
            testbed.signal(fault.process, signal.SIGCONT)
            return {}
        case faults.CrashPoint():
            return await _crash_point(fault, testbed)
        case faults.CutCommit():
            await testbed.proxy(fault.process).cut(fault.when, fault.statement)
            return {}
        case faults.Clock():
            testbed.set_clock(fault.process, fault.step_s)
            await asyncio.sleep(fault.for_s)
            testbed.set_clock(fault.process, 0)
            return {}
        case faults.Simulator():
            await testbed.change_simulator(fault.set)
            await asyncio.sleep(fault.for_s)
            if fault.then:
                await testbed.until(lambda: _applied(testbed, fault.then), "the simulator back as it was")
            return {}
        case faults.Again():
            return {"records": await _as_kafka_returns(testbed, lambda: _again(fault, testbed))}
        case faults.Lose():
            return await _lose(fault, testbed)
        case faults.NoConnections():
            await testbed.ready("postgres")
            return await _no_connections(fault, testbed)
        case faults.Locked():
            await testbed.ready("postgres")
            return await _locked(fault, testbed)
        case faults.DiskFull():
            await testbed.ready("postgres")
            return await _disk_full(fault, testbed)
        case _:
            assert_never(fault)


async def _up_or_late(testbed: Testbed, names: list[str]) -> Detail:
    """Starts the processes again. One that is late was hit all the same: what it needs may be away too."""
    try:
        await testbed.up(names)
    except FaultNotInjected as late:
        return {"late": str(late)}
    return {}


async def _as_kafka_returns(testbed: Testbed, work: Callable[[], Awaitable[int]]) -> int:
    """Does the work, and does it anew where another fault takes Kafka away meanwhile. Raises
    `FaultNotInjected` when Kafka does not return, and the client's `KafkaError` when it still fails after
    `_KAFKA_FAILS_AT_MOST_S`."""
    give_up_s = time.monotonic() + _KAFKA_FAILS_AT_MOST_S
    while True:
        await testbed.ready("kafka")
        try:
            return await work()
        except KafkaError:
            if time.monotonic() > give_up_s:
                raise
            await asyncio.sleep(_LOOK_EVERY_S)


async def _applied(testbed: Testbed, change: dict[str, Any]) -> bool:
    with suppress(FaultNotInjected):
        await testbed.change_simulator(change)
        return True
    return False


async def _crash_point(fault: faults.CrashPoint, testbed: Testbed) -> Detail:
    """Waits until the process passes the point, which was armed at its start."""
    while not testbed.fired(fault.where, fault.point):  # noqa: ASYNC110  # a file of another process
        await asyncio.sleep(_LOOK_EVERY_S)
    if fault.action == "stop":

        async def stopped() -> bool:
            return testbed.stopped(fault.where)

        with suppress(FaultNotInjected):  # it may have been killed right there
            await testbed.until(stopped, "its stop", 1.0)
        await asyncio.sleep(fault.for_s)
        testbed.signal(fault.where, signal.SIGCONT)
    return {}


# Kafka


@asynccontextmanager
async def _consumer(testbed: Testbed, group: str | None = None) -> AsyncIterator[AIOKafkaConsumer]:
    consumer = reader.consumer(testbed.settings.kafka, group_id=group)
    try:
        await consumer.start()
        yield consumer
    finally:
        # Awaited apart: while Kafka is away, what the library cancels of its own comes out of `stop`, and
        # would pass for a cancellation of the fault.
        stopping = asyncio.ensure_future(consumer.stop())
        await asyncio.wait([stopping])
        if not stopping.cancelled():
            stopping.result()


async def _again(fault: faults.Again, testbed: Testbed) -> int:
    """Sends the last records of each partition once more and returns how many were sent."""
    sent = 0
    async with _consumer(testbed) as consumer:
        places = reader.partitions_of(testbed.settings, fault.topic)
        firsts, ends = await consumer.beginning_offsets(places), await consumer.end_offsets(places)
        producer = AIOKafkaProducer(bootstrap_servers=testbed.settings.kafka, acks="all")
        await producer.start()
        try:
            for place in places:
                first = {place: max(firsts[place], ends[place] - fault.count)}
                records = [
                    record async for read in reader.read_between(consumer, first, ends) for record in read
                ]
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
        raise FaultNotInjected(f"{fault.topic} was empty")
    return sent


_READERS: Final = {
    "outcomes": ("command", topics.COMMAND_GROUP, (topics.OUTCOMES,)),
    "requests": (
        "gateway",
        topics.gateway_group(topics.GATEWAYS[0]),
        (topics.requests(topics.GATEWAYS[0]),),
    ),
    "events": ("read-models", topics.READ_MODELS_GROUP, (topics.EVENTS,)),
}


async def _lose(fault: faults.Lose, testbed: Testbed) -> Detail:
    """Moves the group past its unread records and returns how many nobody will read."""
    kind, group, names = _READERS[fault.what]
    readers = testbed.of_kind(kind)
    places = [place for name in names for place in reader.partitions_of(testbed.settings, name)]

    async def pass_over() -> int:
        async with _consumer(testbed, testbed.settings.topic_prefix + group) as consumer:
            consumer.assign(places)
            read: dict[TopicPartition, int] = {
                place: await consumer.committed(place) or 0 for place in places
            }
            ends: dict[TopicPartition, int] = {}

            async def some() -> bool:
                ends.update(await consumer.end_offsets(places))
                return any(ends[place] > read[place] for place in places)

            await testbed.until(some, f"{fault.what} that nobody has read", fault.for_s)
            # A member that was killed just before is missed only after its session.
            await testbed.until(
                lambda: _committed(consumer, ends), "the group is empty", _GROUP_EMPTY_WITHIN_S
            )
        return sum(ends[place] - read[place] for place in places)

    await testbed.down(readers, gently=True)
    try:
        records = await _as_kafka_returns(testbed, pass_over)
    finally:
        late = await _up_or_late(testbed, readers)
    return {"records": records} | late


async def _committed(consumer: AIOKafkaConsumer, ends: dict[TopicPartition, int]) -> bool:
    """True once the group has no member: a commit from outside is refused before."""
    try:
        await consumer.commit(ends)
    except CommitFailedError:
        return False
    return True


# PostgreSQL


async def _no_connections(fault: faults.NoConnections, testbed: Testbed) -> Detail:
    await _limit_connections(testbed, 0)
    await asyncio.sleep(fault.for_s)
    await testbed.until(lambda: _insisted(_limit_connections(testbed, -1)), "connections again")
    return {}


async def _limit_connections(testbed: Testbed, limit: int) -> None:
    """Sets the database's limit: open connections go on, and only a superuser gets a new one. -1 lifts the
    limit."""
    async with await testbed.admin() as admin:
        database = sql.Identifier(admin.info.dbname)
        await admin.execute(sql.SQL("ALTER DATABASE {} CONNECTION LIMIT {}").format(database, limit))


async def _locked(fault: faults.Locked, testbed: Testbed) -> Detail:
    async with await testbed.admin() as admin, admin.transaction():
        await admin.execute(sql.SQL("LOCK TABLE {}").format(sql.Identifier(fault.table)))
        await asyncio.sleep(fault.for_s)
    return {}


_FULL: Final = """
    CREATE FUNCTION {} () RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100';
    END $$
"""


async def _disk_full(fault: faults.DiskFull, testbed: Testbed) -> Detail:
    # One for each table: two may be full at once.
    table, function = sql.Identifier(fault.table), sql.Identifier(f"chaos_disk_full_{fault.table}")
    trigger = sql.SQL("CREATE TRIGGER chaos_disk_full BEFORE INSERT ON {} EXECUTE FUNCTION {} ()").format(
        table, function
    )
    async with await testbed.admin() as admin, admin.transaction():
        await admin.execute(sql.SQL(_FULL).format(function))
        await admin.execute(trigger)
    await asyncio.sleep(fault.for_s)
    # On a connection of its own: PostgreSQL may have been killed meanwhile, and the trigger would stay.
    await testbed.until(lambda: _insisted(_room_again(testbed, function)), "room on the disk")
    return {}


async def _room_again(testbed: Testbed, function: sql.Identifier) -> None:
    async with await testbed.admin() as admin:
        await admin.execute(sql.SQL("DROP FUNCTION {} CASCADE").format(function))


async def _insisted(work: Awaitable[None]) -> bool:
    """True if PostgreSQL was available to do the work."""
    try:
        await work
    except psycopg.OperationalError:
        return False
    return True
