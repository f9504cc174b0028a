"""Handles each kind of message in one function: check, decide, reply. No I/O: each returns what is to be
saved and sent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from operator import attrgetter
from typing import Final, assert_never
from uuid import UUID

from aggregates import (
    attempts,
    disputes,
    merchant_commands,
    outcomes,
    resolution,
    review,
    status_queries,
    timers,
)
from aggregates.decision import PAYMENT_FIELDS, Cause, PaymentRequest, Refused
from aggregates.events import ExternalMoveRecorded
from aggregates.hooks import Verdict
from aggregates.money import Money, MoneyRefused
from aggregates.payment import Payment
from aggregates.routing.budgets import DeclinedAttempt
from aggregates.routing.route import Route
from aggregates.status import ANNOUNCED
from commands import budgets, replies, reports
from commands.ids import fingerprint, payment_id
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
    ResolveDispute,
    ResolvePayment,
    RetryParked,
    RetryStatusQuery,
    ReviewPayment,
    VoidPayment,
    Wake,
    dump,
)
from commands.parsing import parse_reply
from commands.ports import Accounts, GatewayId, Refusal, Timer
from commands.reply import Reply

Message = AnyCommand | AnyReport


@dataclass(frozen=True, slots=True)
class Context:
    """Everything outside the stream that a decision depends on: the time, chance, the accounts and earlier
    refusals."""

    now: datetime
    jitter: float  # in [0, 1)
    correlation_id: str | None
    traceparent: str | None
    accounts: Accounts
    refusals: Mapping[UUID, Refusal]
    declined: Sequence[DeclinedAttempt] | None = None  # of the card; None: no limits on retries are kept
    verdicts: Sequence[Verdict] | None = ()  # of the hooks, on this create; None: they were not consulted

    def cause(self, command_id: UUID, correlation_id: str, given: str | None = None) -> Cause:
        """Returns what the new events keep of the message that caused them. `given`: the fingerprint of a
        merchant's command."""
        return Cause(
            command_id,
            given,
            self.correlation_id or correlation_id,
            self.traceparent,
            self.now,
            self.jitter,
            self.accounts.fees,
        )

    def route(self, payment: Payment, report: RecordOutcome | None = None) -> Route:
        """Returns where the payment's next attempts may run. `report`: the one that is being taken."""
        route = self.accounts.for_payment(
            payment.merchant_id, payment.amount.currency, payment.payment_method, payment.payment_methods
        )
        return budgets.of_payment(route, self.declined, payment, report, self.now)


@dataclass(slots=True)
class Decided:
    """The result of one message. `payment`: the stream afterwards, with its new events pending. `timer`: the
    payment's row from now on; None leaves it alone."""

    payment: Payment
    replies: list[Reply] = field(default_factory=list)
    timer: Timer | None = None
    refusal: Refusal | None = None
    gateway_ids: list[GatewayId] = field(default_factory=list)


# As in commands/reports.py.
_read_payment: Final = attrgetter(*PAYMENT_FIELDS)

_NOT_FOUND: Final = "there is no such payment"


