import asyncio
from collections import Counter
from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from commands.records import Record
from infra.kafka.window import BatchMode, BatchWork, KeyedConcurrency, KeyedWork, PartitionQueue


class Reading:
    """Which partitions are held."""

    def __init__(self) -> None:
        self.held: set[int] = set()

    def hold(self, topic: str, partition: int) -> None:
        self.held.add(partition)

    def resume(self, topic: str, partition: int) -> None:
        self.held.discard(partition)


class Calls:
    """A handler whose calls the test ends, by offset."""

    def __init__(self) -> None:
        self.open: dict[int, asyncio.Future[None]] = {}
        self.begun: list[int] = []
        self.failures: list[BaseException] = []

    async def handle(self, record: Record) -> None:
        self.begun.append(record.offset)
        self.open[record.offset] = asyncio.get_running_loop().create_future()
        await self.open[record.offset]

    async def end(self, offset: int, error: Exception | None = None) -> None:
        call = self.open.pop(offset)
        if error is None:
            call.set_result(None)
        else:
            call.set_exception(error)
        await settled()


async def settled() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def record(offset: int, key: bytes | None = None) -> Record:
    return Record("t", 0, offset, key, b"", {}, 0)


async def take(window: KeyedWork | BatchWork, line: PartitionQueue, *records: Record) -> None:
    for one in records:
        entry = line.add(one)
        assert entry is not None
        await window.take(entry)
    await settled()


def window_of(
    calls: Calls, in_flight_max: int = 10, ahead_max: int = 200, reading: Reading | None = None
) -> KeyedWork:
    mode = KeyedConcurrency(calls.handle, in_flight_max, ahead_max)
    return KeyedWork("test", mode, reading or Reading(), calls.failures.append)


async def test_offsets_may_be_committed_up_to_the_oldest_call_in_flight():
    calls, line = Calls(), PartitionQueue("t", 0)
    window = window_of(calls)
    await take(window, line, *map(record, range(4)))

    await calls.end(1)
    await calls.end(3)
    assert line.next_offset is None
    await calls.end(0)
    assert line.next_offset == 2
    await calls.end(2)
    assert line.next_offset == 4


async def test_records_of_one_key_are_handled_one_at_a_time_in_their_order():
    calls, line = Calls(), PartitionQueue("t", 0)
    window = window_of(calls)
    await take(window, line, record(0, b"a"), record(1, b"a"), record(2, b"b"), record(3, b"a"))

    assert calls.begun == [0, 2]
    await calls.end(0)
    assert calls.begun == [0, 2, 1]
    await calls.end(1)
    assert calls.begun == [0, 2, 1, 3]


async def test_a_key_stays_taken_while_its_call_of_an_older_assignment_is_in_flight():
    calls, old, new = Calls(), PartitionQueue("t", 0), PartitionQueue("t", 0)
    window = window_of(calls)
    await take(window, old, record(7, b"a"))
    old.revoke()
    first_call = calls.open.pop(7)

    await take(window, new, record(7, b"a"))
    assert calls.begun == [7]
    first_call.set_result(None)
    await settled()

    assert calls.begun == [7, 7]
    assert new.next_offset is None
    await calls.end(7)
    assert new.next_offset == 8


async def test_what_was_thrown_away_is_not_begun():
    calls, old, new = Calls(), PartitionQueue("t", 0), PartitionQueue("t", 0)
    window = window_of(calls, in_flight_max=1)
    await take(window, old, record(0, b"a"), record(1, b"b"), record(2, b"a"))
    old.revoke()
    await take(window, new, record(3, b"b"))

    await calls.end(0)

    assert calls.begun == [0, 3]


async def test_a_partition_is_held_at_its_bound_and_goes_on_when_its_oldest_ends():
    calls, line, reading = Calls(), PartitionQueue("t", 0), Reading()
    window = window_of(calls, ahead_max=3, reading=reading)
    await take(window, line, *map(record, range(5)))

    assert calls.begun == [0, 1, 2]
    assert reading.held == {0}
    await calls.end(1)
    assert calls.begun == [0, 1, 2]
    await calls.end(0)
    assert calls.begun == [0, 1, 2, 3, 4]
    assert reading.held == set()


