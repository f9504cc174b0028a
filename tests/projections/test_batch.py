import asyncio
import random

import pytest

from aggregates.status import Status
from projections import batch
from projections.batch import Done
from tests.controls import NOW
from tests.place import Place
from tests.projections.stories import (
    captured,
    doubtful,
    event_of,
    put_into_store,
    read_model,
    views_connection,
)

pytestmark = pytest.mark.stack


@pytest.fixture
def place(database):
    return database


async def apply(place: Place, stories, heads=None) -> Done:
    async with views_connection(place) as conn:
        return await batch.apply(conn, map(event_of, stories), heads or {}, NOW)


async def test_a_payment_with_its_operation_is_written(place):
    story = captured()

    done = await apply(place, story)

    row = read_model(place, story[0].originator_id)
    assert done == Done(applied=3)
    assert (row["status"], row["version"], row["captured_minor"]) == (Status.CAPTURED, 3, 1099)
    assert row["created_at"] == NOW
    (operation,) = row["operations"]
    assert (operation["state"], operation["psp_id"], operation["call_ms"]) == ("APPROVED", "pi_1", 20.0)


async def test_a_batch_twice_changes_nothing(place):
    story = captured()
    await apply(place, story)
    before = read_model(place, story[0].originator_id)

    done = await apply(place, story)

    assert done == Done(skipped=3)
    assert read_model(place, story[0].originator_id) == before


async def test_a_zombie_with_old_events_changes_nothing(place):
    story = doubtful()
    await apply(place, story)
    before = read_model(place, story[0].originator_id)

    await apply(place, story[:2])

    assert read_model(place, story[0].originator_id) == before


async def test_any_order_within_a_batch_is_put_right(place):
    stories = [event for _ in range(20) for event in doubtful()]
    random.Random(7).shuffle(stories)

    done = await apply(place, stories)

    assert (done.applied, done.stale) == (100, [])
    assert {read_model(place, e.originator_id)["status"] for e in stories} == {Status.CAPTURED}


async def test_a_gap_is_filled_from_the_store_in_the_same_batch(place):
    story = doubtful()
    put_into_store(place, story)
    await apply(place, story[:1])

    done = await apply(place, story[4:])

    assert (done.applied, done.filled) == (4, 3)
    assert read_model(place, story[0].originator_id)["version"] == 5


async def test_a_version_that_is_nowhere_makes_the_payment_stale_and_no_other(place):
    broken, whole = doubtful(), captured()

    done = await apply(place, [*broken[:2], *broken[3:], *whole])

    row = read_model(place, broken[0].originator_id)
    assert done.stale == [str(broken[0].originator_id)]
    assert (row["version"], row["stale_since"]) == (2, NOW)
    assert read_model(place, whole[0].originator_id)["version"] == 3


async def test_a_payment_that_stays_stale_raises_one_alarm(place):
    broken = doubtful()
    await apply(place, [*broken[:2], *broken[3:]])

    done = await apply(place, broken[4:])

    assert done.stale == []


async def test_a_stale_payment_is_whole_again_once_the_version_appears(place):
    story = doubtful()
    await apply(place, [*story[:2], *story[3:4]])
    put_into_store(place, story)

    await apply(place, story[4:])

    row = read_model(place, story[0].originator_id)
    assert (row["version"], row["stale_since"]) == (5, None)


async def test_a_stored_event_that_cannot_be_read_makes_the_payment_stale(place):
    story = captured()
    broken = story[1].__class__(story[1].originator_id, 2, story[1].topic, b"{}")
    put_into_store(place, [story[0], broken])

    done = await apply(place, [story[0], story[2]])

    assert done.stale == [str(story[0].originator_id)]


async def test_heads_alone_bring_a_payment_up_from_the_store(place):
    story = doubtful()
    put_into_store(place, story)

    done = await apply(place, [], {str(story[0].originator_id): 5})

    assert (done.applied, done.filled, done.skipped) == (5, 5, 0)
    assert read_model(place, story[0].originator_id)["status"] == Status.CAPTURED


async def test_workers_with_the_same_events_at_once_apply_each_event_once(place):
    stories = [event for _ in range(30) for event in doubtful()]

    async def worker(seed: int) -> int:
        mine = stories.copy()
        random.Random(seed).shuffle(mine)
        return (await apply(place, mine)).applied

    applied = await asyncio.gather(*map(worker, range(4)))

    assert sum(applied) == len(stories)
    assert {read_model(place, e.originator_id)["version"] for e in stories} == {5}


async def test_an_empty_batch_is_no_work(place):
    assert await apply(place, []) == Done()
