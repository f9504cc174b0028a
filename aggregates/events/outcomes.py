"""A PSP's reports of an operation, one event for each state that the operation may be in."""

from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from aggregates.events.event import Event
from aggregates.operation import CANCEL_STEP, CHALLENGE_OPEN, OperationState, Report, ReportFields

if TYPE_CHECKING:
    from aggregates.payment_state import PaymentState


class Reported(ReportFields, Event):
    """Base of all events made from a `Report`: stores its fields under the same names, and its times as ISO
    text."""

    TOPIC: ClassVar[str] = "operation.reported"
    first_try_at: str | None
    observed_at: str

    def report(self, state: OperationState) -> Report:
        """Returns the report that the event was made from, as far as it is stored."""
        return Report(
            **self.shared(),
            state=state,
            first_try_at=None if self.first_try_at is None else datetime.fromisoformat(self.first_try_at),
            observed_at=datetime.fromisoformat(self.observed_at),
        )


class OutcomeReported(Reported):
    """`refused_as`: how the last step ended, while the operation is UNKNOWN until the hold of earlier steps
    is released."""

    TOPIC: ClassVar[str] = "operation.outcome"
    state: ClassVar[OperationState]
    refused_as: str | None = field(default=None, kw_only=True)

    def record(self, payment: "PaymentState") -> None:
        """Moves the operation to the event's state, and restarts the wait for the next query."""
        operation = payment.operations[self.operation_id]
        if self.state is not OperationState.UNKNOWN:
            operation.unknown_since = None
        elif operation.unknown_since is None:
            operation.unknown_since = self.timestamp
        operation.state = self.state
        operation.psp_id = self.psp_id or operation.psp_id
        operation.repeat_is_useless |= self.repeat_is_useless
        # A cancel that the PSP responded to closed the claims too, as a lookup does: nothing more is sent.
        canceled = self.step == CANCEL_STEP and self.source in {"call", "stored"}
        operation.queried |= canceled or self.source == "query"
        operation.challenged |= self.state is OperationState.ACTION_REQUIRED
        operation.challenge_open = self.code == CHALLENGE_OPEN
        # The cancel's own response leaves nothing open.
        operation.rechecked |= self.step == CANCEL_STEP and self.state is not OperationState.UNKNOWN
        if self.source == "call" and self.step != CANCEL_STEP:
            operation.call_ms = self.call_ms
        operation.next_step = self.next_step
        last_is_ours = operation.kind == "sale" and operation.psp.final_call_by == "us"
        authorized = self.state is OperationState.PENDING and self.next_step is not None
        operation.holds |= authorized and last_is_ours and not operation.psp.looks_up
        operation.unreached = operation.unreached + 1 if self.unreached else 0
        operation.retry_at = None
        if self.refused_as is not None:
            operation.refused = self.report(OperationState(self.refused_as))
        operation.last_update_at = self.timestamp
        operation.observed_at = datetime.fromisoformat(self.observed_at)
        if self.first_try_at is not None:
            operation.first_try_at = datetime.fromisoformat(self.first_try_at)
        if self.state is OperationState.APPROVED:
            assert self.amount_minor is not None
            operation.approved_minor = self.amount_minor
            operation.approved_at = datetime.fromisoformat(self.observed_at)
        operation.code, operation.detail, operation.hint = self.code, self.detail, self.hint
        payment.reason, payment.detail = self.code, self.detail
        if operation.is_charge_attempt and self.action_url is not None:
            payment.action_url = self.action_url


class OperationApproved(OutcomeReported):
    """The PSP executed it. `amount_minor`: what it approved, which may be a part."""

    TOPIC: ClassVar[str] = "operation.approved.v1"
    state = OperationState.APPROVED


class OperationDeclinedSoft(OutcomeReported):
    """The issuer or the PSP declined it, and another attempt may succeed."""

    TOPIC: ClassVar[str] = "operation.declined_soft.v1"
    state = OperationState.DECLINED_SOFT


class OperationDeclinedHard(OutcomeReported):
    """The issuer or the PSP declined it for good."""

    TOPIC: ClassVar[str] = "operation.declined_hard.v1"
    state = OperationState.DECLINED_HARD


class OperationNotSent(OutcomeReported):
    """The PSP did not take it in, or nothing was sent: it was not executed."""

    TOPIC: ClassVar[str] = "operation.not_sent.v1"
    state = OperationState.NOT_SENT


class OperationUnreached(OutcomeReported):
    """The agent reached nobody, or a PSP that was not available and did nothing: it counts as no attempt, and
    is sent again."""

    TOPIC: ClassVar[str] = "operation.unreached.v1"
    state = OperationState.UNREACHED
    retry_at: str
    reason: str

    def record(self, payment: "PaymentState") -> None:
        super().record(payment)
        payment.operations[self.operation_id].retry_at = datetime.fromisoformat(self.retry_at)


class OperationActionRequired(OutcomeReported):
    """The customer has to act, at `action_url` where there is one."""

    TOPIC: ClassVar[str] = "operation.action_required.v1"
    state = OperationState.ACTION_REQUIRED


class OperationPending(OutcomeReported):
    """The PSP took it in and has not decided, or `next_step` follows."""

    TOPIC: ClassVar[str] = "operation.pending.v1"
    state = OperationState.PENDING


class OperationUnknown(OutcomeReported):
    """Nobody knows whether it was executed: it is queried until someone does."""

    TOPIC: ClassVar[str] = "operation.unknown.v1"
    state = OperationState.UNKNOWN


class OperationProvenAbsent(OutcomeReported):
    """A lookup, or a closed claim, proves that it was not executed."""

    TOPIC: ClassVar[str] = "operation.proven_absent.v1"
    state = OperationState.PROVEN_ABSENT


class OperationExpired(OutcomeReported):
    """Its time was over, or the PSP released it: it was not executed."""

    TOPIC: ClassVar[str] = "operation.expired.v1"
    state = OperationState.EXPIRED


class OperationStatusReported(Reported):
    """The PSP's result for a query that stays open: it is no final outcome yet, or proves nothing while an
    operation of ours is under way. `reported_state`: the state that it reports. `captured_minor`,
    `refunded_minor`, `held_minor`: of the payment in all; None: it does not report it."""

    TOPIC: ClassVar[str] = "operation.status_reported.v1"
    reported_state: str
    captured_minor: int | None
    refunded_minor: int | None
    held_minor: int | None

    def record(self, payment: "PaymentState") -> None:
        payment.operations[self.operation_id].open_result_at = datetime.fromisoformat(self.observed_at)


class OperationIdentified(Reported):
    """The PSP reports the id of an operation that an operator resolved as executed before any id was
    known."""

    TOPIC: ClassVar[str] = "operation.identified.v1"

    def record(self, payment: "PaymentState") -> None:
        payment.operations[self.operation_id].psp_id = self.psp_id


class OperationConfirmed(Reported):
    """The PSP's result for a query whether an ended operation still stands. `confirms`: the state that it
    reports."""

    TOPIC: ClassVar[str] = "operation.confirmed.v1"
    confirms: str

    def record(self, payment: "PaymentState") -> None:
        operation = payment.operations[self.operation_id]
        operation.confirming, operation.confirming_since = False, None
        operation.rechecked, operation.doubted = True, False
        # A result for one charge alone proves nothing about two.
        if any(other.late_approval is not None for other in payment.operations.values()):
            operation.confirmed = self.confirms == OperationState.APPROVED
