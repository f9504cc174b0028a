import asyncio
import random

import pytest

from aggregates.status import Status
from projections import batch
from projections.batch import BatchResult
from tests.support.builders import NOW
from tests.support.environment import Environment
from tests.support.event_stories import (
    captured,
    doubtful,
    event_of,
    put_into_store,
    read_model,
    read_models_connection,
)

pytestmark = pytest.mark.stack


@pytest.fixture
def environment(database):
    return database


async def apply(environment: Environment, stories, heads=None) -> BatchResult:
    async with read_models_connection(environment) as conn:
        return await batch.apply(conn, map(event_of, stories), heads or {}, NOW)


async def test_a_payment_with_its_operation_is_written(environment):
    story = captured()

    done = await apply(environment, story)

    row = read_model(environment, story[0].originator_id)
    assert done == BatchResult(applied=3)
    assert (row["status"], row["version"], row["captured_minor"]) == (Status.CAPTURED, 3, 1099)
    assert row["created_at"] == NOW
    (operation,) = row["operations"]
    assert (operation["state"], operation["psp_id"], operation["call_ms"]) == ("APPROVED", "pi_1", 20.0)


async def test_a_batch_twice_changes_nothing(environment):
    story = captured()
    await apply(environment, story)
    before = read_model(environment, story[0].originator_id)

    done = await apply(environment, story)

    assert done == BatchResult(skipped=3)
    assert read_model(environment, story[0].originator_id) == before


async def test_a_zombie_with_old_events_changes_nothing(environment):
    story = doubtful()
    await apply(environment, story)
    before = read_model(environment, story[0].originator_id)

    await apply(environment, story[:2])

    assert read_model(environment, story[0].originator_id) == before


async def test_any_order_within_a_batch_is_put_right(environment):
    stories = [event for _ in range(20) for event in doubtful()]
    random.Random(7).shuffle(stories)

    done = await apply(environment, stories)

    assert (done.applied, done.stale) == (100, [])
    assert {read_model(environment, e.originator_id)["status"] for e in stories} == {Status.CAPTURED}


async def test_a_gap_is_filled_from_the_store_in_the_same_batch(environment):
    story = doubtful()
    put_into_store(environment, story)
    await apply(environment, story[:1])

    done = await apply(environment, story[4:])

    assert (done.applied, done.filled) == (4, 3)
    assert read_model(environment, story[0].originator_id)["version"] == 5


async def test_a_version_that_is_nowhere_makes_the_payment_stale_and_no_other(environment):
    broken, whole = doubtful(), captured()

    done = await apply(environment, [*broken[:2], *broken[3:], *whole])

    row = read_model(environment, broken[0].originator_id)
    assert done.stale == [str(broken[0].originator_id)]
    assert (row["version"], row["stale_since"]) == (2, NOW)
    assert read_model(environment, whole[0].originator_id)["version"] == 3


async def test_a_payment_that_stays_stale_raises_one_alarm(environment):
    broken = doubtful()
    await apply(environment, [*broken[:2], *broken[3:]])

    done = await apply(environment, broken[4:])

    assert done.stale == []


async def test_a_stale_payment_is_whole_again_once_the_version_appears(environment):
    story = doubtful()
    await apply(environment, [*story[:2], *story[3:4]])
    put_into_store(environment, story)

    await apply(environment, story[4:])

    row = read_model(environment, story[0].originator_id)
    assert (row["version"], row["stale_since"]) == (5, None)


async def test_a_stored_event_that_cannot_be_read_makes_the_payment_stale(environment):
    story = captured()
    broken = story[1].__class__(story[1].originator_id, 2, story[1].topic, b"{}")
    put_into_store(environment, [story[0], broken])

    done = await apply(environment, [story[0], story[2]])

    assert done.stale == [str(story[0].originator_id)]


async def test_heads_alone_bring_a_payment_up_from_the_store(environment):
    story = doubtful()
    put_into_store(environment, story)

    done = await apply(environment, [], {str(story[0].originator_id): 5})

    assert (done.applied, done.filled, done.skipped) == (5, 5, 0)
    assert read_model(environment, story[0].originator_id)["status"] == Status.CAPTURED


async def test_workers_with_the_same_events_at_once_apply_each_event_once(environment):
    stories = [event for _ in range(30) for event in doubtful()]

    async def worker(seed: int) -> int:
        mine = stories.copy()
        random.Random(seed).shuffle(mine)
        return (await apply(environment, mine)).applied

    applied = await asyncio.gather(*map(worker, range(4)))

    assert sum(applied) == len(stories)
    assert {read_model(environment, e.originator_id)["version"] for e in stories} == {5}


async def test_an_empty_batch_is_no_work(environment):
    assert await apply(environment, []) == BatchResult()
