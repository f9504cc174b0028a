"""What each event does to a payment's row and its operations' rows. Pure.

Invariant: status, captured sum and frozen are the aggregate's after the same events (a property test holds both
against each other). An event can name an operation that is unknown here only when its sender is broken: such a one
moves the version and nothing else.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import assert_never
from uuid import UUID

from aggregates.operation import OperationState
from aggregates.payment import Status
from projections import events
from projections.events import OUTCOMES, Event


@dataclass(slots=True)
class OperationRow:
    operation_id: str
    payment_id: str
    ordinal: int
    kind: str
    state: str
    gateway: str
    account: str
    psp_id: str | None
    amount_minor: int
    currency: str
    code: str | None
    asked: int
    call_ms: float | None
    started_at: datetime
    updated_at: datetime


@dataclass(slots=True)
class PaymentRow:
    payment_id: str
    version: int = 0
    stale_since: datetime | None = None
    merchant_id: str = ""
    customer_id: str | None = None
    status: str = Status.REQUESTED
    amount_minor: int = 0
    currency: str = ""
    captured_minor: int = 0
    country: str | None = None
    description: str | None = None
    metadata: dict[str, str] = field(default_factory=dict)
    reason: str | None = None
    action_url: str | None = None
    frozen: bool = False
    attempts_ended: bool = False
    gateway: str | None = None
    command_id: UUID | None = None
    correlation_id: str = ""
    expires_at: datetime | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    operations: dict[str, OperationRow] = field(default_factory=dict)


def apply(payment: PaymentRow, event: Event) -> None:
    """`event` is the payment's next one: the caller has seen to that."""
    body = event.body
    match body:
        case events.Requested():
            _requested(payment, body)
        case events.Rejected():
            payment.status = Status.REJECTED
            payment.reason = body.code
        case events.OperationStarted():
            _started(payment, body)
        case events.OperationAsked():
            if (operation := payment.operations.get(body.operation_id)) is not None:
                operation.asked = body.ask
                operation.updated_at = body.timestamp
        case events.OperationReported():
            _reported(payment, body, OUTCOMES[event.topic])
        case events.Contradicted():
            payment.frozen = True
        case events.AttemptsEnded():
            payment.attempts_ended = True
        case events.RetryScheduled() | events.Other():
            pass
        case _:
            assert_never(body)
    payment.version = event.version
    payment.updated_at = body.timestamp
    payment.status = _status(payment)


def _requested(payment: PaymentRow, body: events.Requested) -> None:
    payment.merchant_id = body.merchant_id
    payment.customer_id = body.customer_id
    payment.amount_minor = body.amount_minor
    payment.currency = body.currency
    payment.country = body.country
    payment.description = body.description
    payment.metadata = body.metadata
    payment.command_id = body.command_id
    payment.correlation_id = body.correlation_id
    payment.expires_at = body.expires_at
    payment.created_at = body.timestamp


def _started(payment: PaymentRow, body: events.OperationStarted) -> None:
    payment.gateway = body.gateway
    payment.operations[body.operation_id] = OperationRow(
        operation_id=body.operation_id,
        payment_id=payment.payment_id,
        ordinal=body.ordinal,
        kind=body.kind,
        state=OperationState.STARTED,
        gateway=body.gateway,
        account=body.account,
        psp_id=None,
        amount_minor=body.amount_minor,
        currency=body.currency,
        code=None,
        asked=0,
        call_ms=None,
        started_at=body.timestamp,
        updated_at=body.timestamp,
    )


def _reported(payment: PaymentRow, body: events.OperationReported, state: OperationState) -> None:
    payment.reason = body.code
    if (operation := payment.operations.get(body.operation_id)) is None:
        return
    operation.state = state
    operation.psp_id = body.psp_id or operation.psp_id
    operation.code = body.code
    operation.call_ms = body.call_ms
    operation.updated_at = body.timestamp
    payment.action_url = body.action_url if state is OperationState.ACTION_REQUIRED else None
    payment.captured_minor = sum(
        operation.amount_minor
        for operation in payment.operations.values()
        if operation.state == OperationState.APPROVED
    )


def _status(payment: PaymentRow) -> Status:
    if payment.status == Status.REJECTED:
        return Status.REJECTED
    states = {operation.state for operation in payment.operations.values()}
    if OperationState.APPROVED in states:
        return Status.CAPTURED
    if OperationState.UNKNOWN in states:
        return Status.IN_DOUBT
    if OperationState.PENDING in states:
        return Status.PROCESSING
    if OperationState.ACTION_REQUIRED in states:
        return Status.REQUIRES_ACTION
    if payment.attempts_ended:
        return Status.FAILED
    return Status.PROCESSING if states else Status.REQUESTED
