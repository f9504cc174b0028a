"""What can happen to a payment. A storage format: a field that has been stored stays, and `record` only records,
since it runs again at every replay.
"""

from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Final
from uuid import UUID

from eventsourcing.domain import Aggregate
from eventsourcing.utils import register_topic

from aggregates.money import Money
from aggregates.operation import CANCEL_STEP, CHALLENGE_OPEN, Kind, Operation, OperationState, Report
from aggregates.retry import Limit, PspAccount
from aggregates.status import Ended

if TYPE_CHECKING:
    from aggregates.payment import Payment


class Event(Aggregate.Event):
    """`fingerprint`: of the command that led to it, where a command did."""

    TOPIC: ClassVar[str] = "payment.event"
    command_id: str
    fingerprint: str | None
    correlation_id: str
    traceparent: str | None

    def apply(self, payment: "Payment") -> None:
        if self.fingerprint is not None:
            payment.commands[self.command_id] = self.fingerprint
        self.record(payment)

    def record(self, payment: "Payment") -> None:
        raise NotImplementedError


class Created(Event, Aggregate.Created):
    TOPIC: ClassVar[str] = "payment.created"


class Requested(Created):
    TOPIC: ClassVar[str] = "payment.requested.v1"
    merchant_id: str
    idempotency_key: str
    amount_minor: int
    currency: str
    capture: str
    payment_method: str
    stored_credential: dict[str, str | None] | None
    customer_id: str | None
    country: str | None
    description: str | None
    statement_text: str | None
    return_page: str | None
    metadata: dict[str, str]
    expires_at: str

    def record(self, payment: "Payment") -> None:
        assert self.fingerprint is not None
        payment.merchant_id = self.merchant_id
        payment.idempotency_key = self.idempotency_key
        payment.fingerprint = self.fingerprint
        payment.create_command_id = UUID(self.command_id)
        payment.correlation_id = self.correlation_id
        payment.amount = Money(self.amount_minor, self.currency)
        payment.capture = self.capture
        payment.payment_method = self.payment_method
        payment.stored_credential = self.stored_credential
        payment.description = self.description
        payment.statement_text = self.statement_text
        payment.return_page = self.return_page
        payment.expires_at = datetime.fromisoformat(self.expires_at)


class Rejected(Event):
    """No operation was started, and none will be."""

    TOPIC: ClassVar[str] = "payment.rejected.v1"
    code: str
    detail: str

    def record(self, payment: "Payment") -> None:
        payment.rejected = self.code
        payment.reason = self.code


class Request(Event):
    """All that the call to the PSP is made from, so that a repeat has the same bytes."""

    TOPIC: ClassVar[str] = "operation.request"
    operation_id: str
    kind: Kind
    step: str
    gateway: str
    account: str
    merchant_id: str
    amount_minor: int
    currency: str
    payment_method: str
    description: str | None
    statement_text: str | None
    three_ds: bool
    stored_credential: dict[str, str | None] | None
    target_operation_id: str | None
    target_psp_id: str | None
    final: bool
    multicapture: bool
    overcapture_percent: int
    key_life_s: int
    expires_at: str
    action_until: str | None
    because: str
    target_minor: int | None = field(default=None, kw_only=True)


class OperationStarted(Request):
    """Recorded before the call: it is also the request that a gateway worker reads."""

    TOPIC: ClassVar[str] = "operation.started.v1"
    ordinal: int
    attempt: int
    authorization_life_s: int
    completed_by: str
    retry_of: str | None
    extra: bool
    limits: tuple[Limit, ...] = field(default=(), kw_only=True)

    def record(self, payment: "Payment") -> None:
        if self.retry_of is not None:
            payment.retries.pop(self.retry_of, None)
        payment.operations[self.operation_id] = Operation(
            id=self.operation_id,
            kind=self.kind,
            ordinal=self.ordinal,
            attempt=self.attempt,
            step=self.step,
            psp=PspAccount(
                gateway=self.gateway,
                account=self.account,
                key_life_s=self.key_life_s,
                authorization_life_s=self.authorization_life_s,
                multicapture=self.multicapture,
                overcapture_percent=self.overcapture_percent,
                completed_by="us" if self.completed_by == "us" else "psp",
                limits=frozenset(self.limits),
            ),
            amount=Money(self.amount_minor, self.currency),
            command_id=payment.operations[self.retry_of].command_id if self.retry_of else self.command_id,
            started_at=self.timestamp,
            expires_at=datetime.fromisoformat(self.expires_at),
            action_until=None if self.action_until is None else datetime.fromisoformat(self.action_until),
            target=self.target_operation_id,
            final=self.final,
            three_ds=self.three_ds,
            extra=self.extra,
        )


