import asyncio
import random
from collections.abc import AsyncIterator, Awaitable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest

from commands.messages import Outcome
from gateways.agent.ports import Closed, Granted, MayOnlyQuery, StepId
from infra.postgres.claims import PostgresClaims
from infra.postgres.prepared import PreparedStatements, Row
from infra.settings import DatabaseSettings
from tests.support.environment import Environment

pytestmark = pytest.mark.stack


@pytest.fixture
def environment(database):
    return database


STEP = StepId("c0ffee00c0ffee00c0ffee00c0ffee00-s1", "1")
OTHER = StepId("c0ffee00c0ffee00c0ffee00c0ffee00-r2", "1")
DAY_S = 24 * 3600
APPROVED = Outcome(kind="APPROVED", psp_id="pi_1", amount_minor=100, currency="EUR")
DECLINED = Outcome(kind="DECLINED_SOFT", code="insufficient_funds")
NOT_SENT = Outcome(kind="NOT_SENT", code="connect_failed")
PENDING = Outcome(kind="PENDING", psp_id="pi_1")


def soon() -> datetime:
    return datetime.now(UTC) + timedelta(hours=1)


def past() -> datetime:
    return datetime.now(UTC) - timedelta(seconds=1)


@pytest.fixture
async def claims(environment: Environment) -> AsyncIterator[PostgresClaims]:
    async with PostgresClaims.open(environment.settings(DatabaseSettings, "gateway"), "test") as opened:
        yield opened


def row(environment: Environment) -> tuple[Any, ...]:
    with psycopg.connect(environment.dsn()) as conn:
        found = conn.execute(
            f"SELECT state, tries, result ->> 'kind' FROM {environment.schema}.gateway_sends"
        ).fetchall()
    (only,) = found
    return only


async def test_the_first_claim_and_each_repeat_are_granted_and_counted(claims: PostgresClaims):
    first = await claims.claim(STEP, soon(), DAY_S)
    second = await claims.claim(STEP, soon(), DAY_S)

    assert isinstance(first, Granted)
    assert isinstance(second, Granted)
    assert (first.tries, second.tries) == (1, 2)
    assert first.first_try_at == first.last_try_at == second.first_try_at < second.last_try_at


async def test_two_workers_that_claim_one_step_at_once_are_counted_apart(
    environment: Environment, claims: PostgresClaims
):
    async with PostgresClaims.open(environment.settings(DatabaseSettings, "gateway"), "other") as other:
        granted = await asyncio.gather(*[c.claim(STEP, soon(), DAY_S) for c in (claims, other) * 20])

    assert sorted(claim.tries for claim in granted if isinstance(claim, Granted)) == list(range(1, 41))


async def test_a_closed_step_is_never_granted_and_returns_its_result(claims: PostgresClaims):
    await claims.claim(STEP, soon(), DAY_S)
    assert await claims.close(STEP, APPROVED, only_try=False)

    assert await claims.claim(STEP, soon(), DAY_S) == Closed(
        APPROVED, 1, _first(await claims.close_for_query(STEP))
    )
    assert not await claims.close(STEP, DECLINED, only_try=False), "an end is never overwritten"
    assert (await claims.close_for_query(STEP)).result == APPROVED


async def test_not_sent_closes_the_only_try(environment: Environment, claims: PostgresClaims):
    await claims.claim(STEP, soon(), DAY_S)

    assert await claims.close(STEP, NOT_SENT, only_try=True)

    assert row(environment) == ("closed", 1, "NOT_SENT")
    claim = await claims.claim(STEP, soon(), DAY_S)
    assert isinstance(claim, Closed)
    assert claim.result == NOT_SENT


async def test_not_sent_closes_nothing_after_a_second_try(environment: Environment, claims: PostgresClaims):
    await claims.claim(STEP, soon(), DAY_S)
    await claims.claim(STEP, soon(), DAY_S)

    assert not await claims.close(STEP, NOT_SENT, only_try=True)

    assert row(environment) == ("open", 2, None)


