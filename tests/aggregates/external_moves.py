"""Reports of a PSP about moves that somebody else made, and an operator's decisions on them."""

from datetime import timedelta
from uuid import uuid4

from aggregates import disputes, merchant_commands, outcomes, resolution
from aggregates.operation import Balances, Move, OperationState
from aggregates.payment import Payment
from aggregates.routing.route import Route
from aggregates.status import DisputeState
from tests.support.builders import (
    NOW,
    ROUTE,
    captured,
    cause,
    operation_of,
    payment,
    report,
    word,
)

S = OperationState
LATER = NOW + timedelta(hours=1)
FAILED = LATER + timedelta(days=2)


def command(now=LATER):
    return cause(now, uuid4(), fingerprint="content")


def questions(made: Payment) -> list[str]:
    return [
        event.how for event in made.pending_events if type(event).TOPIC == "operation.follow_up_requested.v1"
    ]


def say(
    made: Payment,
    state: OperationState,
    at=LATER,
    operation: str | None = None,
    route: Route = ROUTE,
    **other,
) -> None:
    taken = made.approved_attempt
    name = operation or taken.id
    fields = {"psp_id": made.operations[name].psp_id, "amount_minor": made.operations[name].amount.minor}
    outcomes.take(made, report(name, state, observed_at=at, **fields | other), route, cause(at))


def shows(made: Payment, balances: Balances, at=LATER + timedelta(seconds=1)) -> None:
    """The PSP's response to the query."""
    say(made, S.APPROVED, at, source="query", balances=balances)


def resolve(made: Payment, operation: str, decision: str, amount_minor: int | None = None, now=LATER) -> None:
    resolution.resolve(
        made, operation, decision, amount_minor, evidence="the PSP's page", who="ada", cause=command(now)
    )


def canceled(route: Route = ROUTE) -> Payment:
    made = payment(route)
    say(made, S.UNKNOWN, operation=operation_of(made), source="call", psp_id=None)
    merchant_commands.cancel(made, command())
    return made


def hears(made: Payment, at=LATER, **other) -> None:
    """A webhook with an update of what took the payment."""
    say(made, S.UNKNOWN, at, source="webhook", code="news", **other)


def refunded_externally(minor: int = 400, route: Route = ROUTE, moves: tuple[Move, ...] = ()) -> Payment:
    made = captured(route)
    hears(made)
    shows(made, Balances(1099, minor, 0, moves))
    return made


def disputed(made: Payment, state: DisputeState, minor: int = 1099, at=LATER) -> None:
    disputes.take(made, word(made, state, minor, observed_at=at), cause(at, uuid4()))


def totals(made: Payment) -> tuple[int, int, int, bool]:
    return made.totals.refunded, made.totals.disputed, made.totals.refundable, made.frozen
