"""What is due: questions, retries, expiries, and the call for a person. Nothing when nothing is.

Invariant: after a wake nothing that `Payment.due` names is still due.
"""

from aggregates import events
from aggregates.asked import Cause
from aggregates.attempts import retry
from aggregates.payment import Payment
from aggregates.reports import expire_authorization
from aggregates.retry import Route


def wake(payment: Payment, route: Route, cause: Cause) -> None:
    """Does what is due by `cause.now`."""
    if payment.rejected is not None:
        return
    now = cause.now
    for operation in payment.operations.values():
        if (at := operation.next_ask_at()) is not None and at <= now:
            payment.ask(operation, cause)
        if (at := operation.person_at()) is not None and at <= now:
            payment.trigger_event(
                events.NeedsPerson,
                operation_id=operation.id,
                amount_minor=operation.amount.minor,
                since=(operation.unknown_since or now).isoformat(),
                **cause.fields(),
            )
    if not payment.frozen:
        for planned in [planned for planned in payment.retries.values() if planned.at <= now]:
            retry(payment, planned.operation, route, cause)
    _expire(payment, cause)


def _expire(payment: Payment, cause: Cause) -> None:
    at, until, taken = payment.expiry_at(), payment.authorization_until, payment.taken_by
    if at is None or at > cause.now or until is None or taken is None:
        return
    if cause.now >= until:
        expire_authorization(payment, taken, f"its time ended at {until.isoformat()}", cause)
    else:
        payment.trigger_event(
            events.AuthorizationExpiring,
            operation_id=taken.id,
            expires_at=until.isoformat(),
            capturable_minor=payment.sums.capturable,
            **cause.fields(),
        )
