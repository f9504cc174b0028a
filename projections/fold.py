"""What each event does to a payment's row and its operations' rows. Pure.

Invariant: after `apply` of every event and one `settle`, the row stands as the aggregate does (a property test holds
both against each other). An event can name an operation that is unknown here only when its sender is broken, or when it
says that the payment has none of that name: such a one changes no operation.
"""

from typing import assert_never

from aggregates.operation import TAKING, OperationState
from aggregates.status import Status
from projections import events
from projections.events import OUTCOMES, Event
from projections.rows import Contradiction, Dispute, NewOperation, NewPayment, OperationRow, PaymentRow


def apply(payment: PaymentRow, event: Event) -> None:
    """`event` is the payment's next one: the caller has seen to that, and settles the row after the last of them."""
    body = event.body
    match body:
        case events.Requested():
            _requested(payment, body)
        case events.Rejected():
            payment.status = Status.REJECTED
            payment.reason = body.code
            payment.decision = body.detail
        case events.OperationStarted():
            _started(payment, body)
        case events.OperationReported():
            _reported(payment, body, OUTCOMES[event.topic])
        case events.Contradicted():
            _contradicted(payment, body)
        case events.ExtraChargeConfirmed():
            _extra(payment, body)
        case events.Resolved():
            _resolved(payment, body)
        case events.RetryScheduled():
            _retry(payment, body)
        case events.AttemptsEnded():
            _attempts_ended(payment, body)
        case events.OperationAsked() | events.NeedsPerson():
            _asked(payment, body)
        case events.CancelRequested():
            payment.cancel_requested = True
        case events.AuthorizationExpired():
            payment.authorization_expired = True
            payment.decision = body.because
        case events.DisputeChanged():
            _disputed(payment, body)
        case events.Noted() | events.Other():
            pass
        case _:
            assert_never(body)
    payment.version = event.version
    payment.updated_at = body.timestamp


def _requested(payment: PaymentRow, body: events.Requested) -> None:
    payment.merchant_id = body.merchant_id
    payment.amount_minor = body.amount_minor
    payment.currency = body.currency
    payment.new = NewPayment(
        customer_id=body.customer_id,
        capture=body.capture,
        country=body.country,
        description=body.description,
        statement_text=body.statement_text,
        return_page=body.return_page,
        metadata=body.metadata,
        command_id=body.command_id,
        correlation_id=body.correlation_id,
        expires_at=body.expires_at,
        created_at=body.timestamp,
    )


def _started(payment: PaymentRow, body: events.OperationStarted) -> None:
    if body.retry_of is not None and (failed := _touch(payment, body.retry_of, body)) is not None:
        failed.retry_at = None
    payment.gateway = body.gateway
    payment.decision = body.because
    payment.touched.add(body.operation_id)
    payment.operations[body.operation_id] = OperationRow(
        operation_id=body.operation_id,
        payment_id=payment.payment_id,
        kind=body.kind,
        amount_minor=body.amount_minor,
        currency=body.currency,
        final=body.final,
        action_until=body.action_until,
        authorization_life_s=body.authorization_life_s,
        state=OperationState.STARTED,
        psp_id=None,
        approved_minor=0,
        approved_at=None,
        extra=body.extra,
        code=None,
        asked=0,
        in_doubt_since=None,
        person_asked=False,
        retry_at=None,
        call_ms=None,
        updated_at=body.timestamp,
        new=NewOperation(
            merchant_id=payment.merchant_id,
            ordinal=body.ordinal,
            attempt=body.attempt,
            gateway=body.gateway,
            account=body.account,
            target=body.target_operation_id,
            started_at=body.timestamp,
        ),
    )


def _touch(payment: PaymentRow, operation_id: str, body: events.Body) -> OperationRow | None:
    operation = payment.operations.get(operation_id)
    if operation is not None:
        operation.updated_at = body.timestamp
        payment.touched.add(operation_id)
    return operation


def _reported(payment: PaymentRow, body: events.OperationReported, state: OperationState) -> None:
    payment.reason = body.code
    operation = _touch(payment, body.operation_id, body)
    if operation is None:
        return
    operation.state = state
    operation.psp_id = body.psp_id or operation.psp_id
    operation.code = body.code
    operation.call_ms = body.call_ms
    if state is not OperationState.UNKNOWN:
        operation.in_doubt_since = None
    elif operation.in_doubt_since is None:
        operation.in_doubt_since = body.timestamp
    if state is OperationState.APPROVED:
        operation.approved_minor = body.amount_minor or 0
        operation.approved_at = body.observed_at
    if operation.kind in TAKING:
        waits = state is OperationState.ACTION_REQUIRED
        payment.action_url = (body.action_url or payment.action_url) if waits else None
        payment.action_until = operation.action_until if waits else None


