"""Builds the replies to a command's sender: the decision now, and an update when what it started has ended.
No I/O."""

from typing import Final
from uuid import UUID

from aggregates.decision import Cause, Refused
from aggregates.operation import ENDED, Operation, OperationState
from aggregates.payment import Payment
from aggregates.status import ANNOUNCED, Status
from commands.messages import InvalidMessage
from commands.reply import Reply

ANOTHER_CONTENT: Final = (
    "this idempotency key was used before, for a payment with other content, which stands: read it, or "
    "use a new key"
)


def refused(invalid: InvalidMessage, payment: UUID | None, correlation_id: str | None) -> Reply | None:
    """Refuses a message that was not decided. None: it has no readable command id, so no sender would
    recognize the reply."""
    if invalid.command_id is None:
        return None
    return Reply(
        kind="decision",
        command_id=invalid.command_id,
        payment_id=payment,
        result="refused",
        code=invalid.code,
        detail=invalid.detail,
        path=invalid.path,
        correlation_id=correlation_id,
    )


def mismatch(command_id: UUID, payment: Payment, path: str, detail: str, cause: Cause) -> Reply:
    """Refuses a command whose key or id was used before with other content. `path`: the field that
    repeats."""
    return Reply(
        kind="decision",
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


def refused_by_rule(command_id: UUID, payment: Payment, cause: Cause, refusal: Refused) -> Reply:
    """Refuses a command that a rule of the payment forbids."""
    return Reply(
        kind="decision",
        command_id=command_id,
        payment_id=payment.id,
        result="refused",
        code=refusal.code,
        detail=refusal.detail,
        amounts=refusal.amounts or None,
        status=payment.status,
        version=payment.version,
        correlation_id=cause.correlation_id,
        fingerprint=cause.fingerprint,
    )


def decision(
    command_id: UUID, payment: Payment, correlation_id: str | None, given: str | None = None
) -> Reply:
    """Builds the reply to a decided command, with the present state of the payment and of what the command
    started.

    `given`: the command's fingerprint; None for a create.
    """
    # A denial by a reviewer is what its command wanted: only the create is refused.
    rejected = payment.status is Status.REJECTED and given is None
    started = _started_by(command_id, payment)
    # One that waits for its next attempt has not ended, whatever became of the last.
    state = OperationState.STARTED if started and started.id in payment.retries else started and started.state
    reply = Reply(
        kind="decision",
        command_id=command_id,
        payment_id=payment.id,
        result="refused" if rejected else "accepted",
        code=payment.rejected if rejected else None,
        detail=payment.detail if rejected else None,
        operation_id=started.id if started else None,
        operation_state=state,
        status=payment.status,
        version=payment.version,
        correlation_id=correlation_id,
        fingerprint=given,
    )
    failed = state in ENDED - {OperationState.APPROVED}
    return _with_released(reply, started, payment) if started and not failed else reply


def _with_released(reply: Reply, capture: Operation, payment: Payment) -> Reply:
    """Adds what a partial capture releases, final or not, if the account captures an authorization only
    once."""
    rest = payment.totals.authorized - capture.amount.minor
    if capture.kind != "capture" or capture.psp.multicapture or rest <= 0:
        return reply
    reason = (
        "the capture was final"
        if capture.final_requested
        else f"{capture.psp.account} captures an authorization once"
    )
    detail = f"{reason}: the rest of it is released"
    released = {"code": "rest_released", "detail": detail, "amounts": {"released_minor": rest}}
    return reply.model_copy(update=released)


def create_decision(command_id: UUID, payment: Payment, correlation_id: str | None) -> Reply:
    """Builds the reply to a create. If the payment has a status that is announced, the reply gives the
    reason, and where the customer goes."""
    reply = decision(command_id, payment, correlation_id)
    if payment.status not in ANNOUNCED:
        return reply
    outcome = {"code": payment.reason, "detail": payment.detail, "action_url": _action_url(payment)}
    return reply.model_copy(update=outcome)


def _action_url(payment: Payment) -> str | None:
    return payment.action_url if payment.status is Status.REQUIRES_ACTION else None


def _started_by(command_id: UUID, payment: Payment) -> Operation | None:
    """Returns the newest operation that the command started, of several tries. None: it started none."""
    name = str(command_id)
    started = (o for o in reversed(payment.operations.values()) if o.command_id == name)
    return next(started, None)


def payment_update(payment: Payment, message_id: UUID, before: Status, version: int) -> list[Reply]:
    """Tells the creator that the payment has settled, or is in doubt: once, or again after a crash. `before`
    and `version` are the payment's status and version when the message was read.

    A message that changes nothing now but did before was decided by a worker that may have been killed before
    it replied. A message that never changed anything, such as a webhook that repeats an outcome, leads to no
    reply.
    """
    if payment.status not in ANNOUNCED or not _has_changed(payment, message_id, version):
        return []
    return [] if payment.status is before and payment.version != version else [update(payment)]


def _has_changed(payment: Payment, message_id: UUID, version: int) -> bool:
    return payment.version != version or str(message_id) in payment.causes


def operation_update(payment: Payment, message_id: UUID, operation_id: str, version: int) -> list[Reply]:
    """Tells the sender of the command that started it that a capture, void or refund has ended; see
    `payment_update`."""
    if not _has_changed(payment, message_id, version):
        return []
    operation = payment.operations.get(operation_id)
    if operation is None or operation.is_charge_attempt or operation.open or operation_id in payment.retries:
        return []
    if operation.command_id not in payment.commands:
        return []
    ended = update(payment).model_copy(
        update={
            "command_id": UUID(operation.command_id),
            "operation_id": operation.id,
            "operation_state": operation.state,
            "code": operation.code,
            "detail": operation.detail,
        }
    )
    approved = operation.state is OperationState.APPROVED
    return [_with_released(ended, operation, payment) if approved else ended]


def update(payment: Payment) -> Reply:
    """Tells the creator of the payment its present status."""
    return Reply(
        kind="update",
        command_id=payment.create_command_id,
        payment_id=payment.id,
        result="accepted",
        code=payment.reason,
        detail=payment.detail,
        action_url=_action_url(payment),
        status=payment.status,
        version=payment.version,
        correlation_id=payment.correlation_id,
    )
