"""The order of the log, and that nothing is ever behind the cursor that was not read."""

import asyncio
import random
import re
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial

import psycopg
import pytest

from relay import log
from relay.log import CursorMoved, Position, load_cursor, move_cursor, page, waiting
from tests.relay.history import (
    Written,
    drain,
    drain_until,
    ids_of,
    in_order_per_payment,
    payments,
    records_of,
    relay_of,
    session,
    write,
    write_at,
)
from tests.support.environment import Environment

pytestmark = pytest.mark.stack

_START = Position(0, "0", 0)
_EVERYTHING = "'18446744073709551615'::xid8"


@pytest.fixture
def without_the_snapshot(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The same query, which reads up to what is committed and not up to the oldest running transaction."""
    careless = log._PAGE.replace("pg_snapshot_xmin(pg_current_snapshot())", _EVERYTHING)
    assert careless != log._PAGE
    monkeypatch.setattr(log, "_PAGE", careless)
    return


async def _what_eight_writers_wrote_and_kafka_has(environment: Environment) -> tuple[set[str], list[str]]:
    chance = random.Random(3)
    delays = [[chance.uniform(0, 0.05) for _ in range(12)] for _ in range(8)]

    def writer(own: list[float]) -> list[Written]:
        written = []
        with environment.connect() as connection:
            for delay_s in own:
                dawdle = partial(connection.execute, "SELECT pg_sleep(%s)", (delay_s,))
                new = payments(2, versions=2)
                # Two transactions for each payment, as in life: the second has read what the first committed.
                for version in (1, 2):
                    now = [event for event in new if event.version == version]
                    written += write(connection, now, before_commit=dawdle)
        return written

    async with relay_of(environment) as relay:
        writers = asyncio.gather(*(asyncio.to_thread(writer, own) for own in delays))
        await drain_until(relay, writers.done)
        written = {event.id for events in writers.result() for event in events}
    return written, ids_of(await records_of(environment))


async def test_eight_writers_that_dawdle_before_commit_lose_no_event_and_no_order(
    environment: Environment,
) -> None:
    written, published = await _what_eight_writers_wrote_and_kafka_has(environment)

    assert set(published) == written
    assert len(published) == len(written)
    assert in_order_per_payment(published)


@pytest.mark.usefixtures("without_the_snapshot")
async def test_without_the_snapshot_condition_the_same_writers_lose_events(environment: Environment) -> None:
    written, lost = set[str](), set[str]()
    for _ in range(10):  # which of them overtakes another is chance
        more, published = await _what_eight_writers_wrote_and_kafka_has(environment)
        written |= more
        assert set(published) <= written
        if lost := written - set(published):
            break

    assert lost


async def test_an_event_waits_for_every_transaction_that_began_to_write_before_it(
    environment: Environment,
) -> None:
    (slow,), (quick,) = payments(1), payments(1)
    with environment.connect() as dawdler, environment.connect() as other, ExitStack() as stays_open:
        stays_open.enter_context(dawdler.transaction())
        write(dawdler, [slow])
        write(other, [quick])

        async with session(environment) as reader:
            before = await page(reader, _START, 1, 10)
            stays_open.close()
            after = await page(reader, _START, 1, 10)

    assert before == []
    assert [entry.payment_id for entry in after] == [str(slow.payment_id), str(quick.payment_id)]


async def test_an_event_of_a_transaction_that_was_rolled_back_holds_nothing_up(
    environment: Environment,
) -> None:
    (kept,) = payments(1)
    with environment.connect() as connection:
        with connection.transaction(force_rollback=True):
            write(connection, payments(1))
        write(connection, [kept])

    async with relay_of(environment) as relay:
        await drain(relay)

    assert ids_of(await records_of(environment)) == [kept.id]


async def test_the_order_holds_where_transaction_ids_gain_a_digit(environment: Environment) -> None:
    ids = [8, 9, 10, 11, 98, 99, 100, 101, 999, 1000, 1001, 9_999_999_999, 10_000_000_000]
    shuffled = random.Random(5).sample(ids, k=len(ids))
    with environment.connect("admin") as owner:
        for tx in shuffled:
            write_at(owner, *payments(1), generation=1, tx=tx)

    read: list[int] = []
    async with session(environment) as reader:
        after = _START
        # Of an older generation: no transaction of it can still be running.
        while entries := await page(reader, after, 2, 3):
            read += [int(entry.tx) for entry in entries]
            after = entries[-1].position

    assert read == ids


async def test_an_older_generation_comes_first_however_high_its_transaction_ids_are(
    environment: Environment,
) -> None:
    (old,), (new,) = payments(1), payments(1)
    with environment.connect("admin") as owner:
        write(owner, [new], generation=2)
        write_at(owner, old, generation=1, tx=2**60)

    async with session(environment) as reader:
        first = await page(reader, _START, 2, 1)
        second = await page(reader, first[0].position, 2, 1)

    assert [entry.payment_id for entry in first + second] == [str(old.payment_id), str(new.payment_id)]


async def test_a_page_is_found_by_the_index_alone(environment: Environment) -> None:
    with environment.connect("admin") as owner:
        owner.execute(
            "INSERT INTO payment_events (originator_id, originator_version, topic, state, generation, tx)"
            " SELECT gen_random_uuid(), 1, 'payment.requested.v1', '{}', 1, (n / 3)::text::xid8"
            " FROM generate_series(1, 20000) AS n"
        )
        owner.execute("ANALYZE payment_events")
        plan = owner.execute("EXPLAIN " + log._PAGE, (1, "600", 5, 1, 100)).fetchall()

    text = "\n".join(line for (line,) in plan)
    assert "Index Scan using payment_events_log" in text
    (condition,) = re.findall(r"Index Cond: (.*)", text)
    assert "pg_snapshot_xmin" in condition
    assert "Filter" not in text
    assert "Sort" not in text


async def test_the_cursor_moves_only_from_where_this_relay_left_it(environment: Environment) -> None:
    async with session(environment) as connection:
        await move_cursor(connection, _START, Position(1, "999", 4))

        with pytest.raises(CursorMoved):
            await move_cursor(connection, _START, Position(1, "1000", 5))

        assert await load_cursor(connection) == Position(1, "999", 4)


async def test_what_waits_names_the_first_unpublished_event_and_the_oldest_running_transaction(
    environment: Environment,
) -> None:
    (event,) = payments(1)
    with environment.connect() as dawdler, environment.connect() as other, dawdler.transaction():
        write(dawdler, payments(1))
        own = dawdler.execute("SELECT pg_current_xact_id()::text").fetchone()
        write(other, [event])
        async with session(environment) as reader:
            found = await waiting(reader, _START)

    assert found.oldest_state == event.state
    assert found.oldest_tx is not None
    assert own is not None
    assert int(found.oldest_tx) <= int(own[0])


def test_the_relay_may_change_nothing_but_its_cursor(environment: Environment) -> None:
    with environment.connect("relay") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        write(connection, payments(1))
