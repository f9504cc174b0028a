"""The requests that the agent gets, and the reports that it makes, in its tests."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from aggregates.operation import Kind
from aggregates.routing.health import Circuit
from commands.messages import RecordOutcome
from commands.records import DeadLetter, Record
from commands.samples import Sample
from gateways.agent.handle import GatewayAgent
from gateways.agent.ports import StepId
from tests.support.environment import Environment

PAYMENT = "c0ffee00-0000-4000-8000-000000000001"
OPERATION = "c0ffee00000040008000000000000001-s1"
STEP = StepId(OPERATION, "1")
CANCEL = StepId(OPERATION, "x")


@dataclass
class Reports:
    """Keeps the outcomes, samples and dead letters that are published. `down`: the broker does not take them.
    `circuits`: what the agent knows, by kind of operation."""

    outcomes: list[RecordOutcome] = field(default_factory=list)
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    letters: list[DeadLetter] = field(default_factory=list)
    samples: list[tuple[str, Sample]] = field(default_factory=list)
    circuits: dict[str, Circuit] = field(default_factory=dict)
    down: bool = False

    async def publish(self, outcome: RecordOutcome, headers: Sequence[tuple[str, bytes]]) -> None:
        if self.down:
            raise ConnectionError
        self.outcomes.append(outcome)
        self.headers = list(headers)

    async def send(self, letter: DeadLetter) -> None:
        self.letters.append(letter)

    def add(self, account: str, sample: Sample) -> None:
        self.samples.append((account, sample))

    def of(self, account: str, kind: Kind) -> Circuit | None:
        return self.circuits.get(kind)

    @property
    def last(self) -> RecordOutcome:
        return self.outcomes[-1]


MakeAgent = Callable[..., GatewayAgent]


def started(**other: Any) -> Record:
    return request("operation.started.v1", {"key_life_s": 3600}, **other)


def follow_up(how: str, **other: Any) -> Record:
    return request("operation.follow_up_requested.v1", {"how": how}, version=5, **other)


def request(ce_type: str, more: dict[str, Any], version: int = 2, **other: Any) -> Record:
    body = {
        "operation_id": OPERATION,
        "kind": "sale",
        "step": "1",
        "account": "fake-eu",
        "amount_minor": 1099,
        "currency": "EUR",
        "payment_method": "pm_card_visa",
        "expires_at": (datetime.now(UTC) + timedelta(hours=1)).isoformat(),
        "reason": "a field that the agent does not need",
    }
    headers = {
        "ce_type": ce_type.encode(),
        "ce_id": f"{PAYMENT}/{version}".encode(),
        "correlation_id": b"order-7",
        "traceparent": b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    value = json.dumps(body | more | other).encode()
    return Record("gateways.till.requests", 0, version, PAYMENT.encode(), value, headers, 0)


def age(environment: Environment, seconds: float) -> None:
    """Moves the tries of all steps into the past."""
    with psycopg.connect(environment.dsn()) as conn:
        conn.execute(
            f"UPDATE {environment.schema}.gateway_sends SET first_try_at = first_try_at - make_interval(secs => %(s)s),"
            " last_try_at = last_try_at - make_interval(secs => %(s)s)",
            {"s": seconds},
        )
