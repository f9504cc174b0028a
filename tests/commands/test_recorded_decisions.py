from dataclasses import replace
from typing import Any
from uuid import uuid4

import orjson
from eventsourcing.persistence import StoredEvent

from aggregates import attempts, outcomes
from aggregates.operation import OperationState
from aggregates.payment import Payment
from aggregates.routing.policy import Policy
from aggregates.routing.rules import NO_POLICY, ReadyPolicy
from commands.recorded_decisions import recorded_decisions
from tests.support import builders
from tests.support.event_stories import stored

_POLICY = ReadyPolicy.of(
    Policy.model_validate(
        {
            "accounts": ["sim-us", "sim-eu"],
            "strategy": {"kind": "weighted", "weights": {"sim-us": 0.5, "sim-eu": 0.5}},
            "rules": [{"id": "german", "when": {"country": ["DE"]}, "then": {"never": ["sim-us"]}}],
        }
    ),
    7,
)


def _declined_once(policy: ReadyPolicy, **fields: Any) -> Payment:
    """Its first attempt is not executed, and a second one follows."""
    route = replace(builders.TWO_ACCOUNTS, policy=policy)
    request = builders.payment_request(idempotency_key=str(uuid4()), **fields)
    payment = attempts.request(uuid4(), request, route, builders.cause(fingerprint="f" * 64))
    report = builders.report(
        builders.operation_of(payment), OperationState.NOT_SENT, amount_minor=None, currency=None, psp_id=None
    )
    outcomes.take(payment, report, route, builders.cause(command_id=uuid4()))
    return payment


def test_each_decision_of_a_payment_is_made_again_with_the_same_result():
    made = list(recorded_decisions(stored(_declined_once(_POLICY, country="FR", metadata={"tier": "gold"}))))

    assert [one.record["attempt"] for one in made] == [one.facts.attempt for one in made]
    assert [bool(one.record.get("tried")) for one in made] == [False, True]
    assert {one.policy_version for one in made} == {7}
    assert made[0].facts.country == "FR"
    assert made[0].facts.metadata == {"tier": "gold"}
    for one in made:
        assert one.again(_POLICY) == one.record


def test_another_version_gives_another_record_and_so_does_a_changed_one():
    events = stored(_declined_once(_POLICY, country="DE"))
    (first, *_) = recorded_decisions(events)

    assert first.record["account"] == "sim-eu"
    assert first.again(NO_POLICY) != first.record
    (changed, *_) = recorded_decisions([_with_another_account(event) for event in events])
    assert changed.record["account"] == "sim-us"
    assert changed.again(_POLICY) != changed.record


def _with_another_account(event: StoredEvent) -> StoredEvent:
    state = orjson.loads(event.state)
    if state.get("decision"):
        state["decision"]["account"] = "sim-us"
    return replace(event, state=orjson.dumps(state))


def test_another_policy_chooses_from_what_was_known_then():
    (first, *_) = recorded_decisions(stored(_declined_once(_POLICY, country="DE")))

    def under(order: tuple[str, ...] = (), **document: Any) -> str | None:
        return first.under(ReadyPolicy.of(Policy.model_validate(document), 0), order)

    assert under(accounts=["sim-us"]) == "sim-us"
    assert under(rules=[{"id": "x", "then": {"only": ["sim-eu"]}}]) == "sim-eu"
    assert under(rules=[{"id": "x", "then": {"never": ["sim-eu", "sim-us"]}}]) is None
    # Without an order of its own that of the settings decides, which the record does not have.
    assert under(("sim-eu", "sim-us")) == "sim-eu"
    assert under(("sim-us", "sim-eu")) == "sim-us"


def test_a_payment_that_no_account_takes_has_a_decision_that_chose_none():
    (only,) = recorded_decisions(stored(builders.payment(builders.Route(()))))

    assert (only.operation_id, only.record["account"]) == (None, None)
