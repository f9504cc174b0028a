"""One PSP account degrades, and recovers: with each strategy the traffic moves away, and comes back. Prints
how long each took.

One stack with a merchant for each strategy; all of them pay at the same two accounts. The accounts degrade in
turn: an outage (503), slow responses, declines of the issuers. What a strategy does not look at moves nobody:
a round robin takes no notice of a slow account.
"""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple

import pytest
from aiokafka import AIOKafkaProducer

from aggregates.routing.policy import Policy
from commands import policy_records
from commands.policy_records import PolicyRecord
from infra.kafka import topics
from tests.support.processes import Running, running
from tests.support.simulator import faulty

pytestmark = [pytest.mark.stack, pytest.mark.soak]

EU, US = "sim-eu", "sim-us"
MEASURED: Final = {"explore": 0.1}
STRATEGIES: Final[Mapping[str, dict[str, Any]]] = {
    "metrics": {"strategy": {"kind": "metrics", **MEASURED}},
    "cost": {"strategy": {"kind": "cost"}},
    "latency": {"strategy": {"kind": "latency", **MEASURED}},
    "success": {"strategy": {"kind": "success", **MEASURED}},
    "round-robin": {"strategy": {"kind": "round_robin"}},
    "weighted": {"strategy": {"kind": "weighted", "weights": {EU: 9, US: 1}}},
    "geographic": {"strategy": {"kind": "geographic", "places": {"eea": [EU, US]}}},
    "experiment": {
        "strategy": {
            "kind": "experiment",
            "id": "eu-or-us",
            "control": "eu",
            "arms": {"eu": {"share": 0.5, "account": EU}, "us": {"share": 0.5, "account": US}},
        }
    },
    "rules": {"rules": [{"id": "euro-at-eu", "when": {"currency": ["EUR"]}, "then": {"prefer": [EU]}}]},
    "adaptive": {"strategy": {"kind": "adaptive", **MEASURED}},
    "order": {},
}
LOOKS_AT: Final = {
    "slow": {"metrics", "latency"},
    "declining": {"metrics", "success", "adaptive"},
}
"""What moves the strategies that look at it; an outage moves all of them, by the circuit."""

ACCOUNTS: Final = (
    "\n".join(f'[merchants.{name}]\naccounts = ["{EU}", "{US}"]' for name in STRATEGIES)
    + """
[accounts.sim-eu]
gateway = "stripe"
base_url = "http://127.0.0.1:{port}/stripe"
secret_file = "sim-eu.key"
[[accounts.sim-eu.fees]]
id = "all"
on = ["sale"]
percent = "1"
[accounts.sim-us]
gateway = "stripe"
base_url = "http://127.0.0.1:{port}/stripe"
secret_file = "sim-us.key"
multicapture = true
[[accounts.sim-us.fees]]
id = "all"
on = ["sale"]
percent = "2"
"""
)
ALWAYS: Final = {"share": 1, "times": 1_000_000}
RATE_PER_MERCHANT: Final = 2.0


@dataclass
class Shops:
    """Customers of every merchant, who pay at a steady rate until it is enough."""

    stack: Running
    token: str = "pm_card_visa"
    numbers: Any = field(default_factory=itertools.count)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as group:
            customers = [group.create_task(self._customers(name)) for name in STRATEGIES]
            yield
            for one in customers:
                one.cancel()

    async def _customers(self, merchant: str) -> None:
        async with self.stack.client(60, merchant) as client, asyncio.TaskGroup() as paying:
            begin = time.monotonic()
            for count in itertools.count():
                await asyncio.sleep(max(0.0, begin + count / RATE_PER_MERCHANT - time.monotonic()))
                number = next(self.numbers)
                paying.create_task(
                    client.create_payment(
                        idempotency_key=f"{merchant}-{number}",
                        amount_minor=1000,
                        currency="EUR",
                        payment_method=self.token,
                        customer_id=f"customer-{number}",
                        country="DE",
                    )
                )


async def activate(stack: Running) -> None:
    """Puts every policy on its topic, as the relay does."""
    producer = AIOKafkaProducer(bootstrap_servers=stack.environment.kafka)
    async with producer:
        for merchant, document in STRATEGIES.items():
            record = PolicyRecord(
                merchant_id=merchant,
                version=1,
                change=1,
                document=Policy.model_validate(document),
                activated_at=datetime.now(UTC),
                who="test",
            )
            topic = stack.environment.prefix + topics.POLICIES
            await producer.send_and_wait(topic, policy_records.dump(record), key=policy_records.key(merchant))


class Attempt(NamedTuple):
    merchant: str
    account: str
    at: datetime
    probe: bool  # it tested a half-open circuit


