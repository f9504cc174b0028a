import time
from collections.abc import Callable

import psycopg
import pytest

from relay.leadership import SILENCE_MAX_S, limit_silence, stay, try_to_lead
from tests.relay.history import session
from tests.support.environment import Environment
from tests.support.until import until

pytestmark = pytest.mark.stack


async def test_one_relay_leads_and_the_next_one_when_its_session_ends(environment: Environment) -> None:
    async with session(environment) as second:
        async with session(environment) as first:
            assert await try_to_lead(first)
            assert not await try_to_lead(second)

        await until(lambda: try_to_lead(second))


@pytest.fixture
def another_environment(environment_of: Callable[[int], Environment]) -> Environment:
    return environment_of(1)


async def test_each_installation_has_a_leader_of_its_own(
    environment: Environment, another_environment: Environment
) -> None:
    async with session(environment) as here, session(another_environment) as there:
        assert await try_to_lead(here)
        assert await try_to_lead(there)


async def test_a_leader_that_falls_silent_loses_its_lead_and_learns_of_it(environment: Environment) -> None:
    async with session(environment) as second:
        first = await psycopg.AsyncConnection.connect(
            environment.dsn("relay"), autocommit=True, options=f"-c search_path={environment.schema}"
        )
        await limit_silence(first)
        assert await try_to_lead(first)
        began = time.monotonic()

        await until(lambda: try_to_lead(second))

        assert time.monotonic() - began < SILENCE_MAX_S + 5
        with pytest.raises(psycopg.OperationalError):
            await stay(first)
        await first.close()