class OperationAsked(Request):
    """The PSP is asked how an operation ended: `repeat` sends the same call again, `query` looks it up, `cancel`
    ends it at the PSP if it can still be ended, `confirm` looks it up whatever is known already. Or it is asked to go
    on: `continue` sends the operation's next step, with what the customer's browser brought back."""

    TOPIC: ClassVar[str] = "operation.asked.v1"
    how: str
    ask: int
    psp_id: str | None
    returned: dict[str, str] | None = field(default=None, kw_only=True)

    def record(self, payment: "Payment") -> None:
        operation = payment.operations[self.operation_id]
        operation.asked = self.ask
        operation.last_news_at = self.timestamp
        if self.how == "continue":
            operation.state = OperationState.STARTED
            operation.step, operation.next_step, operation.returned = self.step, None, self.returned
            operation.first_try_at = operation.unknown_since = None
            operation.queried = operation.repeat_is_useless = False
            return
        operation.told_to_end |= self.how == "cancel"
        operation.confirming |= not operation.open or operation.late is not None


class Reported(Event):
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
    next_step: str | None = field(default=None, kw_only=True)


class OutcomeReported(Reported):
    TOPIC: ClassVar[str] = "operation.outcome"
    state: ClassVar[OperationState]

    def record(self, payment: "Payment") -> None:
        operation = payment.operations[self.operation_id]
        if self.state is not OperationState.UNKNOWN:
            operation.unknown_since = None
        elif operation.unknown_since is None:
            operation.unknown_since = self.timestamp
        operation.state = self.state
        operation.psp_id = self.psp_id or operation.psp_id
        operation.repeat_is_useless |= self.repeat_is_useless
        operation.queried |= self.source == "query"
        operation.challenged |= self.state is OperationState.ACTION_REQUIRED
        operation.challenge_open = self.code == CHALLENGE_OPEN
        # The cancel's own answer leaves nothing open.
        operation.rechecked |= self.step == CANCEL_STEP and self.state is not OperationState.UNKNOWN
        operation.next_step = self.next_step
        operation.last_news_at = self.timestamp
        operation.observed_at = datetime.fromisoformat(self.observed_at)
        if self.first_try_at is not None:
            operation.first_try_at = datetime.fromisoformat(self.first_try_at)
        if self.state is OperationState.APPROVED:
            assert self.amount_minor is not None
            operation.approved_minor = self.amount_minor
            operation.approved_at = datetime.fromisoformat(self.observed_at)
        payment.reason = self.code


class OperationApproved(OutcomeReported):
    TOPIC: ClassVar[str] = "operation.approved.v1"
    state = OperationState.APPROVED


class OperationDeclinedSoft(OutcomeReported):
    TOPIC: ClassVar[str] = "operation.declined_soft.v1"
    state = OperationState.DECLINED_SOFT


class OperationDeclinedHard(OutcomeReported):
    TOPIC: ClassVar[str] = "operation.declined_hard.v1"
    state = OperationState.DECLINED_HARD


class OperationNotSent(OutcomeReported):
    TOPIC: ClassVar[str] = "operation.not_sent.v1"
    state = OperationState.NOT_SENT


class OperationActionRequired(OutcomeReported):
    TOPIC: ClassVar[str] = "operation.action_required.v1"
    state = OperationState.ACTION_REQUIRED


class OperationPending(OutcomeReported):
    TOPIC: ClassVar[str] = "operation.pending.v1"
    state = OperationState.PENDING


class OperationUnknown(OutcomeReported):
    TOPIC: ClassVar[str] = "operation.unknown.v1"
    state = OperationState.UNKNOWN


