"""Status queries that an operator or a merchant sends, and what they do at each PSP.

Invariant: a refusal sends nobody to a query that would be refused or would close nothing.
"""

from datetime import datetime
from math import ceil
from typing import Final

from aggregates.decision import Cause, Refused
from aggregates.merchant_commands import amounts
from aggregates.operation import Operation, OperationState
from aggregates.payment import Payment

_JUST_NOW_S: Final = 5.0
_QUERY: Final = (
    "POST /v1/payments/{payment_id}/status-queries, `aegispay doubt query` or the command retry_status_query"
)


def query_now(payment: Payment, operation_id: str | None, cause: Cause) -> None:
    """Queries the PSP now about the open operations, or about the one named. Raises `Refused` where none is
    open, only a webhook can settle it, or the last call or report of one is less than 5 s old."""
    open_ones = [o for o in payment.operations.values() if o.open and operation_id in {None, o.id}]
    if not open_ones:
        named = f"{operation_id} is not" if operation_id else "no operation is"
        text = (
            f"{named} waiting for its outcome; the payment is {payment.status}; operations without an outcome: "
            f"{without_outcome(payment)}"
        )
        raise Refused("nothing_in_doubt", text, amounts(payment))
    waiting, open_ones = open_ones[0], [o for o in open_ones if not o.webhook_only]
    if not open_ones:
        text = f"{waiting.psp.gateway} has no status API: only its webhook or the customer can settle {waiting.id}"
        raise Refused("webhook_only", text, amounts(payment))
    newest = max(open_ones, key=_updated_at)
    if (wait_s := _query_in_s(newest, cause)) > 0:
        updated_at = _updated_at(newest)
        since_s = max((cause.now - updated_at).total_seconds(), 0.0)
        # A repeat of a call that timed out is a call too, which no query follows at once.
        called = (newest.last_call_at or newest.started_at) == updated_at
        what = "AegisPay called the PSP about" if called else "AegisPay received a report of"
        text = f"{what} {newest.id} {since_s:.1f} s ago: send the status query in {wait_s:.1f} s"
        raise Refused("queried_just_now", text, amounts(payment))
    for operation in open_ones:
        payment.follow_up(operation, cause, only_query=_only_queried(operation))


def how_to_close(payment: Payment, operation: Operation, cause: Cause) -> str:
    """Says what has to happen before an operator may decide that the operation was not executed."""
    gateway, name = operation.psp.gateway, operation.id
    if operation.webhook_only:
        return (
            f"{gateway} may still execute {name}, and has no status API: wait for its webhook, or resolve "
            f"{name} as charged if {gateway} shows that it was executed"
        )
    how, _ = operation.choose_follow_up(cause.now, frozen=payment.frozen, canceled=payment.cancel_requested)
    wait_s = _query_in_s(operation, cause)
    send = f"send a status query {f'in {wait_s:.1f} s' if wait_s > 0 else 'now'} ({_QUERY})"
    if how == "cancel":
        return f"{gateway} may still execute {name}: {send}, which cancels it there, or wait for its webhook"
    if how in {"repeat", "continue"} and not _only_queried(operation):
        at = operation.escalate_at()
        when = "once an operator is called" if at is None else f"from {at.isoformat()} on"
        return (
            f"AegisPay may still repeat the call of {name}: {gateway} has no status API, and a status query "
            f"closes the call only {when}"
        )
    if operation.state is OperationState.STARTED and operation.escalated:
        send += f", and without a response another from {operation.expires_at.isoformat()} on"
    return f"AegisPay may still repeat the call of {name}, since the PSP was not looked up: {send}, then resolve it"


def _only_queried(operation: Operation) -> bool:
    """True if `query_now` repeats no call. A lookup closes the step. Where there is none, only an operator
    who was called may do that."""
    return operation.psp.looks_up or operation.escalated


def without_outcome(payment: Payment) -> str:
    """Names the operations that await their outcome."""
    return ", ".join(o.id for o in payment.operations.values() if o.open) or "none"


def _updated_at(operation: Operation) -> datetime:
    return operation.last_update_at or operation.started_at


def _query_in_s(operation: Operation, cause: Cause) -> float:
    """Returns the wait until `query_now` takes a query of the operation, s, in tenths; 0: at once."""
    since_s = (cause.now - _updated_at(operation)).total_seconds()
    return max(ceil((_JUST_NOW_S - since_s) * 10) / 10, 0.0)
