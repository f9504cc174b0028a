"""Routing policies on their way to Kafka, on a real PostgreSQL and Kafka."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from prometheus_client import REGISTRY

from aggregates.routing.policy import Policy
from aggregates.routing_policy import By, RoutingPolicy
from commands.policy_records import PolicyRecord
from infra.kafka import topics
from infra.kafka.producers import producing
from infra.postgres.policy_store import load, save
from infra.settings import RelaySettings
from relay import policies
from relay.log import CursorMoved
from relay.policies import PolicyPublisher
from tests.relay.history import session
from tests.support.environment import Environment
from tests.support.policies import KIM, activate, api_session, published

pytestmark = pytest.mark.stack

_EXPERIMENT = {
    "kind": "experiment",
    "id": "b-or-not",
    "control": "before",
    "arms": {"before": {"share": 0.5, "account": "a"}, "after": {"share": 0.5, "account": "b"}},
}


@asynccontextmanager
async def _publisher(environment: Environment) -> AsyncIterator[PolicyPublisher]:
    settings = environment.settings(RelaySettings, "relay")
    async with session(environment) as connection, producing(settings, "relay") as producer:
        topic = environment.prefix + topics.POLICIES
        yield PolicyPublisher(connection, producer, topic, structlog.get_logger())


async def _drain(publisher: PolicyPublisher) -> int:
    """Until the pass over all policies has ended, and nothing is new."""
    total = 0
    while (done := await publisher.run_once()) or publisher._passed is not None:
        total += done
    return total


async def test_an_active_policy_is_published_whole(environment: Environment):
    async with api_session(environment) as api:
        policy = await activate(api, "shop", accounts=["a", "b"], strategy=_EXPERIMENT)
        policy.stop_arm("b-or-not", "after", By("guardrail", "3 points below", KIM.now))
        await save(api, policy)

    async with _publisher(environment) as publisher:
        await publisher.run_once()

    assert await published(environment) == [
        PolicyRecord(
            merchant_id="shop",
            version=1,
            change=4,
            document=Policy.model_validate({"accounts": ["a", "b"], "strategy": _EXPERIMENT}),
            stopped_arms={"b-or-not": ["after"]},
            activated_at=datetime(2026, 11, 30, 18, tzinfo=UTC),
            who="Kim",
        )
    ]


async def test_a_draft_alone_is_not_published(environment: Environment):
    async with api_session(environment) as api, _publisher(environment) as publisher:
        policy = RoutingPolicy.open("shop", KIM)
        policy.put_draft(Policy(accounts=["a"]), KIM)
        await save(api, policy)

        assert await _drain(publisher) == 0

        await activate(api, "shop", accounts=["a"])
        assert await publisher.run_once() == 1


async def test_of_thousands_of_drafts_the_relay_reads_none(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
):
    read: list[bytes] = []
    rows_of = PolicyPublisher._rows

    async def counted(publisher: PolicyPublisher, *statement: Any) -> list[Any]:
        rows = await rows_of(publisher, *statement)
        read.extend(value for row in rows for value in row if isinstance(value, bytes))
        return rows

    monkeypatch.setattr(PolicyPublisher, "_rows", counted)
    accounts = [f"account-{number}" for number in range(19)]
    async with api_session(environment) as api:
        policy = await activate(api, "shop", accounts=accounts, strategy=_EXPERIMENT)
        policy.stop_arm("b-or-not", "after", KIM)
        for number in range(2000):
            policy.put_draft(Policy(accounts=[f"first-{number}", *accounts]), KIM)
        await save(api, policy)
        policy.activate(2001, None, KIM)
        policy.roll_back(1, None, KIM)
        await save(api, policy)

    async with _publisher(environment) as publisher:
        await _drain(publisher)

    one = (await published(environment))[-1]
    assert (one.version, one.change, one.stopped_arms) == (1, 2006, {"b-or-not": ["after"]})
    assert one.document.accounts == accounts
    # Each publication: the first event, the draft, the return to it and the stopped arm.
    publications = len(await published(environment))
    assert publications <= 10
    assert len(read) == 4 * publications
    assert sum(map(len, read)) < 2_000 * publications


async def test_a_relay_goes_on_where_the_one_before_it_ended_and_publishes_all_once_more(
    environment: Environment, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(policies, "_STREAMS", 2)
    async with api_session(environment) as api:
        for merchant in ("one", "two", "three"):
            await activate(api, merchant, accounts=["a"])
        async with _publisher(environment) as publisher:
            assert [await publisher.run_once() for _ in range(2)] == [2, 1]
        await activate(api, "two", accounts=["b"])

    async with _publisher(environment) as publisher:
        assert await publisher.run_once() == 1
        assert await _drain(publisher) == 3
        assert await _drain(publisher) == 0

    versions = [(record.merchant_id, record.version) for record in await published(environment)]
    assert sorted(versions[:3]) == [("one", 1), ("three", 1), ("two", 1)]
    assert versions[3] == ("two", 2)
    assert sorted(versions[4:]) == [("one", 1), ("three", 1), ("two", 2)]


async def test_a_relay_that_was_overtaken_with_a_policy_in_hand_stops(environment: Environment):
    async with api_session(environment) as api:
        await activate(api, "shop", accounts=["a"])
        async with _publisher(environment) as zombie, _publisher(environment) as other:
            zombie._cursor = await zombie._saved()
            await other.run_once()

            with pytest.raises(CursorMoved):
                await zombie.run_once()


async def test_a_policy_that_this_release_cannot_read_holds_no_other_up(environment: Environment):
    with environment.connect("admin") as owner:
        async with api_session(environment) as api, _publisher(environment) as publisher:
            for merchant in ("later", "broken", "sound"):
                await activate(api, merchant, accounts=["a"])
            # A later release's document, and an event of which this one has no class.
            owner.execute(
                "UPDATE policy_events SET state = replace(convert_from(state, 'UTF8'), 'accounts', 'moods')::bytea"
                " WHERE originator_id = %s AND topic = 'routing_policy.drafted.v1'",
                ((await load(api, "later")).id,),
            )
            owner.execute(
                "UPDATE policy_events SET topic = 'routing_policy.dreamt.v9' WHERE originator_id = %s"
                " AND originator_version = 3",
                ((await load(api, "broken")).id,),
            )
            before = REGISTRY.get_sample_value("aegispay_relay_policies_unreadable_total") or 0

            assert await publisher.run_once() == 1

    assert [record.merchant_id for record in await published(environment)] == ["sound"]
    assert REGISTRY.get_sample_value("aegispay_relay_policies_unreadable_total") == before + 2


async def test_a_name_of_any_length_reaches_the_record_as_far_as_it_has_room():
    policy = RoutingPolicy.open("shop", KIM)
    kim = replace(KIM, who="Kim\n" + "m" * 5000)
    policy.activate(policy.put_draft(Policy(accounts=["a"]), kim), None, kim)

    record = policies.record_of(policy, 2)

    assert record is not None
    assert record.who == "Kim " + "m" * 396
