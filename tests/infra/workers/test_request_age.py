"""The watch over what gateways have not come to: a broker that has just come up ends no worker."""

import asyncio
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import (
    CoordinatorLoadInProgressError,
    GroupAuthorizationFailedError,
    GroupCoordinatorNotAvailableError,
    KafkaError,
)

from infra.kafka import topics
from infra.kafka.producers import BrokerClock, producing
from infra.process.runtime import Process
from infra.settings import CommandWorkerSettings
from infra.workers.request_age import Backlog
from tests.support.environment import Environment
from tests.support.until import until

pytestmark = pytest.mark.stack


@pytest.fixture
def errors(monkeypatch: pytest.MonkeyPatch) -> list[KafkaError]:
    """The errors that Kafka returns, in turn, to a query for the coordinator of a group; then its name."""
    errors: list[KafkaError] = []
    finds = AIOKafkaAdminClient.find_coordinator

    async def find(self: AIOKafkaAdminClient, *groups: Any) -> Any:
        if errors:
            raise errors.pop(0)
        return await finds(self, *groups)

    monkeypatch.setattr(AIOKafkaAdminClient, "find_coordinator", find)
    return errors


def _backlog(environment: Environment, process: Process) -> Backlog:
    settings = environment.settings(
        CommandWorkerSettings, "command", accounts_file="none", pause_when_requests_wait_s=0.001
    )
    return Backlog(settings, process, ["stripe"], BrokerClock())


async def test_a_broker_that_names_no_coordinator_yet_is_queried_again(environment, errors):
    async with producing(
        environment.settings(CommandWorkerSettings, "command", accounts_file="none"), "test"
    ) as it:
        await it.send_and_wait(environment.prefix + topics.requests("stripe"), b"waits", partition=0)
    errors += [GroupCoordinatorNotAvailableError(), CoordinatorLoadInProgressError()]
    process = Process("test")
    backlog = _backlog(environment, process)

    async def seen() -> bool:
        if backlog.too_old:
            process.stop.set()
        return backlog.too_old

    await asyncio.gather(backlog.watch(), until(seen, "the request's age"))

    assert errors == []


async def test_what_no_waiting_mends_ends_the_watch(environment, errors):
    errors.append(GroupAuthorizationFailedError())

    with pytest.raises(GroupAuthorizationFailedError):
        await _backlog(environment, Process("test")).watch()