async def test_a_failed_handler_is_reported_and_its_record_is_never_acknowledged():
    calls, line = Calls(), PartitionQueue("t", 0)
    window = window_of(calls)
    await take(window, line, *map(record, range(3)))

    await calls.end(0)
    await calls.end(1, ConnectionError("away"))
    await calls.end(2)

    assert [type(error) for error in calls.failures] == [ConnectionError]
    assert line.next_offset == 1


def test_a_record_that_comes_twice_is_taken_once_and_a_jump_names_the_offsets_in_it():
    line = PartitionQueue("t", 0)
    assert line.add(record(5)) is not None
    assert line.add(record(5)) is None
    assert line.add(record(4)) is None
    assert line.add(record(6)) is not None
    assert line.skipped_before(record(7)) is None
    assert line.skipped_before(record(9)) == (7, 9)


def test_an_assignment_begins_at_the_committed_offset_and_a_jump_over_it_is_seen():
    line = PartitionQueue("t", 0, due=5)
    assert line.add(record(4)) is None
    assert line.skipped_before(record(5)) is None
    assert line.skipped_before(record(6)) == (5, 6)
    assert line.add(record(5)) is not None


@given(
    keys=st.lists(st.sampled_from([b"a", b"b", b"c", None]), min_size=1, max_size=40),
    order=st.randoms(use_true_random=False),
    in_flight_max=st.integers(1, 8),
    ahead_max=st.integers(1, 10),
)
@settings(max_examples=60)
def test_whatever_the_order_of_completions_every_record_is_handled_once_and_committed_in_order(
    keys: list[bytes | None], order, in_flight_max: int, ahead_max: int
):
    async def run() -> None:
        calls, line = Calls(), PartitionQueue("t", 0)
        window = window_of(calls, in_flight_max, ahead_max)
        await take(window, line, *[record(offset, key) for offset, key in enumerate(keys)])
        ended: set[int] = set()
        while calls.open:
            oldest = next(n for n in range(len(keys)) if n not in ended)
            assert len(calls.open) <= in_flight_max
            assert max(calls.open) < oldest + ahead_max
            in_flight = [keys[offset] for offset in calls.open if keys[offset] is not None]
            assert len(in_flight) == len(set(in_flight))
            offset = order.choice(sorted(calls.open))
            await calls.end(offset)
            ended.add(offset)
            oldest = next((n for n in range(len(keys)) if n not in ended), len(keys))
            assert (line.next_offset or 0) == oldest
        assert Counter(calls.begun) == Counter(range(len(keys)))
        for key in set(keys) - {None}:
            of_key = [offset for offset in calls.begun if keys[offset] == key]
            assert of_key == sorted(of_key)

    asyncio.run(run())


async def test_a_batch_begins_at_once_and_the_next_holds_what_came_meanwhile():
    batches: list[list[int]] = []
    handled = asyncio.Event()

    async def handle(records: Sequence[Record]) -> None:
        batches.append([one.offset for one in records])
        await handled.wait()

    line = PartitionQueue("t", 0)
    work = BatchWork("test", BatchMode(handle, most=4), lambda error: None)
    await take(work, line, record(0))
    await take(work, line, *map(record, range(1, 7)))
    assert batches == [[0]]
    assert line.next_offset is None

    handled.set()
    await settled()

    assert batches == [[0], [1, 2, 3, 4], [5, 6]]
    assert line.next_offset == 7


async def test_a_full_agent_takes_no_more_until_a_batch_has_gone():
    handled = asyncio.Event()

    async def handle(records: Sequence[Record]) -> None:
        await handled.wait()

    line = PartitionQueue("t", 0)
    work = BatchWork("test", BatchMode(handle, most=2), lambda error: None)
    await take(work, line, *map(record, range(4)))
    await take(work, line, record(4), record(5))
    one_more = line.add(record(6))
    assert one_more is not None
    waiting = asyncio.create_task(work.take(one_more))
    await settled()
    taken_at_once = waiting.done()

    handled.set()
    await waiting
    await settled()

    assert not taken_at_once
    assert line.next_offset == 7


async def test_a_failed_batch_is_reported_and_acknowledges_nothing():
    failures: list[BaseException] = []

    async def handle(records: Sequence[Record]) -> None:
        raise ConnectionError

    line = PartitionQueue("t", 0)
    work = BatchWork("test", BatchMode(handle, most=2), failures.append)
    await take(work, line, record(0))

    assert [type(error) for error in failures] == [ConnectionError]
    assert line.next_offset is None
