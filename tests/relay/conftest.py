"""An inbox, and the decider that its reports go to."""

from collections.abc import AsyncIterator, Iterator

import pytest

from relay.inbox import Inbox
from tests.relay.webhooks import serve_inbox
from tests.support.decider_harness import DeciderHarness
from tests.support.environment import Environment


@pytest.fixture
def harness(environment: Environment) -> Iterator[DeciderHarness]:
    with environment.connect("command") as connection:
        yield DeciderHarness(connection)


@pytest.fixture
async def inbox(environment: Environment) -> AsyncIterator[Inbox]:
    async with serve_inbox(environment) as made:
        yield made
