from dataclasses import replace
from datetime import datetime
from uuid import uuid4

import pytest

from aggregates import outcomes
from aggregates.fees import FeeBook, FeeRule, FeeSchedule, Price
from aggregates.operation import OperationState
from aggregates.routing.health import AccountHealth, Circuit, Health
from commands.ids import payment_id
from commands.ports import Timer, Writes
from commands.sql import statements
from gateways.agent.ports import StepId
from infra.postgres import history as history_module
from infra.postgres.claims import PostgresClaims
from infra.postgres.connections import connect
from infra.postgres.event_store import PaymentStore, Recorder
from infra.postgres.history import history
from infra.settings import DatabaseSettings
from tests.support.builders import NOW, ROUTE, cause, operation_of, payment, report

pytestmark = pytest.mark.stack


@pytest.fixture
def audit(environment):
    with connect(environment.settings(DatabaseSettings, "audit"), "test") as connection:
        yield connection


def _save(environment, made):
    with connect(environment.settings(DatabaseSettings, "command"), "test") as connection:
        store = PaymentStore(Recorder.for_this_cluster(connection))
        store.save(Writes(payments=[made], timers=[Timer(made.id, made.version, NOW)]))


def test_a_payment_is_shown_from_its_stream_with_every_event_and_its_reason(environment, audit):
    made = payment()
    outcomes.take(made, report(operation_of(made), OperationState.UNKNOWN, code="timeout"), ROUTE, cause())
    _save(environment, made)

    shown = history(audit, made.id)

    assert shown is not None
    assert (shown["status"], shown["amount"], shown["version"]) == ("IN_DOUBT", "10.99 EUR", 3)
    assert [event["type"] for event in shown["events"]] == [
        "payment.requested.v1",
        "operation.started.v1",
        "operation.unknown.v1",
    ]
    assert shown["events"][1]["data"]["reason"]
    assert shown["operations"][0]["state"] == "UNKNOWN"
    assert shown["timer"]["wake_at"] == NOW
    assert shown["parked"] is shown["read_model"] is None


def test_what_its_operations_are_expected_to_cost_is_shown(environment, audit):
    price = FeeRule("eea", frozenset({"sale"}), (Price(15_000, {"EUR": 25_000_000}),))
    made = payment(fees=FeeBook({"sim-eu": FeeSchedule((price,))}))
    outcomes.take(made, report(operation_of(made)), ROUTE, cause())
    _save(environment, made)

    shown = history(audit, made.id)

    assert shown is not None
    assert shown["expected_fees"] == ["0.41 EUR"]
    (operation,) = shown["operations"]
    assert (operation["expected_fee"], operation["expected_fee_minor"]) == ("0.41 EUR", 41)


def test_a_payment_that_waits_for_an_account_is_shown_with_the_reason(environment, audit):
    opened = Circuit("open", NOW, "5 calls failed", 0.0)
    health = Health({"sim-eu": AccountHealth("sim-eu", NOW, {"sale": opened}, {})})
    made = payment(route=replace(ROUTE, health=health))
    _save(environment, made)

    shown = history(audit, made.id)

    assert shown is not None
    (wait,) = shown["waits"]
    assert "no PSP account may take it for now: sim-eu" in wait["reason"]
    assert datetime.fromisoformat(wait["until"]) > NOW


def test_a_frozen_payment_waits_for_an_operator_and_for_no_account(environment, audit):
    opened = Circuit("open", NOW, "5 calls failed", 0.0)
    health = Health({"sim-eu": AccountHealth("sim-eu", NOW, {"sale": opened}, {})})
    made = payment(route=replace(ROUTE, health=health))
    outcomes.take(made, report(uuid4().hex, OperationState.APPROVED), ROUTE, cause())
    assert made.frozen
    _save(environment, made)

    shown = history(audit, made.id)

    assert shown is not None
    assert shown["waits"] == []


def test_a_payment_whose_try_reached_nobody_is_shown_with_the_reason(environment, audit):
    made = payment()
    unreached = report(operation_of(made), OperationState.UNREACHED, code="not_connected", psp_id=None)
    outcomes.take(made, unreached, ROUTE, cause())
    _save(environment, made)

    shown = history(audit, made.id)

    assert shown is not None
    (wait,) = shown["waits"]
    assert "(not_connected): again after" in wait["reason"]


async def test_the_claims_of_its_operations_are_shown_and_no_others(environment, audit):
    made = payment()
    name = operation_of(made)
    _save(environment, made)
    async with PostgresClaims.open(environment.settings(DatabaseSettings, "gateway"), "test") as claims:
        for step in (StepId(name, "1"), StepId(name, "x"), StepId(f"{'0' * 32}-s1", "1")):
            await claims.claim(step, None, None)

    shown = history(audit, made.id)

    assert shown is not None
    assert [(one["operation_id"], one["step"], one["tries"]) for one in shown["claims"]] == [
        (name, "1", 1),
        (name, "x", 1),
    ]


def test_the_claims_are_found_by_their_key(environment, audit):
    """Without sequential scans the planner uses the key for whatever can be looked up in it."""
    audit.execute("SET enable_seqscan = off")
    text = statements(history_module.__file__)["claims"]

    plan = "\n".join(row[0] for row in audit.execute(f"EXPLAIN {text}", (["a-s1"],)))

    assert "Index Cond: (operation_id = ANY" in plan


def test_a_stream_that_cannot_be_replayed_still_shows_its_events(environment, audit):
    made = payment()
    _save(environment, made)
    with connect(environment.settings(DatabaseSettings, "admin"), "test") as admin:
        admin.execute("DELETE FROM payment_events WHERE originator_version = 1")

    shown = history(audit, made.id)

    assert shown is not None
    assert shown["status"] == "UNREADABLE"
    assert [event["version"] for event in shown["events"]] == [2]


def test_there_is_no_history_of_what_nobody_requested(audit):
    assert history(audit, payment_id("demo", "never")) is None
