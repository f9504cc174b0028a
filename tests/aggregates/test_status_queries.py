from datetime import timedelta
from uuid import uuid4

import pytest

from aggregates import merchant_commands, status_queries, timers
from aggregates.decision import Refused
from aggregates.operation import CANCEL_STEP, OperationState
from tests.aggregates.charges import LATER, command, refusal, resolve, say
from tests.support.builders import TWO_ACCOUNTS, WEBHOOK_ONLY, authorized, cause, operation_of, payment

S = OperationState


def test_the_psp_can_be_queried_at_once_but_not_again_and_again():
    made = payment()
    say(made, operation_of(made), S.UNKNOWN)
    with pytest.raises(Refused, match="queried_just_now") as refused:
        status_queries.query_now(made, None, command())
    assert refused.value.amounts == merchant_commands.amounts(made)
    name = operation_of(made)
    said = f"AegisPay received a report of {name} 0.0 s ago: send the status query in 5.0 s"
    assert refused.value.detail == said

    status_queries.query_now(made, None, cause(LATER + timedelta(seconds=6), uuid4(), fingerprint="f"))
    assert made.pending_events[-1].how == "query"


def test_while_a_call_is_repeated_both_refusals_say_when_the_query_may_be_sent():
    made, repeated = payment(), LATER + timedelta(seconds=5)
    name = operation_of(made)
    say(made, name, S.UNKNOWN)
    timers.wake(made, TWO_ACCOUNTS, cause(repeated))
    assert made.pending_events[-1].how == "repeat"

    soon = cause(repeated + timedelta(seconds=0.4), uuid4(), fingerprint="f")
    with pytest.raises(Refused, match="queried_just_now") as refused:
        status_queries.query_now(made, None, soon)
    wait = "send the status query in 4.6 s"
    assert refused.value.detail == f"AegisPay called the PSP about {name} 0.4 s ago: {wait}"
    no = refusal(made, name, "not_charged", now=soon.now)
    assert no.code == "not_queried_yet"
    assert "send a status query in 4.6 s (POST /v1/payments/{payment_id}/status-queries, " in no.detail

    later = repeated + timedelta(seconds=5)
    assert "send a status query now (" in refusal(made, name, "not_charged", now=later).detail
    status_queries.query_now(made, None, cause(later, uuid4(), fingerprint="f"))
    assert made.pending_events[-1].how == "query"


@pytest.mark.parametrize(
    ("start", "state", "said"),
    [
        (payment, S.PENDING, "has no status API: wait for its webhook"),
        (authorized, S.UNKNOWN, f"closes the call only from {(LATER + timedelta(hours=24)).isoformat()} on"),
        (authorized, None, f"closes the call only from {(LATER + timedelta(hours=24)).isoformat()} on"),
        (authorized, S.UNREACHED, "closes the call only once an operator is called"),
    ],
)
def test_where_no_query_closes_a_call_the_refusal_sends_nobody_to_one(start, state, said):
    made = start(WEBHOOK_ONLY)
    if start is authorized:
        merchant_commands.capture(made, None, command(), final=False)
    name = operation_of(made)
    if state is not None:
        say(made, name, state)

    no = refusal(made, name, "not_charged")
    assert no.code == "not_queried_yet"
    assert said in no.detail
    assert "send a status query" not in no.detail


def test_where_a_query_cancels_the_call_the_refusal_says_so():
    made = payment(WEBHOOK_ONLY)
    say(made, operation_of(made), S.UNKNOWN)

    no = refusal(made, operation_of(made), "not_charged", now=LATER + timedelta(hours=2))
    assert no.code == "not_queried_yet"
    assert "which cancels it there, or wait for its webhook" in no.detail
    status_queries.query_now(made, None, cause(LATER + timedelta(hours=2), uuid4(), fingerprint="f"))
    assert made.pending_events[-1].how == "cancel"


@pytest.mark.parametrize(("source", "closed"), [("call", True), ("stored", True), ("none", False)])
def test_a_cancel_that_the_psp_responded_to_closes_the_call_for_an_operators_decision(source, closed):
    made = payment(WEBHOOK_ONLY)
    name, later = operation_of(made), LATER + timedelta(hours=2)
    say(made, name, S.UNKNOWN)
    status_queries.query_now(made, None, cause(later, uuid4(), fingerprint="f"))
    assert made.pending_events[-1].how == "cancel"
    say(made, name, S.UNKNOWN, step=CANCEL_STEP, source=source, observed_at=later)

    if not closed:
        assert refusal(made, name, "not_charged").code == "not_queried_yet"
        return
    resolve(made, name, "not_charged")
    assert made.operations[name].state is S.PROVEN_ABSENT


def test_where_nothing_is_in_doubt_nothing_is_queried():
    made = payment()
    say(made, operation_of(made))

    with pytest.raises(Refused, match="nothing_in_doubt") as refused:
        status_queries.query_now(made, None, command())
    assert refused.value.amounts == merchant_commands.amounts(made)
