"""Routing policies written as the API writes them, and what Kafka has of them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from psycopg import AsyncConnection

from aggregates.routing.policy import Policy
from aggregates.routing_policy import By, RoutingPolicy
from commands.policy_records import PolicyRecord, read
from infra.kafka import topics
from infra.postgres.connections import connect_async
from infra.postgres.policy_store import load, save
from infra.settings import DatabaseSettings
from tests.relay.history import records_of
from tests.support.environment import Environment

KIM = By("Kim", "the new contract", datetime(2026, 11, 30, 18, tzinfo=UTC))


@asynccontextmanager
async def api_session(environment: Environment) -> AsyncIterator[AsyncConnection[Any]]:
    """With the rights of the API's process."""
    async with await connect_async(environment.settings(DatabaseSettings, "api"), "api") as connection:
        yield connection


async def activate(connection: AsyncConnection[Any], merchant_id: str, **document: Any) -> RoutingPolicy:
    """Drafts and activates a document."""
    policy = await load(connection, merchant_id) or RoutingPolicy.open(merchant_id, KIM)
    policy.activate(policy.put_draft(Policy.model_validate(document), KIM), None, KIM)
    await save(connection, policy)
    return policy


async def published(environment: Environment) -> list[PolicyRecord]:
    """All records of `routing.policies`, in their order."""
    found = await records_of(environment, topics.POLICIES)
    records = [read(one.value) for one in found]
    assert [one.key.decode() for one in found] == [record.merchant_id for record in records]
    return records