async def test_a_first_claim_after_the_expiry_closes_the_step_unsent(
    environment: Environment, claims: PostgresClaims
):
    claim = await claims.claim(STEP, past(), DAY_S)

    assert isinstance(claim, Closed)
    assert (claim.result.kind, claim.result.code, claim.tries) == ("NOT_SENT", "expired", 0)
    assert row(environment) == ("closed", 0, "NOT_SENT")
    assert isinstance(await claims.claim(STEP, soon(), DAY_S), Closed)


async def test_after_the_expiry_a_step_that_was_sent_may_only_be_queried(
    environment: Environment, claims: PostgresClaims
):
    await claims.claim(STEP, soon(), DAY_S)

    assert await claims.claim(STEP, past(), DAY_S) == MayOnlyQuery()

    assert row(environment) == ("open", 1, None)


async def test_after_its_keys_life_a_step_may_only_be_queried(
    environment: Environment, claims: PostgresClaims
):
    await claims.claim(STEP, soon(), 3600)
    with psycopg.connect(environment.dsn()) as conn:
        conn.execute(
            f"UPDATE {environment.schema}.gateway_sends SET first_try_at = first_try_at - interval '1 hour'"
        )

    assert await claims.claim(STEP, soon(), 3600) == MayOnlyQuery()
    assert isinstance(await claims.claim(STEP, soon(), 7200), Granted)


async def test_without_keys_a_repeat_may_only_query(claims: PostgresClaims):
    assert isinstance(await claims.claim(STEP, soon(), 0), Granted)
    assert await claims.claim(STEP, soon(), 0) == MayOnlyQuery()


async def test_a_query_before_a_send_closes_the_step_so_that_the_send_is_refused(claims: PostgresClaims):
    ended = await claims.close_for_query(STEP)

    assert ended.result is not None
    assert (ended.result.kind, ended.result.code, ended.tries) == ("NOT_SENT", "never_sent", 0)
    claim = await claims.claim(STEP, soon(), DAY_S)
    assert isinstance(claim, Closed)
    assert claim.result == ended.result


async def test_a_query_closes_a_sent_step_without_a_response_and_its_response_is_kept(
    environment: Environment, claims: PostgresClaims
):
    await claims.claim(STEP, soon(), DAY_S)

    ended = await claims.close_for_query(STEP)

    assert (ended.result, ended.tries) == (None, 1)
    assert ended.last_try_at is not None
    assert ended.now > ended.last_try_at
    assert await claims.claim(STEP, soon(), DAY_S) == MayOnlyQuery()
    assert await claims.close(STEP, APPROVED, only_try=False)
    assert row(environment) == ("closed", 1, "APPROVED")


async def test_pending_closes_the_step_and_leaves_the_question_open(claims: PostgresClaims):
    await claims.claim(STEP, soon(), DAY_S)
    await claims.close(STEP, PENDING, only_try=False)

    assert isinstance(await claims.claim(STEP, soon(), DAY_S), Closed)
    assert (await claims.close_for_query(STEP)).result is None
    assert await claims.close(STEP, APPROVED, only_try=False)
    assert (await claims.close_for_query(STEP)).result == APPROVED


async def test_a_step_without_an_expiry_is_granted_at_any_time(
    environment: Environment, claims: PostgresClaims
):
    first, second = [await claims.claim(STEP, None, DAY_S) for _ in range(2)]

    assert isinstance(first, Granted)
    assert isinstance(second, Granted)
    assert row(environment) == ("open", 2, None)


async def test_what_was_completed_is_no_longer_under_way(claims: PostgresClaims):
    result = await claims.claim(STEP, soon(), DAY_S)
    await claims.close(STEP, PENDING, only_try=False)
    await claims.claim(OTHER, soon(), DAY_S)
    silent = await claims.claim(OTHER, soon(), DAY_S)
    assert isinstance(result, Granted)
    assert isinstance(silent, Granted)

    assert (await claims.close_for_query(STEP)).under_way_until is None
    until = silent.last_try_at + timedelta(seconds=15)
    assert (await claims.close_for_query(OTHER)).under_way_until == until
    await claims.close(OTHER, PENDING, only_try=False)
    # One of its two tries was answered, nobody knows which.
    ended = await claims.close_for_query(OTHER)
    assert (ended.stored, ended.result, ended.under_way_until) == (PENDING, None, until)


