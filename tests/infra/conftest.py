from collections.abc import AsyncIterator, Callable

import pytest

from infra.settings import ApiSettings
from tests.support import ports
from tests.support.api import Api, Worker, served
from tests.support.environment import Environment


@pytest.fixture
async def api(environment: Environment, new_key: Callable[..., str]) -> AsyncIterator[Api]:
    (port,) = ports.free(1)
    settings = environment.settings(ApiSettings, "api", api_port=port)
    async with served(settings, new_key()) as api:
        yield api


@pytest.fixture
async def worker(environment: Environment) -> AsyncIterator[Worker]:
    async with Worker(environment) as worker:
        yield worker
