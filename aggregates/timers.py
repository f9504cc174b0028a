"""Does what is due: queries, retries, expiries and escalations; nothing when nothing is due.

Invariant: after a wake nothing that `Payment.due` names is still due.
"""

from aggregates import events
from aggregates.attempts import begin, follow_up_again, retry
from aggregates.decision import Cause
from aggregates.external_moves import query_balances, void_left
from aggregates.operation import Operation
from aggregates.payment import Payment
from aggregates.routing.route import Route


def wake(payment: Payment, route: Route, cause: Cause) -> None:
    """Does what is due by `cause.now`."""
    if payment.rejected is not None:
        return
    now = cause.now
    if payment.held and now >= payment.expires_at:
        payment.end_attempts("expired", "nobody reviewed it before its expires_at", cause)
    for operation in payment.operations.values():
        if (at := operation.next_follow_up_at()) is not None and at <= now:
            follow_up_again(payment, operation, route, cause)
        if (at := operation.escalate_at()) is not None and at <= now:
            payment.trigger_event(
                events.Escalated,
                operation_id=operation.id,
                amount_minor=operation.amount.minor,
                since=(operation.doubt_since or now).isoformat(),
                **cause.fields(),
            )
    awaited = payment.awaits_account
    if awaited is not None and not payment.frozen and min(awaited.at, payment.expires_at) <= now:
        begin(payment, route, cause)
    if not payment.frozen:
        for planned in [planned for planned in payment.retries.values() if planned.at <= now]:
            retry(payment, planned.operation, route, cause)
    _expire(payment, cause)


def _expire(payment: Payment, cause: Cause) -> None:
    at, until, approved = payment.expiry_at(), payment.authorization_until, payment.approved_attempt
    if at is None or at > cause.now or until is None or approved is None:
        return
    if cause.now >= until and not payment.frozen:
        _end(payment, approved, f"its time ended at {until.isoformat()}", cause)
    else:
        payment.trigger_event(
            events.AuthorizationExpiring,
            operation_id=approved.id,
            expires_at=until.isoformat(),
            capturable_minor=payment.totals.capturable,
            **cause.fields(),
        )


def _end(payment: Payment, approved: Operation, reason: str, cause: Cause) -> None:
    """Ends an authorization by our clock. The PSP releases the hold: by our void or, where it has none, by
    itself. At some PSPs a void after an external capture would give that back, so AegisPay first queries
    those that have a status API."""
    if not payment.lapsed:
        payment.trigger_event(
            events.AuthorizationLapsed,
            operation_id=approved.id,
            capturable_minor=payment.totals.capturable,
            reason=reason,
            **cause.fields(),
        )
    if approved.psp.looks_up:
        query_balances(payment, approved, cause, f"{reason}: whether the PSP holds it still")
    else:
        void_left(payment, approved, cause)