async def test_the_only_try_is_withdrawn_and_the_next_claim_is_the_first(
    environment: Environment, claims: PostgresClaims
):
    await claims.claim(STEP, soon(), DAY_S)
    assert await claims.withdraw(STEP)

    assert not await claims.withdraw(STEP)
    again = await claims.claim(STEP, soon(), 0)
    assert isinstance(again, Granted)
    assert again.tries == 1
    assert row(environment) == ("open", 1, None)


@pytest.mark.parametrize("why", ["two tries", "completed", "queried"])
async def test_what_may_have_been_sent_by_another_or_is_closed_is_not_withdrawn(
    environment: Environment, claims: PostgresClaims, why: str
):
    await claims.claim(STEP, soon(), DAY_S)
    match why:
        case "two tries":
            await claims.claim(STEP, soon(), DAY_S)
        case "completed":
            await claims.close(STEP, APPROVED, only_try=False)
        case _:
            await claims.close_for_query(STEP)
    before = row(environment)

    assert not await claims.withdraw(STEP)
    assert row(environment) == before


async def test_groups_of_two_workers_over_the_same_steps_never_deadlock(
    environment: Environment, claims: PostgresClaims
):
    steps = [StepId(f"{n:032x}-s1", "1") for n in range(60)]
    shuffled = random.Random(5)
    granted = len(await asyncio.gather(*[claims.claim(step, soon(), DAY_S) for step in steps]))

    async with PostgresClaims.open(environment.settings(DatabaseSettings, "gateway"), "other") as other:
        for _ in range(10):
            calls: list[Awaitable[Any]] = []
            withdrawn: list[Awaitable[bool]] = []
            for worker in (claims, other):
                some = shuffled.sample(steps, 5)
                calls += [worker.claim(step, soon(), DAY_S) for step in shuffled.sample(steps, len(steps))]
                calls += [worker.close(step, APPROVED, only_try=False) for step in some]
                calls += [worker.close_for_query(step) for step in some]
                withdrawn += [worker.withdraw(step) for step in shuffled.sample(steps, len(steps))]
            results = await asyncio.gather(*calls, *withdrawn)
            granted += sum(isinstance(result, Granted) for result in results)
            granted -= sum(results[len(calls) :])

    with psycopg.connect(environment.dsn()) as conn:
        tries = conn.execute(f"SELECT sum(tries) FROM {environment.schema}.gateway_sends").fetchone()
    assert tries == (granted,)


async def test_one_step_requested_twice_at_once_is_served_in_two_groups(claims: PostgresClaims):
    results = await asyncio.gather(*[claims.claim(STEP, soon(), DAY_S) for _ in range(3)])

    assert [result.tries for result in results if isinstance(result, Granted)] == [1, 2, 3]


async def test_a_step_whose_claim_is_withdrawn_just_after_it_refused_another_is_claimed_anew(
    environment: Environment, claims: PostgresClaims, monkeypatch: pytest.MonkeyPatch
):
    run = PreparedStatements.run

    async def withdrawn_before_it_is_read(
        statements: PreparedStatements, name: str, values: Sequence[bytes | None]
    ) -> list[Row]:
        if name == "read":
            monkeypatch.undo()
            assert await claims.withdraw(STEP)
        return await run(statements, name, values)

    await claims.claim(STEP, soon(), DAY_S)
    async with PostgresClaims.open(environment.settings(DatabaseSettings, "gateway"), "other") as other:
        monkeypatch.setattr(PreparedStatements, "run", withdrawn_before_it_is_read)
        claim = await other.claim(STEP, past(), DAY_S)

    assert isinstance(claim, Closed)
    assert (claim.result.code, claim.tries) == ("expired", 0)


async def test_a_lost_connection_fails_all_that_wait(environment: Environment, claims: PostgresClaims):
    await claims.claim(STEP, soon(), DAY_S)
    with psycopg.connect(environment.dsn(), autocommit=True) as conn:
        conn.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'aegispay-test'"
            " AND usename = 'aegispay_gateway'"
        )

    steps = [StepId(f"{n:032x}-s1", "1") for n in range(3)]
    results = await asyncio.gather(*[claims.claim(s, soon(), DAY_S) for s in steps], return_exceptions=True)

    assert all(isinstance(result, psycopg.OperationalError) for result in results)


def _first(ended: Any) -> datetime:
    return ended.first_try_at