def _asked(payment: PaymentRow, body: events.OperationAsked | events.NeedsPerson) -> None:
    operation = _touch(payment, body.operation_id, body)
    if operation is None:
        return
    if isinstance(body, events.OperationAsked):
        operation.asked = body.ask
        if body.how == "continue":
            operation.state = OperationState.STARTED
            operation.in_doubt_since = None
            if operation.kind in TAKING:
                payment.action_url = payment.action_until = None
    else:
        operation.person_asked = True


def _contradicted(payment: PaymentRow, body: events.Contradicted) -> None:
    operation = payment.operations.get(body.operation_id)
    told = body.amount_minor is not None and body.currency is not None
    amount_minor, currency = body.amount_minor, body.currency
    if not told and operation is not None:
        amount_minor, currency = operation.amount_minor, operation.currency
    _freeze(
        payment,
        {
            "operation_id": body.operation_id,
            "since": body.timestamp.isoformat(),
            "why": body.why,
            "reported": body.reported,
            "amount_minor": amount_minor if amount_minor is not None else payment.amount_minor,
            "currency": currency if currency is not None else payment.currency,
            "late_psp_id": body.psp_id if body.late_charge else None,
        },
    )


def _freeze(payment: PaymentRow, new: Contradiction) -> None:
    """One for each operation: the newest, since the first."""
    if (old := _thaw(payment, new["operation_id"])) is not None:
        new["since"] = old["since"]
        new["late_psp_id"] = new["late_psp_id"] or old["late_psp_id"]
    payment.contradictions.append(new)


def _thaw(payment: PaymentRow, operation_id: str) -> Contradiction | None:
    """What stood against this operation."""
    for one in payment.contradictions:
        if one["operation_id"] == operation_id:
            payment.contradictions.remove(one)
            return one
    return None


def _extra(payment: PaymentRow, body: events.ExtraChargeConfirmed) -> None:
    _thaw(payment, body.operation_id)
    operation = _touch(payment, body.operation_id, body)
    if operation is None:
        return
    operation.state = OperationState.APPROVED
    operation.approved_minor = body.amount_minor
    operation.psp_id = body.psp_id or operation.psp_id
    operation.extra = True
    operation.in_doubt_since = None


def _resolved(payment: PaymentRow, body: events.Resolved) -> None:
    stood = _thaw(payment, body.operation_id)
    operation = _touch(payment, body.operation_id, body)
    if operation is None:
        return
    charged = body.decision == "charged"
    operation.state = OperationState.APPROVED if charged else OperationState.PROVEN_ABSENT
    operation.approved_minor = body.amount_minor if charged else 0
    operation.approved_at = body.approved_at
    if charged:
        operation.retry_at = None
    if stood is not None:
        operation.psp_id = stood["late_psp_id"] or operation.psp_id
    operation.in_doubt_since = None
    if operation.kind in TAKING:
        payment.action_url = None
        payment.action_until = None


def _retry(payment: PaymentRow, body: events.RetryScheduled) -> None:
    payment.decision = body.because
    operation = _touch(payment, body.operation_id, body)
    if operation is not None:
        operation.retry_at = body.retry_at


def _attempts_ended(payment: PaymentRow, body: events.AttemptsEnded) -> None:
    payment.ended = body.ended
    payment.decision = body.because
    for operation in payment.operations.values():
        if operation.retry_at is not None and operation.kind in TAKING:
            operation.retry_at = None
            payment.touched.add(operation.operation_id)


def _disputed(payment: PaymentRow, body: events.DisputeChanged) -> None:
    dispute: Dispute = {
        "dispute_id": body.dispute_id,
        "operation_id": body.operation_id,
        "state": body.state,
        "amount_minor": body.amount_minor,
        "currency": body.currency,
        "reason": body.reason,
        "respond_by": None if body.respond_by is None else body.respond_by.isoformat(),
        "observed_at": body.observed_at.isoformat(),
    }
    others = [one for one in payment.disputes if one["dispute_id"] != body.dispute_id]
    payment.disputes = [*others, dispute]
    if body.contradicts is not None:
        _freeze(
            payment,
            {
                "operation_id": body.operation_id,
                "since": body.timestamp.isoformat(),
                "why": body.contradicts,
                "reported": f"dispute {body.state}",
                "amount_minor": body.amount_minor,
                "currency": body.currency,
                "late_psp_id": None,
            },
        )