def check(message: Message) -> None:
    """Checks what a message's types do not. Raises `InvalidMessage`: the message is never decided."""
    match message:
        case CreatePayment():
            try:
                Money.payable(message.amount_minor, message.currency)
            except MoneyRefused as refused:
                raise InvalidMessage(refused.code, refused.path, str(refused), message.command_id) from None
            if message.payment_id != (right := payment_id(message.merchant_id, message.idempotency_key)):
                text = f"this merchant_id and idempotency_key give the payment_id {right}: send that one"
                raise InvalidMessage("payment_id_wrong", "payment_id", text, message.command_id)
        case CapturePayment() | RefundPayment() | ResolvePayment() | ResolveDispute():
            if message.amount_minor is not None and message.amount_minor <= 0:
                text = "amount_minor must be above 0"
                raise InvalidMessage("amount_not_positive", "amount_minor", text, message.command_id)
        case (
            VoidPayment()
            | CompleteAction()
            | CancelPayment()
            | ReviewPayment()
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
    """Decides one message. `payment`: its stream, None if there is none. Raises `InvalidMessage` if the
    payment or the PSP that it names does not exist."""
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
    """Starts the payment, repeats the decision on it, or refuses the key with other content.

    Raises `InvalidMessage` for a token that names no PSP.
    """
    given = fingerprint(command)
    cause = context.cause(command.command_id, str(command.command_id), given)
    if payment is None:
        require_known_gateways(command, context.accounts)
        # A bug of ours parks the create: without its verdicts it must charge nobody.
        assert context.verdicts is not None, "the hooks were not consulted"
        request = _payment_request(command)
        route = context.accounts.for_payment(
            command.merchant_id, command.currency, command.payment_method, command.payment_methods
        )
        route = budgets.of_request(route, context.declined, request, context.now)
        created = attempts.request(command.payment_id, request, route, cause, context.verdicts)
        decided = _changed(created, context.now)
    elif payment.fingerprint != given:
        text = replies.ANOTHER_CONTENT
        reply = replies.mismatch(command.command_id, payment, "idempotency_key", text, cause)
        refusal = Refusal(payment.id, command.command_id, given, dump(reply))
        return Decided(payment, [reply], refusal=refusal)
    else:
        decided = Decided(payment)
    decided.replies.append(replies.create_decision(command.command_id, decided.payment, cause.correlation_id))
    return decided


def require_known_gateways(command: CreatePayment, accounts: Accounts) -> None:
    """Raises `InvalidMessage` for a token that names no PSP."""
    if command.payment_method is not None:
        path, remedy = "payment_method", accounts.stray_prefix(command.merchant_id, command.payment_method)
    else:
        path, remedy = "payment_methods", accounts.stray_name(command.payment_methods or {})
    if remedy is not None:
        raise InvalidMessage("gateway_unknown", path, remedy, command.command_id)


def _payment_request(command: CreatePayment) -> PaymentRequest:
    stored = command.stored_credential
    values = dict(zip(PAYMENT_FIELDS, _read_payment(command), strict=True))
    values["stored_credential"] = None if stored is None else stored.model_dump()
    values["card"] = None if command.card is None else command.card.model_dump()
    amount = Money(command.amount_minor, command.currency)
    return PaymentRequest(**values, amount=amount, expires_at=command.expires_at)


def merchant_command(command: MerchantCommand, payment: Payment, context: Context) -> Decided:
    """Repeats an earlier decision, or decides. Raises `InvalidMessage` for another merchant's payment, as for
    one that does not exist."""
    if command.merchant_id != payment.merchant_id:
        raise InvalidMessage("payment_not_found", "payment_id", _NOT_FOUND, command.command_id)
    given = fingerprint(command)
    cause = context.cause(command.command_id, payment.correlation_id, given)
    if (repeated := _repeated(command.command_id, given, payment, context, cause)) is not None:
        return Decided(payment, [repeated])
    before = payment.status
    try:
        _decide(command, payment, context, cause)
    except Refused as refused:
        reply = replies.refused_by_rule(command.command_id, payment, cause, refused)
        refusal = Refusal(payment.id, command.command_id, given, dump(reply))
        return Decided(payment, [reply], refusal=refusal)
    decided = _changed(payment, context.now)
    if isinstance(command, ResolvePayment) and command.psp_id is not None:
        operation = payment.operations.get(command.operation_id)
        if operation is not None:
            account = operation.psp.account
            decided.gateway_ids.append(GatewayId(account, command.psp_id, payment.id, operation.id))
    decided.replies.append(replies.decision(command.command_id, payment, cause.correlation_id, given))
    if payment.status is not before and payment.status in ANNOUNCED:
        decided.replies.append(replies.update(payment))
    return decided


def _repeated(command_id: UUID, given: str, payment: Payment, context: Context, cause: Cause) -> Reply | None:
    """Returns the decision that was made on the command, with the present state. None: the command is new."""
    refusal = context.refusals.get(command_id)
    first = refusal.fingerprint if refusal else payment.commands.get(str(command_id))
    if first is None:
        return None
    if first != given:
        detail = "this command_id was used before, for another command; the first one stands"
        return replies.mismatch(command_id, payment, "command_id", detail, cause)
    if refusal is None:
        return replies.decision(command_id, payment, cause.correlation_id, given)
    stored = parse_reply(refusal.reply)
    return stored.model_copy(update={"status": payment.status, "version": payment.version})


def _decide(command: MerchantCommand, payment: Payment, context: Context, cause: Cause) -> None:
    match command:
        case CapturePayment():
            merchant_commands.capture(payment, command.amount_minor, cause, final=command.final)
        case VoidPayment():
            merchant_commands.void(payment, cause)
        case RefundPayment():
            merchant_commands.refund(payment, command.amount_minor, cause, reason=command.reason)
        case CompleteAction():
            returned = dict(command.returned) or None
            merchant_commands.customer_returned(payment, command.operation_id, cause, returned=returned)
        case CancelPayment():
            merchant_commands.cancel(payment, cause)
        case ResolvePayment():
            resolution.resolve(
                payment,
                command.operation_id,
                command.decision,
                command.amount_minor,
                evidence=command.evidence,
                who=command.who,
                cause=cause,
                psp_id=command.psp_id,
            )
        case ResolveDispute():
            disputes.resolve(
                payment,
                command.dispute_id,
                command.decision,
                command.amount_minor,
                evidence=command.evidence,
                who=command.who,
                cause=cause,
            )
        case ReviewPayment():
            route = context.route(payment)
            review.decide(payment, command.decision, route, cause, evidence=command.evidence, who=command.who)
        case RetryStatusQuery():
            status_queries.query_now(payment, command.operation_id, cause)
        case _:
            assert_never(command)


def record_outcome(message: RecordOutcome, payment: Payment, context: Context) -> Decided:
    """Takes a report of an operation, and keeps the PSP's ids by which later webhooks name it."""
    cause = context.cause(message.command_id, payment.correlation_id)
    before, version = payment.status, payment.version
    outcome = message.outcome
    report = reports.of_outcome(message)
    outcomes.take(payment, report, context.route(payment, message), cause)
    decided = _changed(payment, context.now)
    if payment.pending_events:
        names = [(message.operation_id, name) for name in (outcome.psp_id, *outcome.known_as)]
        # A later webhook names a move that somebody else made at the PSP by the move's own id.
        moves = () if outcome.balances is None else outcome.balances.moves
        known_as = {move.psp_id: move.known_as for move in moves}
        for event in payment.pending_events:
            if isinstance(event, ExternalMoveRecorded) and event.psp_id is not None:
                of_move = (event.psp_id, *known_as.get(event.psp_id, ()))
                names += [(event.operation_id, name) for name in of_move]
        decided.gateway_ids += [
            GatewayId(message.account, psp_id, payment.id, operation)
            for operation, psp_id in names
            if psp_id is not None
        ]
    decided.replies += replies.payment_update(payment, message.command_id, before, version)
    decided.replies += replies.operation_update(payment, message.command_id, message.operation_id, version)
    return decided


def record_dispute(message: RecordDispute, payment: Payment, context: Context) -> Decided:
    """Takes a report of a dispute. It may end refunds that waited for their next try."""
    cause = context.cause(message.command_id, payment.correlation_id)
    before, version = payment.status, payment.version
    waiting = list(payment.retries)
    disputes.take(payment, reports.of_dispute(message), cause)
    decided = _changed(payment, context.now)
    decided.replies += replies.payment_update(payment, message.command_id, before, version)
    for name in waiting:
        if name not in payment.retries:
            decided.replies += replies.operation_update(payment, message.command_id, name, version)
    return decided


def wake(message: Wake, payment: Payment, context: Context) -> Decided:
    """Does what is due: a next attempt, a status query, an expiry."""
    cause = context.cause(message.command_id, payment.correlation_id)
    before, version = payment.status, payment.version
    timers.wake(payment, context.route(payment), cause)
    decided = _changed(payment, context.now)
    decided.replies += replies.payment_update(payment, message.command_id, before, version)
    return decided


def retry_parked(message: RetryParked, payment: Payment, context: Context) -> Decided:
    """Replies that the stream can be read again: the decider has decided what waited behind it before."""
    decided = _changed(payment, context.now)
    decided.replies.append(replies.decision(message.command_id, payment, context.correlation_id))
    return decided


def _existing(payment: Payment | None, command_id: UUID) -> Payment:
    if payment is None:
        raise InvalidMessage("payment_not_found", "payment_id", _NOT_FOUND, command_id)
    return payment


def _changed(payment: Payment, now: datetime) -> Decided:
    """Sets the timer row even when there is no event: a wake that was read has had its effect."""
    return Decided(payment, timer=Timer(payment.id, payment.version, payment.next_wake_at(now)))
