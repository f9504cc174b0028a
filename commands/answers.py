"""Replies: what is said to the one who sent a command, now and when what it started has ended. Pure."""

from uuid import UUID

from aggregates.asked import Cause
from aggregates.asked import Refused as RuleSaysNo
from aggregates.operation import Operation, OperationState
from aggregates.payment import Payment
from aggregates.status import RESTING, Status
from commands.messages import InvalidMessage, Reply


def refused(invalid: InvalidMessage, payment: UUID | None, correlation_id: str | None) -> Reply | None:
    """To the sender of what was not decided; None where nobody could know the reply for his own."""
    if invalid.command_id is None:
        return None
    return Reply(
        kind="answer",
        command_id=invalid.command_id,
        payment_id=payment,
        result="refused",
        code=invalid.code,
        detail=invalid.detail,
        path=invalid.path,
        correlation_id=correlation_id,
    )


def mismatch(command_id: UUID, payment: Payment, path: str, detail: str, cause: Cause) -> Reply:
    return Reply(
        kind="answer",
        command_id=command_id,
        payment_id=payment.id,
        result="refused",
        code="idempotency_mismatch",
        detail=detail,
        path=path,
        status=payment.status,
        version=payment.version,
        correlation_id=cause.correlation_id,
        fingerprint=cause.fingerprint,
    )


def rule_says_no(command_id: UUID, payment: Payment, cause: Cause, no: RuleSaysNo) -> Reply:
    return Reply(
        kind="answer",
        command_id=command_id,
        payment_id=payment.id,
        result="refused",
        code=no.code,
        detail=no.detail,
        amounts=no.amounts or None,
        status=payment.status,
        version=payment.version,
        correlation_id=cause.correlation_id,
        fingerprint=cause.fingerprint,
    )


def answer(command_id: UUID, payment: Payment, correlation_id: str | None, given: str | None = None) -> Reply:
    rejected = payment.status is Status.REJECTED
    started = _started_by(command_id, payment)
    # One that waits for its next attempt has not ended, whatever became of the last.
    state = OperationState.STARTED if started and started.id in payment.retries else started and started.state
    return Reply(
        kind="answer",
        command_id=command_id,
        payment_id=payment.id,
        result="refused" if rejected else "accepted",
        code=payment.rejected,
        detail="the payment was rejected before anything was sent" if rejected else None,
        operation_id=started.id if started else None,
        operation_state=state,
        status=payment.status,
        version=payment.version,
        correlation_id=correlation_id,
        fingerprint=given,
    )


def _started_by(command_id: UUID, payment: Payment) -> Operation | None:
    """The newest, where it was tried several times."""
    name = str(command_id)
    started = (o for o in reversed(payment.operations.values()) if o.command_id == name)
    return next(started, None)


def news(payment: Payment, before: Status, version: int) -> list[Reply]:
    """To the one who created the payment, when it came to rest.

    A message that changed nothing may have been read before, by a worker that was killed before it could tell. Twice
    told is harmless.
    """
    if payment.status not in RESTING or (payment.status is before and payment.version != version):
        return []
    return [update(payment)]


def operation_news(payment: Payment, operation_id: str) -> list[Reply]:
    """To the one whose command started it, when it has ended: a capture, void or refund."""
    operation = payment.operations.get(operation_id)
    if operation is None or operation.taking or operation.open or operation_id in payment.retries:
        return []
    if operation.command_id not in payment.commands:
        return []
    told = update(payment).model_copy(
        update={
            "command_id": UUID(operation.command_id),
            "operation_id": operation.id,
            "operation_state": operation.state,
        }
    )
    return [told]


def update(payment: Payment) -> Reply:
    return Reply(
        kind="update",
        command_id=payment.create_command_id,
        payment_id=payment.id,
        result="accepted",
        code=payment.reason,
        status=payment.status,
        version=payment.version,
        correlation_id=payment.correlation_id,
    )