class OperationProvenAbsent(OutcomeReported):
    TOPIC: ClassVar[str] = "operation.proven_absent.v1"
    state = OperationState.PROVEN_ABSENT


class OperationExpired(OutcomeReported):
    TOPIC: ClassVar[str] = "operation.expired.v1"
    state = OperationState.EXPIRED


class OperationConfirmed(Reported):
    """The PSP's answer when it was asked whether what had ended still stands. `confirms`: what it says."""

    TOPIC: ClassVar[str] = "operation.confirmed.v1"
    confirms: str

    def record(self, payment: "Payment") -> None:
        operation = payment.operations[self.operation_id]
        operation.confirming = False
        operation.rechecked = True
        # Of one charge alone it says nothing about two.
        if any(other.late is not None for other in payment.operations.values()):
            operation.confirmed = self.confirms == OperationState.APPROVED


class Contradicted(Reported):
    """A report that cannot be true beside what is recorded. It changes no sum; a person has to look."""

    TOPIC: ClassVar[str] = "payment.contradicted.v1"
    reported: str
    why: str
    late_charge: bool

    def record(self, payment: "Payment") -> None:
        payment.frozen_by.add(self.operation_id)
        payment.contradictions.add((self.operation_id, self.reported, self.psp_id))
        if self.late_charge:
            payment.operations[self.operation_id].late = self.report()

    def report(self) -> Report:
        return Report(
            operation_id=self.operation_id,
            step=self.step,
            state=OperationState(self.reported),
            psp_id=self.psp_id,
            amount_minor=self.amount_minor,
            currency=self.currency,
            code=self.code,
            detail=self.detail,
            hint=self.hint,
            action_url=self.action_url,
            repeat_is_useless=self.repeat_is_useless,
            source=self.source,
            tries=self.tries,
            first_try_at=None if self.first_try_at is None else datetime.fromisoformat(self.first_try_at),
            observed_at=datetime.fromisoformat(self.observed_at),
            call_ms=self.call_ms,
            next_step=self.next_step,
        )


class ExtraChargeConfirmed(Event):
    """The PSP has confirmed two charges: this one is given back by the operation that follows."""

    TOPIC: ClassVar[str] = "payment.extra_charge_confirmed.v1"
    operation_id: str
    other_operation_id: str
    psp_id: str | None
    amount_minor: int
    by: str
    frozen: bool

    def record(self, payment: "Payment") -> None:
        operation = payment.operations[self.operation_id]
        operation.state = OperationState.APPROVED
        operation.approved_minor = self.amount_minor
        operation.psp_id = self.psp_id or operation.psp_id
        operation.extra = True
        operation.late = None
        operation.confirmed = None
        operation.unknown_since = None
        payment.operations[self.other_operation_id].confirmed = None
        payment.frozen_by.discard(self.operation_id)


class Resolved(Event):
    """A person's decision, with what it rests on. `approved_at`: from when its life at the PSP counts."""

    TOPIC: ClassVar[str] = "payment.resolved.v1"
    operation_id: str
    decision: str
    amount_minor: int
    approved_at: str | None
    evidence: str
    who: str
    frozen: bool

    def record(self, payment: "Payment") -> None:
        payment.frozen_by.discard(self.operation_id)
        operation = payment.operations.get(self.operation_id)
        if operation is None:
            return
        charged = self.decision == "charged"
        operation.state = OperationState.APPROVED if charged else OperationState.PROVEN_ABSENT
        operation.approved_minor = self.amount_minor if charged else 0
        operation.approved_at = None if self.approved_at is None else datetime.fromisoformat(self.approved_at)
        if charged:
            payment.retries.pop(self.operation_id, None)
        if operation.late is not None:
            operation.psp_id = operation.late.psp_id or operation.psp_id
        operation.late = None
        operation.confirming = False
        operation.rechecked = True
        operation.confirmed = None
        operation.unknown_since = None


