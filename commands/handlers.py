"""One function per message: check, decide, answer. No I/O: what is saved and sent stands in what they return."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, assert_never
from uuid import UUID

from aggregates import attempts, doubt, merchant, reports, wakes
from aggregates.asked import Asked, Cause
from aggregates.asked import Refused as RuleSaysNo
from aggregates.money import Money, MoneyRefused
from aggregates.operation import OperationState, Report
from aggregates.payment import Payment
from aggregates.retry import Route
from aggregates.status import RESTING
from commands import answers
from commands.messages import (
    AnyCommand,
    AnyReport,
    CancelPayment,
    CapturePayment,
    CompleteAction,
    CreatePayment,
    InvalidMessage,
    MerchantCommand,
    RecordDispute,
    RecordOutcome,
    RefundPayment,
    Reply,
    ResolvePayment,
    RetryParked,
    RetryStatusQuery,
    VoidPayment,
    Wake,
    dump,
    fingerprint,
    parse_reply,
    payment_id,
)
from commands.ports import Accounts, GatewayId, Refusal, Timer, Writes

Message = AnyCommand | AnyReport


@dataclass(frozen=True, slots=True)
class Context:
    """What is random or live when a message is decided."""

    now: datetime
    jitter: float  # in [0, 1)
    correlation_id: str | None
    traceparent: str | None
    accounts: Accounts
    refusals: Mapping[UUID, Refusal]

    def cause(self, command_id: UUID, correlation_id: str, given: str | None = None) -> Cause:
        """`given`: the fingerprint of a producer's command."""
        return Cause(
            command_id,
            given,
            self.correlation_id or correlation_id,
            self.traceparent,
            self.now,
            self.jitter,
        )

    def route(self, payment: Payment) -> Route:
        return self.accounts.for_payment(payment.merchant_id, payment.amount.currency, payment.payment_method)


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
        case CapturePayment() | RefundPayment() | ResolvePayment():
            if message.amount_minor is not None and message.amount_minor <= 0:
                text = "amount_minor must be above 0"
                raise InvalidMessage("amount_not_positive", "amount_minor", text, message.command_id)
        case (
            VoidPayment()
            | CompleteAction()
            | CancelPayment()
            | RetryStatusQuery()
            | RecordOutcome()
            | RecordDispute()
            | Wake()
            | RetryParked()
        ):
            pass
        case _:
            assert_never(message)


def handle(message: Message, payment: Payment | None, context: Context) -> Decided:
    """Raises `InvalidMessage` where the message is about a payment that does not exist."""
    if isinstance(message, CreatePayment):
        return create_payment(message, payment, context)
    existing = _existing(payment, message.command_id)
    match message:
        case RecordOutcome():
            return record_outcome(message, existing, context)
        case RecordDispute():
            return record_dispute(message, existing, context)
        case Wake():
            return wake(message, existing, context)
        case RetryParked():
            return retry_parked(message, existing, context)
        case _:
            return merchant_command(message, existing, context)


def create_payment(command: CreatePayment, payment: Payment | None, context: Context) -> Decided:
    given = fingerprint(command)
    cause = context.cause(command.command_id, str(command.command_id), given)
    if payment is None:
        stored = command.stored_credential
        asked = Asked(
            merchant_id=command.merchant_id,
            idempotency_key=command.idempotency_key,
            amount=Money(command.amount_minor, command.currency),
            capture=command.capture,
            payment_method=command.payment_method,
            stored_credential=None if stored is None else stored.model_dump(),
            customer_id=command.customer_id,
            country=command.country,
            description=command.description,
            statement_text=command.statement_text,
            return_page=command.return_page,
            metadata=dict(command.metadata),
            expires_at=command.expires_at,
        )
        route = context.accounts.for_payment(command.merchant_id, command.currency, command.payment_method)
        decided = _changed(attempts.request(command.payment_id, asked, route, cause), context.now)
    elif payment.fingerprint != given:
        detail = (
            "this idempotency key was used before, for a payment with other content; the first one stands"
        )
        reply = answers.mismatch(command.command_id, payment, "idempotency_key", detail, cause)
        refusal = Refusal(payment.id, command.command_id, given, dump(reply))
        return Decided(payment, Writes(refusals=[refusal]), [reply])
    else:
        decided = Decided(payment)
    assert decided.payment is not None
    decided.replies.append(answers.answer(command.command_id, decided.payment, cause.correlation_id))
    return decided


