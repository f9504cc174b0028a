"""Which requests a circuit holds back."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from aggregates.operation import Kind
from aggregates.routing.health import Circuit, CircuitState
from commands.records import Record
from gateways.agent.circuit import holds_back
from gateways.agent.request import Request, read
from tests.gateways.agent.lookups import follow_up, started

NOW = datetime.now(UTC)
WEEK = (NOW + timedelta(days=7)).isoformat()
OPERATIONS = {
    kind: {
        "kind": kind,
        "operation_id": f"c0ffee00000040008000000000000001-{kind[0]}2",
        "target_operation_id": "c0ffee00000040008000000000000001-a1",
        "expires_at": WEEK,
    }
    for kind in ("capture", "refund", "void")
}


@dataclass(frozen=True)
class All:
    """The same circuit for every kind of every account."""

    state: CircuitState
    share: float = 0.0

    def of(self, account: str, kind: Kind) -> Circuit:
        return Circuit(self.state, NOW, "5 calls in a row failed", self.share)


def asked(record: Record) -> Request:
    return read(record, lambda operation, until: None)


def held(circuits: All, record: Record, now: datetime = NOW) -> bool:
    return holds_back(circuits, asked(record), now)


@pytest.mark.parametrize("state", ["open", "half_open"])
@pytest.mark.parametrize("kind", OPERATIONS)
def test_a_capture_refund_or_void_is_held_back_each_time_that_it_comes(kind: str, state: CircuitState):
    assert held(All(state), started(**OPERATIONS[kind]))
    assert all(held(All(state), follow_up("repeat", follow_up=0, **OPERATIONS[kind])) for _ in range(3))
    assert not held(All("closed"), follow_up("repeat", follow_up=0, **OPERATIONS[kind]))


@pytest.mark.parametrize(
    "other",
    [
        {"how": "repeat", "follow_up": 1},
        {"how": "repeat"},
        {"how": "repeat", "follow_up": 0, "step": "2"},
        {"how": "continue", "follow_up": 0, "step": "2"},
        {"how": "query", "follow_up": 0},
        {"how": "confirm", "follow_up": 0},
        {"how": "cancel", "follow_up": 0},
        {"how": "release", "follow_up": 0},
    ],
)
def test_what_may_have_been_sent_and_what_follows_it_always_goes_on(other: dict[str, Any]):
    assert not held(All("open"), follow_up(**other))


def test_the_router_alone_decides_which_attempts_probe_and_others_draw_for_themselves():
    assert held(All("half_open", 1.0), started())
    assert not held(All("half_open", 0.0), started(probe=True))
    assert not held(All("half_open", 1.0), started(**OPERATIONS["capture"]))
    assert not held(All("half_open", 1.0), follow_up("repeat", follow_up=0))
    assert held(All("open", 1.0), started(**OPERATIONS["capture"]))


def test_a_request_draws_anew_each_time_that_it_comes_and_alike_whenever_it_is_read():
    records = [follow_up("repeat", follow_up=0) for _ in range(400)]
    for number, record in enumerate(records):
        record.headers["ce_id"] = f"c0ffee00-0000-4000-8000-000000000001/{number}".encode()

    passed = [not held(All("half_open", 0.25), record) for record in records]

    assert passed == [not held(All("half_open", 0.25), record) for record in records]
    assert 60 <= sum(passed) <= 140


@pytest.mark.parametrize("kind", OPERATIONS)
def test_shortly_before_its_time_is_over_a_capture_refund_or_void_goes_out(kind: str):
    until = datetime.fromisoformat(WEEK)
    record = follow_up("repeat", follow_up=0, **OPERATIONS[kind])

    assert held(All("open"), record, until - timedelta(seconds=901))
    assert not held(All("open"), record, until - timedelta(seconds=900))


def test_an_attempt_waits_to_its_end_since_the_customer_can_pay_again():
    assert held(All("open"), follow_up("repeat", follow_up=0), NOW + timedelta(minutes=59))
