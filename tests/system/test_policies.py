"""A routing policy on its way from the API's role to the accounts that payments go to, with every process
real."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from infra.postgres.policy_store import load, save
from tests.infra.cli.terminal import run
from tests.support.policies import KIM, activate, api_session
from tests.support.processes import ALL, TWO_ACCOUNTS, Running, running
from tests.support.until import until

pytestmark = pytest.mark.stack

_WITHIN = timedelta(seconds=2)


async def _decided(stack: Running) -> list[tuple[datetime, int, str]]:
    """When each payment's first account was chosen, by which version, and which account it is."""
    rows = await stack.rows("SELECT state FROM payment_events WHERE topic = 'operation.started.v1'")
    states: list[Any] = [orjson.loads(bytes(row[0])) for row in rows]
    return sorted(
        (datetime.fromisoformat(one["timestamp"]), one["decision"]["policy_version"], one["account"])
        for one in states
    )


async def test_an_active_policy_routes_in_every_worker_within_two_seconds_and_so_does_the_one_before_it(
    environment, tmp_path
):
    processes = (*ALL, "command-2")
    changes: list[tuple[datetime, int, str]] = []
    async with running(environment, tmp_path, *processes, accounts=TWO_ACCOUNTS) as stack:
        async with stack.client() as client, api_session(environment) as api:
            done = asyncio.Event()

            async def shop() -> None:
                number = 0
                while not done.is_set():
                    number += 1
                    await asyncio.gather(
                        *(
                            client.create_payment(
                                idempotency_key=f"order-{number}-{place}",
                                amount_minor=1099,
                                currency="EUR",
                                payment_method="pm_card_visa",
                            )
                            for place in range(4)
                        )
                    )

            async def changed(version: int, account: str) -> None:
                changes.append((datetime.now(UTC), version, account))
                # Long enough for decisions that come after the time that a policy has.
                later = datetime.now(UTC) + _WITHIN + timedelta(seconds=1)

                async def seen() -> bool:
                    return any(at > later for at, _, _ in await _decided(stack))

                await until(seen, within_s=30)

            shopping = asyncio.create_task(shop())
            await activate(api, "demo", accounts=["sim-us", "sim-eu"])
            await changed(1, "sim-us")
            await activate(api, "demo", rules=[{"id": "eu", "then": {"only": ["sim-eu"]}}])
            await changed(2, "sim-eu")
            policy = await load(api, "demo")
            assert policy is not None
            policy.roll_back(1, None, KIM)
            await save(api, policy)
            await changed(1, "sim-us")
            done.set()
            await shopping
        decided = await _decided(stack)
        (payment,) = (await stack.rows("SELECT payment_id FROM payments ORDER BY created_at DESC LIMIT 1"))[0]
        explained = await asyncio.to_thread(
            run, "policy", "explain", str(payment), **environment.env("audit")
        )

    for place, (at, version, account) in enumerate(changes):
        ends = changes[place + 1][0] if place + 1 < len(changes) else datetime.max.replace(tzinfo=UTC)
        of_it = [one for one in decided if at <= one[0] < ends]
        late = [one for one in of_it if one[1:] != (version, account)]
        took_s = max(((one[0] - at).total_seconds() for one in late), default=0.0)
        print(
            f"version {version}: {len(of_it)} decisions, the last one by another version after {took_s:.2f} s"
        )
        assert all(one[0] - at < _WITHIN for one in late)
    assert explained.returncode == 0, explained.stderr
    assert "made again from this record: the same" in explained.stdout
