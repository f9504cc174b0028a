"""The log of routing policies, on a real PostgreSQL and with the rights of the API's role."""

import asyncio

import psycopg
import pytest

from aggregates.routing.policy import Policy
from aggregates.routing_policy import By, RoutingPolicy
from infra.postgres.policy_store import PolicyChanged, load, load_part, save
from tests.support.environment import Environment
from tests.support.policies import KIM, activate, api_session
from tests.support.until import until

pytestmark = pytest.mark.stack


async def test_a_policy_is_loaded_as_it_was_saved(database: Environment):
    async with api_session(database) as connection:
        assert await load(connection, "shop") is None
        made = RoutingPolicy.open("shop", KIM)
        made.put_draft(Policy(accounts=["a"]), KIM)
        made.activate(1, None, By("Lou", "reviewed", KIM.now))
        await save(connection, made)

        again = await load(connection, "shop")

        assert again is not None
        assert (again.merchant_id, again.version, again.active) == ("shop", 3, made.active)
        assert again.versions == made.versions
        assert await load(connection, "other") is None


async def test_a_part_of_a_policy_is_what_is_asked_for_with_the_newest_and_the_active_version(
    database: Environment,
):
    async with api_session(database) as connection:
        assert await load_part(connection, "shop") is None
        made = RoutingPolicy.open("shop", KIM)
        for number in range(1, 31):
            made.put_draft(Policy(accounts=[f"a{number}"]), KIM)
            if number in (3, 7):
                made.activate(number, None, KIM)
        made.roll_back(3, None, By("Lou", "declines rose", KIM.now))
        await save(connection, made)

        part = await load_part(connection, "shop", [5, 7, 99])
        page = await load_part(connection, "shop", below=20, most=4, documents=False)
        start = await load_part(connection, "shop", below=3, most=10)

        assert part is not None
        assert list(part.versions) == [3, 5, 7, 30]
        assert part.versions == {number: made.versions[number] for number in part.versions}
        assert (part.version, part.active, part.draft) == (made.version, made.active, made.versions[30])
        assert page is not None
        assert list(page.versions) == [3, 16, 17, 18, 19, 30]
        assert [one.document for one in page.versions.values()] == [{}] * 6
        assert start is not None
        assert list(start.versions) == [1, 2, 3, 30]


async def test_what_is_decided_on_a_part_is_saved_after_all_that_was_stored(database: Environment):
    async with api_session(database) as connection:
        await activate(connection, "shop", accounts=["a"])
        for name in ("b", "c"):
            await activate(connection, "shop", accounts=[name])
        policy = await load_part(connection, "shop")
        other = await load_part(connection, "shop", [1])
        assert policy is not None
        assert other is not None

        assert policy.put_draft(Policy(accounts=["d"]), KIM) == 4
        other.roll_back(1, None, KIM)
        await save(connection, policy)
        with pytest.raises(PolicyChanged):
            await save(connection, other)

        stored = await load(connection, "shop")
        assert stored is not None
        assert (stored.version, stored.versions[4].document) == (8, {"accounts": ["d"]})


async def test_of_two_writers_the_second_gets_a_conflict_and_nothing_of_it_is_kept(database: Environment):
    async with api_session(database) as one, api_session(database) as other:
        await activate(one, "shop", accounts=["a"])
        mine, its = await load(one, "shop"), await load(other, "shop")
        assert mine is not None
        assert its is not None
        mine.put_draft(Policy(accounts=["b"]), KIM)
        its.put_draft(Policy(accounts=["c"]), KIM)
        its.activate(2, None, KIM)

        await save(one, mine)
        with pytest.raises(PolicyChanged):
            await save(other, its)

        stored = await load(one, "shop")
        assert stored is not None
        assert stored.active is not None
        assert (stored.version, stored.active.number) == (4, 1)
        assert stored.versions[2].document == {"accounts": ["b"]}


async def test_two_that_open_a_policy_at_once_make_one(database: Environment):
    async with api_session(database) as one, api_session(database) as other:
        results = await asyncio.gather(
            activate(one, "shop", accounts=["a"]),
            activate(other, "shop", accounts=["b"]),
            return_exceptions=True,
        )

        assert sorted(type(result).__name__ for result in results) == ["PolicyChanged", "RoutingPolicy"]


async def test_a_number_is_never_seen_before_a_smaller_one(database: Environment):
    with database.connect("admin") as owner:
        async with api_session(database) as one, api_session(database) as other:
            policies = [RoutingPolicy.open(name, KIM) for name in ("first", "second")]
            async with one.transaction():
                await save(one, policies[0])
                later = asyncio.create_task(save(other, policies[1]))
                # It waits for its turn: else it would have a number, and be committed before the first.
                waiting = "SELECT 1 FROM pg_locks WHERE NOT granted AND locktype = 'advisory'"
                await until(lambda: owner.execute(waiting).fetchone())
                assert owner.execute("SELECT count(*) FROM policy_events").fetchone() == (0,)
            await later

            rows = owner.execute(
                "SELECT originator_id FROM policy_events ORDER BY notification_id"
            ).fetchall()
            assert [row[0] for row in rows] == [one.id for one in policies]


async def test_the_api_may_add_to_the_log_and_change_nothing_in_it(database: Environment):
    async with api_session(database) as connection:
        await activate(connection, "shop", accounts=["a"])

        for statement in ("UPDATE policy_events SET state = ''", "DELETE FROM policy_events"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await connection.execute(statement)
    for role in ("command", "gateway", "timers", "inbox", "read_models"):
        with database.connect(role) as stranger, pytest.raises(psycopg.errors.InsufficientPrivilege):
            stranger.execute("SELECT 1 FROM policy_events")
