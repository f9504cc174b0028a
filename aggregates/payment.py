"""A payment. Invariant: at most one operation that takes money is not proven uncharged, and no sum passes what was asked.

Public methods decide; an event's `apply` only records, since it runs again at every replay.
Events are a storage format: a field that has been stored stays.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any, ClassVar, Final, Self
from uuid import UUID

from eventsourcing.domain import Aggregate

from aggregates.money import Money
from aggregates.operation import (
    NOT_CHARGED,
    Operation,
    OperationState,
    PspAccount,
    Report,
    operation_id,
)

ATTEMPTS_MAX: Final = 3
_RETRY_FIRST_S: Final = 1.0
_RETRY_FACTOR: Final = 2.0
_RETRY_MAX_S: Final = 30.0


class Status(StrEnum):
    REQUESTED = "REQUESTED"
    REJECTED = "REJECTED"
    PROCESSING = "PROCESSING"
    REQUIRES_ACTION = "REQUIRES_ACTION"
    IN_DOUBT = "IN_DOUBT"
    CAPTURED = "CAPTURED"
    FAILED = "FAILED"


RESTING: Final = frozenset(Status) - {Status.REQUESTED, Status.PROCESSING}


@dataclass(frozen=True, slots=True)
class Asked:
    """What a merchant asks for when it creates a payment. `Money.payable` has passed its amount."""

    merchant_id: str
    idempotency_key: str
    fingerprint: str
    amount: Money
    payment_method: str
    customer_id: str | None
    country: str | None
    description: str | None
    metadata: dict[str, str]
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Cause:
    """Why events are written: the message that was read, and the chain that it belongs to."""

    command_id: UUID
    correlation_id: str
    traceparent: str | None
    now: datetime

    def fields(self) -> dict[str, Any]:
        """Of every event."""
        return {
            "command_id": str(self.command_id),
            "correlation_id": self.correlation_id,
            "traceparent": self.traceparent,
            "timestamp": self.now,
        }


class Payment(Aggregate):
    TOPIC: ClassVar[str] = "payment"

    class Event(Aggregate.Event):
        TOPIC: ClassVar[str] = "payment.event"
        command_id: str
        correlation_id: str
        traceparent: str | None

    class Created(Event, Aggregate.Created):
        TOPIC: ClassVar[str] = "payment.created"

    class Requested(Created):
        TOPIC: ClassVar[str] = "payment.requested.v1"
        merchant_id: str
        idempotency_key: str
        fingerprint: str
        amount_minor: int
        currency: str
        payment_method: str
        customer_id: str | None
        country: str | None
        description: str | None
        metadata: dict[str, str]
        expires_at: str

        def apply(self, payment: "Payment") -> None:
            payment.merchant_id = self.merchant_id
            payment.idempotency_key = self.idempotency_key
            payment.fingerprint = self.fingerprint
            payment.create_command_id = UUID(self.command_id)
            payment.correlation_id = self.correlation_id
            payment.amount = Money(self.amount_minor, self.currency)
            payment.payment_method = self.payment_method
            payment.expires_at = datetime.fromisoformat(self.expires_at)
            payment.customer_id = self.customer_id
            payment.description = self.description

    class Rejected(Event):
        """No operation was started, and none will be."""

        TOPIC: ClassVar[str] = "payment.rejected.v1"
        code: str
        detail: str

        def apply(self, payment: "Payment") -> None:
            payment.rejected = self.code
            payment.reason = self.code

    class OperationStarted(Event):
        """Recorded before the call: it is also the request that a gateway worker reads."""

        TOPIC: ClassVar[str] = "operation.started.v1"
        operation_id: str
        kind: str
        ordinal: int
        attempt: int
        step: str
        gateway: str
        account: str
        key_life_s: int
        merchant_id: str
        amount_minor: int
        currency: str
        payment_method: str
        description: str | None
        expires_at: str
        because: str

        def apply(self, payment: "Payment") -> None:
            payment.attempt = self.attempt
            payment.retry_at = None
            payment.operations[self.operation_id] = Operation(
                id=self.operation_id,
                kind="sale",
                ordinal=self.ordinal,
                step=self.step,
                psp=PspAccount(self.gateway, self.account, self.key_life_s),
                amount=Money(self.amount_minor, self.currency),
                started_at=self.timestamp,
                expires_at=datetime.fromisoformat(self.expires_at),
            )

    class OperationAsked(Event):
        """The PSP is asked how an operation ended: `repeat` sends the same call again, `query` looks it up."""

        TOPIC: ClassVar[str] = "operation.asked.v1"
        operation_id: str
        kind: str
        how: str
        ask: int
        step: str
        gateway: str
        account: str
        merchant_id: str
        amount_minor: int
        currency: str
        payment_method: str
        description: str | None
        psp_id: str | None
        expires_at: str
        because: str

        def apply(self, payment: "Payment") -> None:
            operation = payment.operations[self.operation_id]
            operation.asked = self.ask
            operation.last_news_at = self.timestamp

    class _Reported(Event):
        TOPIC: ClassVar[str] = "operation.reported"
        operation_id: str
        step: str
        psp_id: str | None
        amount_minor: int | None
        currency: str | None
        code: str | None
        detail: str | None
        hint: str | None
        action_url: str | None
        repeat_is_useless: bool
        source: str
        tries: int
        first_try_at: str | None
        observed_at: str
        call_ms: float | None
        state: ClassVar[OperationState]

        def apply(self, payment: "Payment") -> None:
            operation = payment.operations[self.operation_id]
            operation.state = self.state
            operation.psp_id = self.psp_id or operation.psp_id
            operation.repeat_is_useless |= self.repeat_is_useless
            operation.last_news_at = self.timestamp
            if self.first_try_at is not None:
                operation.first_try_at = datetime.fromisoformat(self.first_try_at)
            payment.reason = self.code

    class OperationApproved(_Reported):
        TOPIC: ClassVar[str] = "operation.approved.v1"
        state = OperationState.APPROVED

    class OperationDeclinedSoft(_Reported):
        TOPIC: ClassVar[str] = "operation.declined_soft.v1"
        state = OperationState.DECLINED_SOFT

    class OperationDeclinedHard(_Reported):
        TOPIC: ClassVar[str] = "operation.declined_hard.v1"
        state = OperationState.DECLINED_HARD

    class OperationNotSent(_Reported):
        TOPIC: ClassVar[str] = "operation.not_sent.v1"
        state = OperationState.NOT_SENT

    class OperationActionRequired(_Reported):
        TOPIC: ClassVar[str] = "operation.action_required.v1"
        state = OperationState.ACTION_REQUIRED

    class OperationPending(_Reported):
        TOPIC: ClassVar[str] = "operation.pending.v1"
        state = OperationState.PENDING

    class OperationUnknown(_Reported):
        TOPIC: ClassVar[str] = "operation.unknown.v1"
        state = OperationState.UNKNOWN

    class OperationProvenAbsent(_Reported):
        TOPIC: ClassVar[str] = "operation.proven_absent.v1"
        state = OperationState.PROVEN_ABSENT

    class OperationExpired(_Reported):
        TOPIC: ClassVar[str] = "operation.expired.v1"
        state = OperationState.EXPIRED

    class Contradicted(_Reported):
        """A report that cannot be true beside what is recorded. It changes no sum; a person has to look."""

        TOPIC: ClassVar[str] = "payment.contradicted.v1"
        reported: str
        why: str

        def apply(self, payment: "Payment") -> None:
            payment.frozen = True
            payment.contradictions.add((self.operation_id, self.reported, self.psp_id))

    class RetryScheduled(Event):
        TOPIC: ClassVar[str] = "payment.retry_scheduled.v1"
        attempt: int
        retry_at: str
        because: str

        def apply(self, payment: "Payment") -> None:
            payment.retry_at = datetime.fromisoformat(self.retry_at)

    class AttemptsEnded(Event):
        TOPIC: ClassVar[str] = "payment.attempts_ended.v1"
        because: str

        def apply(self, payment: "Payment") -> None:
            payment.attempts_ended = True
            payment.retry_at = None

    def __init__(self) -> None:
        self.merchant_id = ""
        self.idempotency_key = ""
        self.fingerprint = ""
        self.create_command_id = UUID(int=0)
        self.correlation_id = ""
        self.amount = Money(0, "USD")
        self.payment_method = ""
        self.expires_at = datetime.min.replace(tzinfo=UTC)
        self.customer_id: str | None = None
        self.description: str | None = None
        self.operations: dict[str, Operation] = {}
        self.rejected: str | None = None
        self.reason: str | None = None
        self.frozen = False
        self.contradictions: set[tuple[str, str, str | None]] = set()
        self.attempt = 0
        self.attempts_ended = False
        self.retry_at: datetime | None = None

    # What it is

    @property
    def status(self) -> Status:
        if self.rejected is not None:
            return Status.REJECTED
        states = {operation.state for operation in self.operations.values()}
        if OperationState.APPROVED in states:
            return Status.CAPTURED
        if OperationState.UNKNOWN in states or OperationState.PENDING in states:
            return Status.IN_DOUBT if OperationState.UNKNOWN in states else Status.PROCESSING
        if OperationState.ACTION_REQUIRED in states:
            return Status.REQUIRES_ACTION
        if self.attempts_ended:
            return Status.FAILED
        return Status.PROCESSING if states else Status.REQUESTED

    @property
    def captured(self) -> Money:
        total = Money(0, self.amount.currency)
        for operation in self.operations.values():
            if operation.state is OperationState.APPROVED:
                total += operation.amount
        return total

    def next_wake_at(self, now: datetime) -> datetime | None:
        """Later than `now`, or None when nothing will change by itself."""
        if self.rejected is not None:
            return None
        due = [moment for operation in self.operations.values() if (moment := operation.next_ask_at())]
        if self.retry_at is not None:
            due.append(self.retry_at)
        return max(min(due), now + timedelta(milliseconds=1)) if due else None

    # Decisions

    @classmethod
    def request(cls, payment_id: UUID, asked: Asked, psp: PspAccount | None, cause: Cause) -> Self:
        """A well-formed create always writes the stream, even when all that follows is the rejection."""
        payment = cls._create(
            cls.Requested,
            id=payment_id,
            merchant_id=asked.merchant_id,
            idempotency_key=asked.idempotency_key,
            fingerprint=asked.fingerprint,
            amount_minor=asked.amount.minor,
            currency=asked.amount.currency,
            payment_method=asked.payment_method,
            customer_id=asked.customer_id,
            country=asked.country,
            description=asked.description,
            metadata=asked.metadata,
            expires_at=asked.expires_at.isoformat(),
            **cause.fields(),
        )
        if cause.now >= asked.expires_at:
            payment._reject(
                "expired", f"the command was read after its expires_at, {asked.expires_at.isoformat()}", cause
            )
        elif psp is None:
            payment._reject(
                "no_psp_account", "the merchant has no PSP account that takes this payment", cause
            )
        else:
            payment._start_sale(psp, "first attempt: the merchant's first PSP account", cause)
        return payment

    def report(self, report: Report, jitter: float, cause: Cause) -> None:
        """Take in what a gateway worker says. `jitter` in [0, 1) spreads the retries. A repeat changes nothing."""
        operation = self.operations.get(report.operation_id)
        if operation is None:
            self._contradict(report, "the payment has no such operation", cause)
            return
        if (why := self._contradiction(operation, report)) is not None:
            self._contradict(report, why, cause)
            return
        if not operation.takes(report.state) and not self._is_news(operation, report):
            return
        self._record(_EVENT_OF[report.state], report, cause)
        if report.state in NOT_CHARGED:
            self._after_uncharged(operation, report, jitter, cause)

    def wake(self, now_psp: PspAccount | None, cause: Cause) -> None:
        """Do what is due by now; nothing when nothing is. `now_psp`: where a new attempt would run."""
        if self.rejected is not None:
            return
        for operation in self.operations.values():
            ask_at = operation.next_ask_at()
            if ask_at is not None and ask_at <= cause.now:
                self._ask(operation, cause)
        if self.retry_at is not None and self.retry_at <= cause.now:
            if cause.now >= self.expires_at:
                self._end_attempts("no further attempt because the payment has expired", cause)
            elif now_psp is None or self.frozen:
                self._end_attempts("no further attempt because no PSP account may take it", cause)
            else:
                self._start_sale(
                    now_psp, f"attempt {self.attempt + 1}: the one before was proven not sent", cause
                )

    # Parts of decisions

    def _contradiction(self, operation: Operation, report: Report) -> str | None:
        approved = report.state is OperationState.APPROVED
        if approved and (report.currency, report.amount_minor) != (
            operation.amount.currency,
            operation.amount.minor,
        ):
            return "approved for another amount or currency than was asked for"
        if operation.state is OperationState.APPROVED:
            if approved and report.psp_id not in {None, operation.psp_id}:
                return "a second charge for one operation"
            if report.source == "query" and report.state in NOT_CHARGED:
                return "the PSP no longer knows a charge that it had approved"
            return None
        if operation.state in NOT_CHARGED and approved:
            return f"approved, after it was recorded as {operation.state}"
        return None

    @staticmethod
    def _is_news(operation: Operation, report: Report) -> bool:
        """An answer to a question that leaves the state as it was, e.g. still unknown: it moves the next question."""
        same = operation.state is report.state and operation.state not in NOT_CHARGED | {
            OperationState.APPROVED
        }
        return same and operation.last_news_at is not None and report.observed_at > operation.last_news_at

    def _after_uncharged(self, operation: Operation, report: Report, jitter: float, cause: Cause) -> None:
        if report.state is not OperationState.NOT_SENT:
            self._end_attempts(f"no further attempt because the PSP's answer is {report.state}", cause)
        elif report.hint == "CONFIG":
            self._end_attempts("no further attempt because the PSP account is not set up for it", cause)
        elif self.attempt >= ATTEMPTS_MAX:
            self._end_attempts(f"no further attempt because {ATTEMPTS_MAX} were made", cause)
        elif cause.now >= self.expires_at:
            self._end_attempts("no further attempt because the payment has expired", cause)
        elif report.code in _FINAL_REFUSALS:
            self._end_attempts(f"no further attempt because it would be refused again: {report.code}", cause)
        else:
            delay_s = min(_RETRY_FIRST_S * _RETRY_FACTOR ** (self.attempt - 1), _RETRY_MAX_S) * (
                0.5 + jitter / 2
            )
            self.trigger_event(
                self.RetryScheduled,
                attempt=self.attempt + 1,
                retry_at=(cause.now + timedelta(seconds=delay_s)).isoformat(),
                because=f"{operation.id} was proven not sent: {report.code}",
                **cause.fields(),
            )

    def _start_sale(self, psp: PspAccount, because: str, cause: Cause) -> None:
        charged = [o for o in self.operations.values() if o.state not in NOT_CHARGED]
        assert not charged, "an attempt may only start when every earlier one is proven uncharged"
        ordinal = len(self.operations) + 1
        self.trigger_event(
            self.OperationStarted,
            operation_id=operation_id(self.id, "sale", ordinal),
            kind="sale",
            ordinal=ordinal,
            attempt=self.attempt + 1,
            step="1",
            gateway=psp.gateway,
            account=psp.account,
            key_life_s=psp.key_life_s,
            merchant_id=self.merchant_id,
            amount_minor=self.amount.minor,
            currency=self.amount.currency,
            payment_method=self.payment_method,
            description=self.description,
            expires_at=self.expires_at.isoformat(),
            because=because,
            **cause.fields(),
        )

    def _ask(self, operation: Operation, cause: Cause) -> None:
        how, because = operation.how_to_ask(cause.now, frozen=self.frozen)
        self.trigger_event(
            self.OperationAsked,
            operation_id=operation.id,
            kind=operation.kind,
            how=how,
            ask=operation.asked + 1,
            step=operation.step,
            gateway=operation.psp.gateway,
            account=operation.psp.account,
            merchant_id=self.merchant_id,
            amount_minor=operation.amount.minor,
            currency=operation.amount.currency,
            payment_method=self.payment_method,
            description=self.description,
            psp_id=operation.psp_id,
            expires_at=self.expires_at.isoformat(),
            because=because,
            **cause.fields(),
        )

    # Recorders

    def _reject(self, code: str, detail: str, cause: Cause) -> None:
        self.trigger_event(self.Rejected, code=code, detail=detail, **cause.fields())

    def _end_attempts(self, because: str, cause: Cause) -> None:
        self.trigger_event(self.AttemptsEnded, because=because, **cause.fields())

    def _contradict(self, report: Report, why: str, cause: Cause) -> None:
        if (report.operation_id, report.state.value, report.psp_id) in self.contradictions:
            return
        self._record(self.Contradicted, report, cause, reported=report.state.value, why=why)

    def _record(self, event: type["Payment._Reported"], report: Report, cause: Cause, **more: str) -> None:
        self.trigger_event(
            event,
            operation_id=report.operation_id,
            step=report.step,
            psp_id=report.psp_id,
            amount_minor=report.amount_minor,
            currency=report.currency,
            code=report.code,
            detail=report.detail,
            hint=report.hint,
            action_url=report.action_url,
            repeat_is_useless=report.repeat_is_useless,
            source=report.source,
            tries=report.tries,
            first_try_at=report.first_try_at.isoformat() if report.first_try_at else None,
            observed_at=report.observed_at.isoformat(),
            call_ms=report.call_ms,
            **more,
            **cause.fields(),
        )


# Codes of ours for what no PSP was asked: the same request would be refused again.
_FINAL_REFUSALS: Final = frozenset(
    {"amount_not_expressible", "currency_not_supported", "invalid_request", "expired"}
)

_REPORTS: Final[tuple[type[Payment._Reported], ...]] = (
    Payment.OperationApproved,
    Payment.OperationDeclinedSoft,
    Payment.OperationDeclinedHard,
    Payment.OperationNotSent,
    Payment.OperationActionRequired,
    Payment.OperationPending,
    Payment.OperationUnknown,
    Payment.OperationProvenAbsent,
    Payment.OperationExpired,
)
_EVENT_OF: Final = {event.state: event for event in _REPORTS}

_EVENTS: Final[tuple[type[Payment.Event], ...]] = (
    Payment.Requested,
    Payment.Rejected,
    Payment.OperationStarted,
    Payment.OperationAsked,
    Payment.Contradicted,
    Payment.RetryScheduled,
    Payment.AttemptsEnded,
    *_REPORTS,
)
EVENTS: Final = {event.TOPIC: event for event in _EVENTS}
"""Every event that may stand in the store, by its stored topic."""

REQUEST_TOPICS: Final = frozenset({Payment.OperationStarted.TOPIC, Payment.OperationAsked.TOPIC})
"""Events that are also requests to the gateway they name."""
