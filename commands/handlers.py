"""One function per message: check, decide, answer. No I/O: what is saved and sent stands in what they return."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, assert_never
from uuid import UUID

from aggregates.money import Money, MoneyRefused
from aggregates.operation import OperationState, Report
from aggregates.payment import RESTING, Asked, Cause, Payment, Status
from commands.messages import (
    CreatePayment,
    InvalidMessage,
    RecordOutcome,
    Reply,
    RetryParked,
    Wake,
    dump,
    fingerprint,
    payment_id,
)
from commands.ports import Accounts, GatewayId, Refusal, Timer, Writes

Message = CreatePayment | RecordOutcome | Wake | RetryParked


@dataclass(frozen=True, slots=True)
class Context:
    """What is random or live when a message is decided."""

    now: datetime
    jitter: float  # in [0, 1)
    correlation_id: str | None
    traceparent: str | None
    accounts: Accounts

    def cause(self, command_id: UUID, correlation_id: str) -> Cause:
        return Cause(command_id, self.correlation_id or correlation_id, self.traceparent, self.now)


@dataclass(slots=True)
class Decided:
    """`payment`: the stream afterwards, with its new events pending."""

    payment: Payment | None
    writes: Writes = field(default_factory=Writes)
    replies: list[Reply] = field(default_factory=list)


_NOT_FOUND: Final = "there is no such payment"


def check(message: Message) -> None:
    """What the shape alone does not say. Raises `InvalidMessage`: the message is never decided."""
    match message:
        case CreatePayment():
            try:
                Money.payable(message.amount_minor, message.currency)
            except MoneyRefused as refused:
                raise InvalidMessage(refused.code, refused.path, str(refused), message.command_id) from None
            if message.payment_id != payment_id(message.merchant_id, message.idempotency_key):
                raise InvalidMessage("payment_not_found", "payment_id", _NOT_FOUND, message.command_id)
        case RecordOutcome() | Wake() | RetryParked():
            pass
        case _:
            assert_never(message)


def handle(message: Message, payment: Payment | None, context: Context) -> Decided:
    """Raises `InvalidMessage` where the message is about a payment that does not exist."""
    match message:
        case CreatePayment():
            return create_payment(message, payment, context)
        case RecordOutcome():
            return record_outcome(message, _existing(payment, message.command_id), context)
        case Wake():
            return wake(message, _existing(payment, message.command_id), context)
        case RetryParked():
            return retry_parked(message, _existing(payment, message.command_id), context)
        case _:
            assert_never(message)


def create_payment(command: CreatePayment, payment: Payment | None, context: Context) -> Decided:
    cause = context.cause(command.command_id, str(command.command_id))
    asked = Asked(
        merchant_id=command.merchant_id,
        idempotency_key=command.idempotency_key,
        fingerprint=fingerprint(command),
        amount=Money(command.amount_minor, command.currency),
        payment_method=command.payment_method,
        customer_id=command.customer_id,
        country=command.country,
        description=command.description,
        metadata=dict(command.metadata),
        expires_at=command.expires_at,
    )
    if payment is None:
        psp = context.accounts.for_payment(command.merchant_id, command.currency)
        decided = _changed(Payment.request(command.payment_id, asked, psp, cause), context.now)
    elif payment.fingerprint != asked.fingerprint:
        return _mismatch(command, payment, asked.fingerprint, cause)
    else:
        decided = Decided(payment)
    assert decided.payment is not None
    decided.replies.append(_answer(command.command_id, decided.payment, cause.correlation_id))
    return decided


def record_outcome(message: RecordOutcome, payment: Payment, context: Context) -> Decided:
    cause = context.cause(message.command_id, payment.correlation_id)
    before, version = payment.status, payment.version
    outcome = message.outcome
    report = Report(
        operation_id=message.operation_id,
        step=message.step,
        state=OperationState(outcome.kind),
        psp_id=outcome.psp_id,
        amount_minor=outcome.amount_minor,
        currency=outcome.currency,
        code=outcome.code,
        detail=outcome.detail,
        hint=outcome.hint,
        action_url=outcome.action_url,
        repeat_is_useless=outcome.repeat_is_useless,
        source=message.source,
        tries=message.tries,
        first_try_at=message.first_try_at,
        observed_at=message.observed_at,
        call_ms=message.call_ms,
    )
    payment.report(report, context.jitter, cause)
    decided = _changed(payment, context.now)
    if outcome.psp_id is not None and payment.pending_events:
        decided.writes.gateway_ids.append(
            GatewayId(message.account, outcome.psp_id, payment.id, message.operation_id)
        )
    decided.replies += _news(payment, before, version)
    return decided


def wake(message: Wake, payment: Payment, context: Context) -> Decided:
    cause = context.cause(message.command_id, payment.correlation_id)
    before, version = payment.status, payment.version
    payment.wake(context.accounts.for_payment(payment.merchant_id, payment.amount.currency), cause)
    decided = _changed(payment, context.now)
    decided.replies += _news(payment, before, version)
    return decided


def retry_parked(message: RetryParked, payment: Payment, context: Context) -> Decided:
    """The stream can be read again: what waited behind it is decided by the batch, before this answer."""
    decided = _changed(payment, context.now)
    decided.replies.append(_answer(message.command_id, payment, context.correlation_id))
    return decided


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


def _existing(payment: Payment | None, command_id: UUID) -> Payment:
    if payment is None:
        raise InvalidMessage("payment_not_found", "payment_id", _NOT_FOUND, command_id)
    return payment


def _changed(payment: Payment, now: datetime) -> Decided:
    """The timer row moves even when there is no event: the wake that was read has had its effect."""
    writes = Writes(timers=[Timer(payment.id, payment.version, payment.next_wake_at(now))])
    if payment.pending_events:
        writes.payments.append(payment)
    return Decided(payment, writes)


def _mismatch(command: CreatePayment, payment: Payment, given: str, cause: Cause) -> Decided:
    reply = Reply(
        kind="answer",
        command_id=command.command_id,
        payment_id=payment.id,
        result="refused",
        code="idempotency_mismatch",
        detail="this idempotency key was used before, for a payment with other content; the first one stands",
        path="idempotency_key",
        status=payment.status,
        version=payment.version,
        correlation_id=cause.correlation_id,
    )
    refusal = Refusal(payment.id, command.command_id, given, dump(reply))
    return Decided(payment, Writes(refusals=[refusal]), [reply])


def _answer(command_id: UUID, payment: Payment, correlation_id: str | None) -> Reply:
    rejected = payment.status is Status.REJECTED
    return Reply(
        kind="answer",
        command_id=command_id,
        payment_id=payment.id,
        result="refused" if rejected else "accepted",
        code=payment.rejected,
        detail="the payment was rejected before anything was sent" if rejected else None,
        status=payment.status,
        version=payment.version,
        correlation_id=correlation_id,
    )


def _news(payment: Payment, before: Status, version: int) -> list[Reply]:
    """To the one who created the payment, when it came to rest.

    A message that changed nothing may have been read before, by a worker that was killed before it could tell. Twice
    told is harmless.
    """
    if payment.status not in RESTING or (payment.status is before and payment.version != version):
        return []
    return [_update(payment)]


def _update(payment: Payment) -> Reply:
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