async def attempts(stack: Running, since: datetime) -> list[Attempt]:
    """The first attempts of the payments since then, oldest first."""
    rows = await stack.rows(
        """SELECT convert_from(state, 'UTF8')::json FROM payment_events
        WHERE topic = 'operation.started.v1' AND (convert_from(state, 'UTF8')::json ->> 'timestamp') >= %s
        AND (convert_from(state, 'UTF8')::json ->> 'attempt') = '1' ORDER BY notification_id""",
        since.isoformat(),
    )
    return [
        Attempt(one["merchant_id"], one["account"], datetime.fromisoformat(one["timestamp"]), one["probe"])
        for (one,) in rows
    ]


def share_at(found: list[Attempt], merchant: str, account: str) -> float:
    of = [one for one in found if one.merchant == merchant and not one.probe]
    return sum(one.account == account for one in of) / len(of) if of else 0.0


def left_after_s(found: list[Attempt], merchant: str, since: datetime, *, explores: bool) -> float | None:
    """Seconds until the merchant's payments have left the account: no later one goes there or, where the
    strategy explores, at most 2 of the next 10. None: they never left."""
    of = [one for one in found if one.merchant == merchant and not one.probe]
    for place, one in enumerate(of):
        later = of[place : place + 10] if explores else of[place:]
        if len(later) >= 5 and sum(other.account == EU for other in later) <= (2 if explores else 0):
            return round((one.at - since).total_seconds(), 1)
    return None


def back_after_s(found: list[Attempt], calm: list[Attempt], merchant: str, since: datetime) -> float | None:
    """Seconds until the account gets, of the next 10 payments that test no circuit, at least half of what it
    got before anything was wrong. None: it never did."""
    of = [one for one in found if one.merchant == merchant and not one.probe]
    for place, one in enumerate(of):
        later = of[place : place + 10]
        share = sum(other.account == EU for other in later) / len(later)
        if one.account == EU and len(later) >= 5 and share >= 0.5 * share_at(calm, merchant, EU):
            return round((one.at - since).total_seconds(), 1)
    return None


async def phase(stack: Running, seconds: float) -> tuple[datetime, list[Attempt]]:
    since = datetime.now(UTC)
    await asyncio.sleep(seconds)  # of traffic
    return since, await attempts(stack, since)


@pytest.fixture
def place(environment_of):
    return environment_of(4)


@pytest.mark.timeout(600)
async def test_traffic_leaves_an_account_that_degrades_and_comes_back(place, tmp_path, capsys):
    names = ("simulator", "command", "relay", "gateway", "timers", "read-models")
    times: dict[str, dict[str, float | None]] = {name: {} for name in STRATEGIES}
    async with running(place, tmp_path, *names, accounts=ACCOUNTS) as stack:
        await stack.start("health", circuit_open_s=5, circuit_probes=3)
        await activate(stack)
        shops = Shops(stack)
        async with shops.open():
            await asyncio.sleep(5)  # until the policies are read and every account is known
            _, calm = await phase(stack, 15)

            async with faulty(stack, {"on": "create", "do": "503", "account": EU, **ALWAYS}):
                since, found = await phase(stack, 25)
            for name in STRATEGIES:
                times[name]["outage"] = left_after_s(found, name, since, explores=False)
            since, found = await phase(stack, 40)
            for name in STRATEGIES:
                times[name]["back"] = back_after_s(found, calm, name, since)

            slow = {"on": "create", "do": "slow", "after_s": 1.5, "account": EU, **ALWAYS}
            async with faulty(stack, slow):
                since, slowed = await phase(stack, 40)
            for name in LOOKS_AT["slow"]:
                times[name]["slow"] = left_after_s(slowed, name, since, explores=True)
            since, found = await phase(stack, 30)
            for name in LOOKS_AT["slow"]:
                times[name]["fast again"] = back_after_s(found, calm, name, since)

            _, before = await phase(stack, 10)
            # The issuers decline it at the merchants' first account, and approve it at the next.
            shops.token = "pm_sim_soft_here"
            since, declined = await phase(stack, 45)
            for name in LOOKS_AT["declining"]:
                times[name]["declining"] = left_after_s(declined, name, since, explores=True)
        verdict = await stack.verdict()
        assert verdict.ok, verdict.as_json()

    with capsys.disabled():
        print("\nseconds until the traffic had moved:")
        for name, one in times.items():
            print(f"  {name:12}", ", ".join(f"{what} {after}" for what, after in one.items()))
    uses_eu = {"round-robin": 0.5, "experiment": 0.5}
    for name in STRATEGIES.keys() - LOOKS_AT["declining"] - LOOKS_AT["slow"]:
        assert share_at(calm, name, EU) > 0.5 * uses_eu.get(name, 0.9), name
    assert all(one["outage"] is not None for one in times.values()), times
    assert all(one["back"] is not None for one in times.values()), times
    for what, names_ in LOOKS_AT.items():
        assert all(times[name][what] is not None for name in names_), times
    # They had come back before the declines began.
    assert all(share_at(before, name, EU) >= 0.25 for name in LOOKS_AT["declining"])
    # Whoever does not look at it stays.
    assert share_at(slowed, "order", EU) > 0.9
    assert share_at(slowed, "round-robin", EU) == pytest.approx(0.5, abs=0.2)
