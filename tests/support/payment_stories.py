"""Any story of a payment: commands, reports, disputes and wakes in any order, each as often as Kafka may
bring it."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal, get_args
from uuid import UUID, uuid5

from hypothesis import strategies as st

from aggregates import disputes, merchant_commands, outcomes, resolution, review, status_queries, timers
from aggregates.decision import Cause, Refused
from aggregates.operation import Balances, Move, OperationState, Report
from aggregates.payment import Payment
from aggregates.routing.route import Route
from aggregates.status import DisputeState
from tests.support.builders import NOW, TWO_ACCOUNTS, cause, report, word

_SPACE: Final = UUID("c0ffee00-0000-4000-8000-00000000cafe")
AMOUNTS: Final = st.sampled_from([None, 1, 99, 500, 599, 1000, 1099, 1100])
DISPUTE_STATES: Final[tuple[DisputeState, ...]] = get_args(DisputeState)
REPORTABLE: Final = [state for state in OperationState if state is not OperationState.STARTED]


@dataclass(frozen=True)
class Step:
    what: str
    which: int
    seconds: int
    state: OperationState
    amount_minor: int | None
    currency: str
    psp_id: str | None
    source: str
    hint: str | None
    flag: bool
    goes_on: bool
    moved: int | None


STEPS: Final = st.builds(
    Step,
    what=st.sampled_from(
        ["report"] * 8
        + ["wake"] * 4
        + [
            "capture",
            "capture",
            "void",
            "refund",
            "refund",
            "cancel",
            "return",
            "resolve",
            "ask",
            "dispute",
            "dispute",
            "decide",
            "review",
            "review",
        ]
    ),
    which=st.integers(0, 7),
    seconds=st.sampled_from([0, 1, 6, 40, 700, 4000, 90_000, 700_000]),
    state=st.sampled_from([OperationState.APPROVED] * 4 + REPORTABLE),
    amount_minor=AMOUNTS,
    currency=st.sampled_from(["EUR"] * 6 + ["USD"]),
    psp_id=st.sampled_from(["psp_1", "psp_2", None]),
    source=st.sampled_from(["call", "query", "query", "stored", "webhook"]),
    hint=st.sampled_from([None, None, None, "CONFIG", "RETRY_WITH_3DS", "FIX_INPUT"]),
    flag=st.booleans(),
    goes_on=st.sampled_from([False, False, True]),
    moved=st.sampled_from([None, None, 0, 0, 100, 1099]),
)
STORIES: Final = st.lists(STEPS, max_size=30)


def play(payment: Payment, steps: Sequence[Step], route: Route = TWO_ACCOUNTS, *, times: int = 2) -> None:
    now = NOW
    for number, step in enumerate(steps):
        now += timedelta(seconds=step.seconds)
        act(payment, step, number, now, route, times=times)


def act(payment: Payment, step: Step, number: int, now: datetime, route: Route, *, times: int = 1) -> None:
    """One message, so many times."""
    # Before its first attempt, a report can only be about an operation that nobody started.
    operations = list(payment.operations) or [f"{payment.id.hex}-s1"]
    name = operations[step.which % len(operations)]
    message = Message(step, number, _report(payment, name, step, now), now)
    for _ in range(times):
        _deliver(payment, message, route)


@dataclass(frozen=True)
class Message:
    step: Step
    number: int
    report: Report
    now: datetime


def _deliver(payment: Payment, message: Message, route: Route) -> None:
    """As the handlers do it: a command that was accepted before is not decided again."""
    command_id = uuid5(_SPACE, str(message.number))
    if str(command_id) in payment.commands:
        return
    reported = cause(message.now, command_id)
    match message.step.what:
        case "report":
            outcomes.take(payment, message.report, route, reported)
        case "wake":
            timers.wake(payment, route, reported)
        case "dispute":
            _dispute(payment, message, reported)
        case _:
            with contextlib.suppress(Refused):
                commanded = cause(message.now, command_id, fingerprint=f"of {message.number}")
                _command(payment, message, route, commanded)


def _command(payment: Payment, message: Message, route: Route, commanded: Cause) -> None:
    step = message.step
    match step.what:
        case "capture":
            merchant_commands.capture(payment, step.amount_minor, commanded, final=step.flag)
        case "void":
            merchant_commands.void(payment, commanded)
        case "refund":
            merchant_commands.refund(payment, step.amount_minor, commanded, reason=None)
        case "cancel":
            merchant_commands.cancel(payment, commanded)
        case "return":
            merchant_commands.customer_returned(payment, None, commanded)
        case "review":
            decision: Literal["allow", "deny"] = "allow" if step.flag else "deny"
            review.decide(payment, decision, route, commanded, evidence="the customer called", who="ada")
        case "ask":
            status_queries.query_now(payment, None, commanded)
        case "resolve":
            resolution.resolve(
                payment,
                message.report.operation_id,
                "charged" if step.flag else "not_charged",
                step.amount_minor if step.flag else None,
                evidence="the PSP's page",
                who="ada",
                cause=commanded,
            )
        case "decide":
            disputes.resolve(
                payment,
                f"dp_{step.which % 2}",
                ("opened", "won", "lost", "closed")[message.number % 4],
                step.amount_minor,
                evidence="the PSP's page",
                who="ada",
                cause=commanded,
            )
        case _:
            raise AssertionError(step.what)


def _dispute(payment: Payment, message: Message, reported: Cause) -> None:
    step = message.step
    dispute = word(
        payment,
        DISPUTE_STATES[message.number % len(DISPUTE_STATES)],
        step.amount_minor or 1099,
        dispute_id=f"dp_{step.which % 2}",
        operation_id=message.report.operation_id,
        currency=step.currency,
        reported_at=message.now - timedelta(seconds=100) if step.flag else None,
        observed_at=message.now,
    )
    disputes.take(payment, dispute, reported)


def _report(payment: Payment, name: str, step: Step, now: datetime) -> Report:
    """Mostly the report of a PSP that does as requested; sometimes not."""
    operation = payment.operations.get(name)
    requested = payment.amount.minor if operation is None else operation.amount.minor
    honest = step.which < 6
    sent = "1" if operation is None else operation.step
    waits = step.state in {OperationState.PENDING, OperationState.ACTION_REQUIRED}
    return report(
        name,
        step.state,
        psp_id=f"psp_{name}" if honest else step.psp_id,
        amount_minor=requested if honest else step.amount_minor,
        currency="EUR" if honest else step.currency,
        source=step.source,
        hint=step.hint,
        code="code",
        observed_at=now,
        step=sent if honest else "1",
        balances=_balances(payment, step),
        next_step=str(int(sent) + 1) if step.goes_on and waits and sent < "4" else None,
    )


def _balances(payment: Payment, step: Step) -> Balances | None:
    """What the PSP shows: what is recorded, and at times what was captured or given back externally."""
    if step.moved is None:
        return None
    total = payment.totals
    captured = total.captured + (step.moved if step.flag else 0)
    refunded = total.refunded + (0 if step.flag else step.moved)
    moves = (Move("capture" if step.flag else "refund", f"hand_{step.which}", max(step.moved, 1)),)
    return Balances(captured, refunded, 0 if step.goes_on else None, moves)


def replayed(payment: Payment, version: int | None = None) -> Payment:
    """From its pending events, up to a version."""
    copy = None
    for event in payment.pending_events[:version]:
        copy = event.mutate(copy)
    assert copy is not None
    return copy