def merchant_command(command: MerchantCommand, payment: Payment, context: Context) -> Decided:
    """Load, repeat?, decide. Another merchant's payment is one that does not exist."""
    if command.merchant_id != payment.merchant_id:
        raise InvalidMessage("payment_not_found", "payment_id", _NOT_FOUND, command.command_id)
    given = fingerprint(command)
    cause = context.cause(command.command_id, payment.correlation_id, given)
    if (repeated := _repeated(command.command_id, given, payment, context, cause)) is not None:
        return Decided(payment, replies=[repeated])
    before = payment.status
    try:
        _decide(command, payment, cause)
    except RuleSaysNo as no:
        reply = answers.rule_says_no(command.command_id, payment, cause, no)
        refusal = Refusal(payment.id, command.command_id, given, dump(reply))
        return Decided(payment, Writes(refusals=[refusal]), [reply])
    decided = _changed(payment, context.now)
    decided.replies.append(answers.answer(command.command_id, payment, cause.correlation_id, given))
    if payment.status is not before and payment.status in RESTING:
        decided.replies.append(answers.update(payment))
    return decided


def _repeated(command_id: UUID, given: str, payment: Payment, context: Context, cause: Cause) -> Reply | None:
    """The answer that the command had, with the present state beside it."""
    refused_before = context.refusals.get(command_id)
    first = refused_before.fingerprint if refused_before else payment.commands.get(str(command_id))
    if first is None:
        return None
    if first != given:
        detail = "this command_id was used before, for another command; the first one stands"
        return answers.mismatch(command_id, payment, "command_id", detail, cause)
    if refused_before is None:
        return answers.answer(command_id, payment, cause.correlation_id, given)
    stored = parse_reply(refused_before.answer)
    return stored.model_copy(update={"status": payment.status, "version": payment.version})


def _decide(command: MerchantCommand, payment: Payment, cause: Cause) -> None:
    match command:
        case CapturePayment():
            merchant.capture(payment, command.amount_minor, cause, final=command.final)
        case VoidPayment():
            merchant.void(payment, cause)
        case RefundPayment():
            merchant.refund(payment, command.amount_minor, cause, reason=command.reason)
        case CompleteAction():
            returned = dict(command.returned) or None
            merchant.customer_returned(payment, command.operation_id, cause, returned=returned)
        case CancelPayment():
            merchant.cancel(payment, cause)
        case ResolvePayment():
            doubt.resolve(
                payment,
                command.operation_id,
                command.decision,
                command.amount_minor,
                evidence=command.evidence,
                who=command.who,
                cause=cause,
            )
        case RetryStatusQuery():
            doubt.ask_now(payment, command.operation_id, cause)
        case _:
            assert_never(command)


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
        next_step=outcome.next_step,
    )
    reports.take(payment, report, context.route(payment), cause)
    decided = _changed(payment, context.now)
    if outcome.psp_id is not None and payment.pending_events:
        decided.writes.gateway_ids.append(
            GatewayId(message.account, outcome.psp_id, payment.id, message.operation_id)
        )
    decided.replies += answers.news(payment, before, version)
    decided.replies += answers.operation_news(payment, message.operation_id)
    return decided


def record_dispute(message: RecordDispute, payment: Payment, context: Context) -> Decided:
    cause = context.cause(message.command_id, payment.correlation_id)
    before, version = payment.status, payment.version
    reports.dispute(
        payment,
        dispute_id=message.dispute_id,
        operation_id=message.operation_id,
        state=message.state,
        amount_minor=message.amount_minor,
        currency=message.currency,
        reason=message.reason,
        respond_by=message.respond_by.isoformat() if message.respond_by else None,
        observed_at=message.observed_at.isoformat(),
        cause=cause,
    )
    decided = _changed(payment, context.now)
    decided.replies += answers.news(payment, before, version)
    return decided


def wake(message: Wake, payment: Payment, context: Context) -> Decided:
    cause = context.cause(message.command_id, payment.correlation_id)
    before, version = payment.status, payment.version
    wakes.wake(payment, context.route(payment), cause)
    decided = _changed(payment, context.now)
    decided.replies += answers.news(payment, before, version)
    return decided


def retry_parked(message: RetryParked, payment: Payment, context: Context) -> Decided:
    """The stream can be read again: what waited behind it is decided by the batch, before this answer."""
    decided = _changed(payment, context.now)
    decided.replies.append(answers.answer(message.command_id, payment, context.correlation_id))
    return decided


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
