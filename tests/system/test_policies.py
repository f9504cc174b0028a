"""A routing policy on its way from the API's role to the accounts that payments go to, and an experiment on
its way to its guardrail, with every process real."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import orjson
import pytest

from infra.postgres.policy_store import load, save
from tests.infra.cli.terminal import run
from tests.support.environment import Environment
from tests.support.policies import KIM, activate, api_session
from tests.support.processes import ALL, TWO_ACCOUNTS, Running, shared
from tests.support.until import until

pytestmark = pytest.mark.stack

_WITHIN = timedelta(seconds=2)
_FIRST_ACCOUNT: Final = """
    SELECT convert_from(state, 'UTF8')::json ->> 'account' FROM payment_events
    WHERE topic = 'operation.started.v1' AND originator_id = %s ORDER BY originator_version LIMIT 1
"""
_STOP: Final = """
    SELECT convert_from(state, 'UTF8')::json ->> 'who', convert_from(state, 'UTF8')::json ->> 'reason'
    FROM policy_events WHERE topic = 'routing_policy.arm_stopped.v1'
"""
_ACCOUNTS: Final = f"""
[merchants.trial]
accounts = ["sim-us", "sim-eu"]
{TWO_ACCOUNTS}
"""


@pytest.fixture(scope="module")
def stack(shared_environment: Environment, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    names = (*ALL, "command-2", "routing")
    with shared(shared_environment, tmp_path_factory.mktemp("policies"), *names, accounts=_ACCOUNTS) as made:
        yield made


async def _decided(stack: Running) -> list[tuple[datetime, int, str]]:
    """When each payment's first account was chosen, by which version, and which account it is."""
    rows = await stack.rows("SELECT state FROM payment_events WHERE topic = 'operation.started.v1'")
    states: list[Any] = [orjson.loads(bytes(row[0])) for row in rows]
    return sorted(
        (datetime.fromisoformat(one["timestamp"]), one["decision"]["policy_version"], one["account"])
        for one in states
    )


async def test_an_active_policy_routes_in_every_worker_within_two_seconds_and_so_does_the_one_before_it(
    stack, shared_environment
):
    changes: list[tuple[datetime, int, str]] = []
    async with stack.client() as client, api_session(shared_environment) as api:
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
    newest = "SELECT payment_id FROM payments WHERE merchant_id = 'demo' ORDER BY created_at DESC LIMIT 1"
    (payment,) = (await stack.rows(newest))[0]
    explained = await asyncio.to_thread(
        run, "policy", "explain", str(payment), **shared_environment.env("audit")
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


async def test_an_experiment_whose_arm_does_harm_is_stopped_by_its_guardrail_and_every_customer_gets_the_control(
    stack, shared_environment
):
    """The arm's account declines what the control's approves; then the payment goes to the control's, so that
    nobody is turned away."""
    strategy = {
        "kind": "experiment",
        "id": "us-or-eu",
        "arms": {"us": {"share": 0.5, "account": "sim-us"}, "eu": {"share": 0.5, "account": "sim-eu"}},
        "control": "us",
    }
    async with stack.client(merchant_id="trial") as client, api_session(shared_environment) as api:

        async def first_account(key: str, customer: int) -> str:
            reply = await client.pay(
                idempotency_key=key,
                customer_id=f"customer-{customer}",
                amount_minor=1099,
                currency="EUR",
                payment_method="pm_sim_soft_here",
            )
            assert reply.status == "CAPTURED", reply
            assert reply.payment_id is not None
            ((account,),) = await stack.rows(_FIRST_ACCOUNT, reply.payment_id)
            return str(account)

        async def stopped() -> dict[str, list[str]]:
            policy = await load(api, "trial")
            assert policy is not None
            return policy.stopped

        await activate(api, "trial", strategy=strategy)
        first: dict[int, str] = {}

        async def an_arm_is_stopped() -> bool:
            new = range(len(first), len(first) + 8)
            found = await asyncio.gather(*(first_account(f"trial-{number}", number) for number in new))
            first.update(zip(new, found, strict=True))
            return bool(await stopped())

        await until(an_arm_is_stopped, "the guardrail's stop")
        harmed = [number for number, account in first.items() if account == "sim-eu"]

        async def they_get_the_control() -> bool:
            now = datetime.now(UTC).timestamp()
            found = (first_account(f"again-{now}-{number}", number) for number in harmed)
            return set(await asyncio.gather(*found)) == {"sim-us"}

        await until(they_get_the_control, "the stop in both command workers", within_s=30)
        assert await stopped() == {"us-or-eu": ["eu"]}
        ((who, reason),) = await stack.rows(_STOP)

    assert who == "guardrail"
    assert reason.startswith("guardrail: eu approves ")
