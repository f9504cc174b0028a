"""What other routers send to the next PSP, though the customer may have been charged: it never leads there
before proof, whatever policy and circuits say meanwhile."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

import pytest

from aggregates import timers
from aggregates.fees import NO_FEES, FeeBook
from aggregates.money import Money
from aggregates.payment import Payment
from aggregates.routing.accounts import PspAccount
from aggregates.routing.health import AccountHealth, Circuit, Health
from aggregates.routing.policy import Policy
from aggregates.routing.route import Route
from aggregates.routing.rules import NO_POLICY, ReadyPolicy
from aggregates.status import Status
from commands import handlers
from commands.messages import Outcome, RecordOutcome
from gateways.contract import HttpResponse
from infra.psp.accounts import limits
from infra.psp.http_client import HttpClient
from tests.gateways.conformance.books import CASEBOOKS
from tests.gateways.conformance.faulty_server import FaultyServer, is_silent, responds, send
from tests.gateways.conformance.unproven import UNPROVEN, Shown, Unproven
from tests.support.builders import NOW, PSP, cause, payment

EXPIRES_AT: Final = NOW + timedelta(days=90)
_DEADLINE_S: Final = 0.15
OTHERS: Final = ("second", "third")
_TO_OTHERS: Final[list[dict[str, Any]]] = [
    {"rules": [{"id": "r", "then": {"prefer": ["second"]}}]},
    {"rules": [{"id": "r", "then": {"only": ["third"]}}]},
    {"rules": [{"id": "r", "then": {"never": ["first"]}}]},
    {"rules": [{"id": "r", "then": {"split": {"second": 0.5, "third": 0.5}}}]},
    {"strategy": {"kind": "weighted", "weights": {"second": 1}}},
    {"strategy": {"kind": "geographic", "places": {"*": ["third"]}}},
    {
        "strategy": {
            "kind": "experiment",
            "id": "e",
            "control": "a",
            "arms": {"a": {"share": 0.5, "account": "second"}, "b": {"share": 0.5, "account": "third"}},
        }
    },
    *(
        {"strategy": {"kind": kind}}
        for kind in ("metrics", "cost", "latency", "success", "round_robin", "adaptive")
    ),
]
POLICIES: Final = [NO_POLICY, *(ReadyPolicy.of(Policy.model_validate(one), 1) for one in _TO_OTHERS)]
CIRCUITS: Final[list[Mapping[str, str]]] = [
    {},
    {"first": "open"},
    {"first": "half_open"},
    {"second": "half_open", "third": "half_open"},
    {"first": "open", "second": "open", "third": "open"},
]
"""Each with the state of the accounts' circuits, where they are not closed."""


