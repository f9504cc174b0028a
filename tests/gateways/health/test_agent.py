"""The health agent: what it publishes, and when. Its table is a dict, its clock the test's."""

from datetime import timedelta

import pytest

from aggregates.routing.circuit import CircuitRules
from commands.health_records import CircuitChange, HealthRecord, MinuteRecord
from commands.records import DeadLetter, Record
from gateways.health.agent import FORGOTTEN_AFTER, HealthAgent
from gateways.health.keeping import SEGMENTS_MAX
from gateways.health.rows import segment_key
from tests.gateways.health.batches import ACCOUNT, SEGMENT, START, batch, record, sample


class World:
    """The topics, the table and the clock."""

    def __init__(self) -> None:
        self.records: list[tuple[str, HealthRecord | None]] = []
        self.history_records: list[MinuteRecord | CircuitChange] = []
        self.letters: list[DeadLetter] = []
        self.table: dict[bytes, bytes] = {}
        self.now = START
        self.partition = 0
        self.agent = self.restarted()

    def restarted(self) -> HealthAgent:
        self.agent = HealthAgent(
            publishing=self,
            letters=self,
            rules=CircuitRules(),
            partition_of=lambda account: self.partition,
            now=lambda: self.now,
        )
        return self.agent

    async def health(self, account: str, record: HealthRecord | None) -> None:
        self.records.append((account, record))

    async def history(self, account: str, record: MinuteRecord | CircuitChange) -> None:
        self.history_records.append(record)

    async def send(self, letter: DeadLetter) -> None:
        self.letters.append(letter)

    async def take(self, *samples, offset: int = 0) -> None:
        await self.agent.handle(record(batch(*samples), offset), self.table)

    async def at(self, after_s: float) -> None:
        self.now = START + timedelta(seconds=after_s)
        await self.agent.tick(self.table, {0})

    @property
    def last(self) -> HealthRecord:
        found = self.records[-1][1]
        assert found is not None
        return found

    @property
    def changes(self) -> list[CircuitChange]:
        return [one for one in self.history_records if isinstance(one, CircuitChange)]

    @property
    def minutes(self) -> list[MinuteRecord]:
        return [one for one in self.history_records if isinstance(one, MinuteRecord)]


@pytest.fixture
def world() -> World:
    return World()


async def test_an_account_is_published_at_once_and_then_at_most_once_a_second(world: World):
    for number in range(8):
        await world.take(sample(after_s=number / 4), offset=number)
        await world.at(number / 4)

    assert [one.as_of for _, one in world.records] == [START + timedelta(seconds=s) for s in (0, 1)]
    assert world.last.segments[SEGMENT].approved == 5
    assert world.last.gateway == "stripe"


async def test_a_silent_account_is_published_every_five_seconds(world: World):
    await world.take(sample())
    for quarter in range(4 * 21):
        await world.at(quarter / 4)

    assert [(one.as_of - START).total_seconds() for _, one in world.records] == [0, 5, 10, 15, 20]


async def test_a_circuit_that_opens_is_published_at_once_with_its_reason(world: World):
    await world.take(sample())
    await world.at(0)
    await world.take(*[sample("failed", 0.1, error="timeout") for _ in range(5)], offset=1)
    await world.at(0.1)

    circuit = world.last.circuits["sale"]
    assert (circuit.state, circuit.until) == ("open", START + timedelta(seconds=60.1))
    assert circuit.reason == "5 calls in a row failed, the last with timeout"
    (change,) = world.changes
    assert (change.account, change.kind, change.before, change.after) == (ACCOUNT, "sale", "closed", "open")
    assert change.reason == circuit.reason


async def test_an_open_circuit_of_a_silent_account_becomes_half_open_at_its_time(world: World):
    await world.take(*[sample("failed") for _ in range(5)])
    for quarter in range(4 * 62):
        if quarter == 9:  # from here on a record is due every 5 s, and none at 60 s
            await world.take(sample("approved", 2.25), offset=1)
        await world.at(quarter / 4)

    assert [one.circuits["sale"].state for _, one in world.records].count("half_open") >= 1
    halves = [one for _, one in world.records if one.circuits["sale"].state == "half_open"]
    assert halves[0].as_of == START + timedelta(seconds=60)
    assert halves[0].circuits["sale"].probe_share == 0.6  # 5 in the last 10 s
    assert [one.after for one in world.changes] == ["open", "half_open"]


