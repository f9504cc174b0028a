"""Routing policies published by a relay process, which is killed."""

import signal
import time

import pytest

from tests.infra.workers.test_relay import Start, _end_sessions_of_relays, _waits_for_the_cursor, start
from tests.support.environment import Environment
from tests.support.policies import activate, api_session, published
from tests.support.until import until

__all__ = ["start"]  # a fixture
pytestmark = pytest.mark.stack


async def test_an_activated_policy_is_on_the_topic_within_two_seconds(
    environment: Environment, start: Start
) -> None:
    relay = await start()
    await until(lambda: relay.has_logged("leading"))
    async with api_session(environment) as api:
        took_s = []
        for number in range(1, 6):
            began = time.monotonic()
            await activate(api, "shop", accounts=[f"a{number}"])

            async def there(version: int = number) -> bool:
                return any(record.version == version for record in await published(environment))

            await until(there, within_s=10)
            took_s.append(time.monotonic() - began)

    print(f"activated to published: {', '.join(f'{one * 1000:.0f} ms' for one in took_s)}")
    assert max(took_s) < 2


async def test_a_relay_killed_before_it_saved_that_a_policy_is_published_leaves_it_to_the_next(
    environment: Environment, start: Start
) -> None:
    relay = await start()
    await until(lambda: relay.has_logged("leading"))
    async with api_session(environment) as api:
        with environment.connect("admin") as owner:
            with owner.transaction():
                owner.execute("LOCK TABLE policy_cursor IN SHARE MODE")
                await activate(api, "shop", accounts=["a"])
                await until(lambda: _waits_for_the_cursor(owner))
                relay.send(signal.SIGKILL)
                await relay.process.wait()
                _end_sessions_of_relays(owner)
            # Nobody leads meanwhile.
            await activate(api, "other", accounts=["b"])

        next_one = await start()
        await until(lambda: next_one.has_logged("leading"))

        async def all_there() -> bool:
            return {"shop", "other"} <= {record.merchant_id for record in await published(environment)}

        await until(all_there, within_s=10)
        assert next(record.merchant_id for record in await published(environment)) == "shop"