@dataclass
class World:
    """A merchant's payment at the first of three accounts, with the route as it is from time to time."""

    accounts: tuple[PspAccount, ...]
    made: Payment
    now: datetime = NOW
    fees: FeeBook = field(default=NO_FEES)
    policy: ReadyPolicy = NO_POLICY
    circuits: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def at(cls, one: Unproven) -> "World":
        facts = one.gateway.facts
        first = replace(
            PSP,
            gateway=facts.name,
            account="first",
            key_life_s=facts.key_life_s,
            final_call_by=facts.final_call_by,
            limits=limits(facts),
        )
        accounts = (first, *(replace(PSP, account=name) for name in OTHERS))
        world = cls(
            accounts, payment(Route(accounts), amount=Money(1099, "USD"), expires_at=EXPIRES_AT, country="DE")
        )
        if one.before is not None:
            world.learns(("call", one.before), "1")
        return world

    @property
    def tried(self) -> list[str]:
        return [attempt.psp.account for attempt in self.made.attempts]

    def for_payment(self, *_: object) -> Route:
        health = {
            name: AccountHealth(
                name,
                self.now,
                {"sale": Circuit(state, self.now, "5 technical failures in a row", probe_share=1.0)},
            )
            for name, state in self.circuits.items()
        }
        return Route(self.accounts, policy=self.policy, health=Health(health))

    def stray_name(self, payment_methods: Mapping[str, str]) -> None:
        return None

    def stray_prefix(self, merchant_id: str, payment_method: str) -> None:
        return None

    def learns(self, shown: Shown, step: str) -> None:
        """Of the first attempt, as a command worker takes it."""
        source, outcome = shown
        operation = self.made.attempts[0]
        self.now += timedelta(seconds=1)
        message = RecordOutcome(
            command_id=uuid4(),
            payment_id=self.made.id,
            operation_id=operation.id,
            step=step,
            gateway=operation.psp.gateway,
            account=operation.psp.account,
            outcome=outcome,
            source=source,
            tries=1,
            first_try_at=NOW,
            observed_at=self.now,
        )
        context = handlers.Context(self.now, 0.5, None, None, self, {})
        handlers.record_outcome(message, self.made, context)

    def wakes(self) -> str | None:
        """How AegisPay goes on when the time has come; None: it starts no call."""
        self.now = self.made.next_wake_at(self.now) or self.now + timedelta(hours=1)
        before = len(self.made.pending_events)
        timers.wake(self.made, self.for_payment(), cause(self.now))
        new = self.made.pending_events[before:]
        hows = [event.how for event in new if type(event).TOPIC == "operation.follow_up_requested.v1"]
        return hows[-1] if hows else None

    def waits(self, outcome: Outcome, step: str) -> None:
        """Through every policy and every state of the circuits, and each call of its own that shows nothing
        new."""
        for self.policy, self.circuits in itertools.product(POLICIES, CIRCUITS):
            how = self.wakes()
            if how == "repeat":
                self.learns(("call", outcome), step)
            elif how is not None:
                self.learns(("query", Outcome(kind="UNKNOWN", code="not_found_yet")), step)
            assert self.tried == ["first"], (self.policy, self.circuits, how)
        self.policy, self.circuits = NO_POLICY, {}


async def outcome_of(one: Unproven) -> Outcome:
    """As the gateway worker reads it from the wire."""
    book = CASEBOOKS[one.gateway.facts.name]
    response = one.response or HttpResponse(200, {}, b"")
    behaviour = is_silent if one.response is None else responds
    deadline_s = _DEADLINE_S if one.response is None else 10.0
    async with (
        FaultyServer(book, behaviour, lambda _: response).serving() as server,
        HttpClient.open(10, deadline_s=deadline_s) as http,
    ):
        return await send(book, one.call, server.url, http)


each = pytest.mark.parametrize("one", UNPROVEN, ids=lambda one: one.name)


@each
async def test_without_proof_it_leads_to_no_other_account_and_with_proof_that_nothing_was_charged_to_the_next(
    one: Unproven,
):
    world, outcome = World.at(one), await outcome_of(one)
    assert outcome.kind == "UNKNOWN"

    world.learns(("call", outcome), one.call.step)
    assert (world.tried, world.made.status) == (["first"], Status.IN_DOUBT)
    world.waits(outcome, one.call.step)
    if one.hint is not None:
        world.learns(("webhook", one.hint), "1")
        assert world.tried == ["first"]
    for shown in one.not_charged:
        world.learns(shown, one.call.step if shown[0] != "webhook" else "1")

    assert world.tried == ["first", "second"]


@each
async def test_what_was_charged_in_spite_of_it_never_leads_to_another_account(one: Unproven):
    world, outcome = World.at(one), await outcome_of(one)

    world.learns(("call", outcome), one.call.step)
    world.waits(outcome, one.call.step)
    for shown in one.charged:
        world.learns(shown, one.call.step if shown[0] != "webhook" else "1")
        assert world.tried == ["first"]
    assert world.made.status is Status.CAPTURED
    world.waits(outcome, one.call.step)

    assert (world.tried, world.made.totals.captured) == (["first"], 1099)


def test_the_list_that_other_routers_send_on_is_walked():
    at = {one.name for one in UNPROVEN}

    assert {
        "stripe no response",
        "stripe HTTP 500",
        "stripe lock_timeout, HTTP 429",
        "stripe payment_method_provider_timeout",
        "adyen 903, HTTP 500",
        "adyen Refused, 4",
    } <= at