async def test_after_a_restart_the_figures_are_those_of_the_table(world: World):
    await world.take(sample(latency_ms=20.0), sample("declined"))
    await world.at(0)
    before = world.last

    world.restarted()
    await world.at(1)

    assert world.last.segments == before.segments
    assert world.last.circuits == before.circuits


async def test_without_its_table_it_begins_anew_with_the_next_sample(world: World):
    await world.take(*[sample("failed") for _ in range(5)])
    await world.at(0)
    world.table.clear()
    world.restarted()
    await world.at(10)
    assert len(world.records) == 1, "nothing is known, and nothing is said"

    await world.take(sample("approved", 20), offset=1)
    await world.at(20)

    assert world.last.circuits["sale"].state == "closed"
    assert world.last.segments[""].approved == 1


async def test_a_row_of_another_release_is_left_out_and_begins_anew(world: World):
    await world.take(sample())
    world.table[segment_key(ACCOUNT, SEGMENT)] = b"[99]"
    world.restarted()
    await world.at(0)
    assert set(world.last.segments) == {"sale/card/EUR", "sale/card", "sale", ""}

    await world.take(sample(), offset=1)
    await world.at(1)
    assert world.last.segments[SEGMENT].approved == 1


async def test_a_segment_that_made_room_is_in_neither_the_table_nor_the_record(world: World):
    for number in range(SEGMENTS_MAX):
        await world.take(sample(after_s=number, segment=f"sale/m{number}"), offset=number)
    await world.at(SEGMENTS_MAX)

    assert len(world.last.segments) == SEGMENTS_MAX
    assert segment_key(ACCOUNT, "sale/m0") not in world.table
    assert segment_key(ACCOUNT, "sale/m1") not in world.table
    assert {"", "sale", "sale/m2", f"sale/m{SEGMENTS_MAX - 1}"} < set(world.last.segments)


async def test_accounts_of_another_process_are_not_published(world: World):
    await world.take(sample())
    world.partition = 3
    await world.at(0)

    assert world.records == []


async def test_a_minute_is_published_once_it_is_over_also_of_a_silent_account(world: World):
    await world.take(sample("approved", 10), sample("failed", 70, error="timeout"))
    (first,) = world.minutes
    assert (first.minute, first.segments["sale"].approved) == (START, 1)

    for second in range(70, 140):
        await world.at(second)

    assert [one.minute for one in world.minutes] == [START, START + timedelta(minutes=1)]
    assert world.minutes[1].segments[""].errors == {"timeout": 1}


async def test_an_account_that_was_silent_for_a_week_is_forgotten(world: World):
    await world.take(sample())
    await world.at(0)
    for more_s in (1, 10, 20):
        await world.at(FORGOTTEN_AFTER.total_seconds() + more_s)

    assert [one is None for _, one in world.records] == [False, True]
    world.now = back = START + FORGOTTEN_AFTER + timedelta(minutes=1)
    await world.take(sample(at=back), offset=1)
    await world.agent.tick(world.table, {0})
    assert world.last.segments[""].approved == 2


@pytest.mark.parametrize(
    ("key", "value", "code"),
    [
        (b"stripe-eu", b"{", "field_invalid"),
        (b"stripe-us", batch(sample()).dump(), "wrong_key"),
        (None, batch(sample()).dump(), "wrong_key"),
    ],
)
async def test_a_record_that_is_no_batch_is_a_dead_letter(world: World, key, value, code):
    await world.agent.handle(Record("gateways.samples", 0, 0, key, value, {}, 1), world.table)

    assert [one.code for one in world.letters] == [code]
    assert world.table == {}


async def test_a_batch_that_is_read_again_announces_the_same_changes_and_counts_nothing_twice(world: World):
    failures = [sample("failed") for _ in range(5)]
    table: dict[bytes, bytes] = {}
    await world.agent.handle(record(batch(*failures)), table)
    # Killed before the table was written: both are lost but for the history.
    world.restarted()
    await world.take(*failures)
    await world.take(*failures)
    await world.at(0)

    assert len({one.dump() for one in world.changes}) == 1
    assert world.last.segments[""].failed == 5