class RetryScheduled(Event):
    """`operation_id`: the one that was not executed; until then the next one reserves the same amount."""

    TOPIC: ClassVar[str] = "payment.retry_scheduled.v1"
    operation_id: str
    attempt: int
    retry_at: str
    account: str
    three_ds: bool
    because: str

    def record(self, payment: "Payment") -> None:
        at = datetime.fromisoformat(self.retry_at)
        payment.wait_for_retry(self.operation_id, at, self.account, three_ds=self.three_ds)


class AttemptsEnded(Event):
    TOPIC: ClassVar[str] = "payment.attempts_ended.v1"
    ended: Ended
    because: str

    def record(self, payment: "Payment") -> None:
        payment.ended = self.ended
        payment.drop_retries_of_attempts()


class RetriesEnded(Event):
    """A capture, void or refund that was not executed, and is not tried again."""

    TOPIC: ClassVar[str] = "operation.retries_ended.v1"
    operation_id: str
    attempt: int
    because: str

    def record(self, payment: "Payment") -> None:
        """The outcome before it has freed the amount."""


class CustomerReturned(Event):
    """From a challenge or a redirect. Proves nothing: the PSP is asked."""

    TOPIC: ClassVar[str] = "payment.customer_returned.v1"
    operation_id: str

    def record(self, payment: "Payment") -> None:
        payment.returned[self.operation_id] += 1


class CancelRequested(Event):
    TOPIC: ClassVar[str] = "payment.cancel_requested.v1"

    def record(self, payment: "Payment") -> None:
        payment.cancel_requested = True


class AuthorizationExpiring(Event):
    """A warning: what is not captured until `expires_at` is released."""

    TOPIC: ClassVar[str] = "payment.authorization_expiring.v1"
    operation_id: str
    expires_at: str
    capturable_minor: int

    def record(self, payment: "Payment") -> None:
        payment.expiry_warned = True


class AuthorizationExpired(Event):
    TOPIC: ClassVar[str] = "payment.authorization_expired.v1"
    operation_id: str
    released_minor: int
    because: str

    def record(self, payment: "Payment") -> None:
        payment.authorization_expired = True


class NeedsPerson(Event):
    """In doubt for so long that it also stands in the queue of those that a person looks at."""

    TOPIC: ClassVar[str] = "payment.needs_person.v1"
    operation_id: str
    amount_minor: int
    since: str

    def record(self, payment: "Payment") -> None:
        payment.operations[self.operation_id].person_asked = True


class DisputeChanged(Event):
    TOPIC: ClassVar[str] = "payment.dispute_changed.v1"
    dispute_id: str
    operation_id: str
    state: str
    amount_minor: int
    currency: str
    reason: str | None
    respond_by: str | None
    observed_at: str
    contradicts: str | None

    def record(self, payment: "Payment") -> None:
        # A sum of another currency never enters ours.
        same = self.currency == payment.amount.currency
        payment.disputes[self.dispute_id] = (self.state, self.amount_minor if same else 0)
        if self.contradicts is not None:
            payment.frozen_by.add(self.operation_id)


OUTCOMES: Final[tuple[type[OutcomeReported], ...]] = (
    OperationApproved,
    OperationDeclinedSoft,
    OperationDeclinedHard,
    OperationNotSent,
    OperationActionRequired,
    OperationPending,
    OperationUnknown,
    OperationProvenAbsent,
    OperationExpired,
)

_EVENTS: Final[tuple[type[Event], ...]] = (
    Requested,
    Rejected,
    OperationStarted,
    OperationAsked,
    *OUTCOMES,
    OperationConfirmed,
    Contradicted,
    ExtraChargeConfirmed,
    Resolved,
    RetryScheduled,
    AttemptsEnded,
    RetriesEnded,
    CustomerReturned,
    CancelRequested,
    AuthorizationExpiring,
    AuthorizationExpired,
    NeedsPerson,
    DisputeChanged,
)
EVENTS: Final = {event.TOPIC: event for event in _EVENTS}
"""Every event that may stand in the store, by its stored topic."""
for _topic, _event in EVENTS.items():
    register_topic(_topic, _event)

REQUEST_TOPICS: Final = frozenset({OperationStarted.TOPIC, OperationAsked.TOPIC})
"""Events that are also requests to the gateway they name."""
