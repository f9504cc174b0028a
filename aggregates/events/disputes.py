"""Disputes: the PSP's reports, and an operator's decisions."""

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from aggregates.dispute import Dispute
from aggregates.events.event import Event
from aggregates.status import DisputeState

if TYPE_CHECKING:
    from aggregates.payment_state import PaymentState


class _DisputeFields(Event):
    TOPIC: ClassVar[str] = "payment.dispute_fields"
    dispute_id: str
    operation_id: str
    state: DisputeState
    amount_minor: int
    currency: str
    reason: str | None
    respond_by: str | None
    reported_at: str
    observed_at: str

    @property
    def decided_by(self) -> str | None:
        return None

    def record(self, payment: "PaymentState") -> None:
        payment.disputes.pop(self.dispute_id, None)
        payment.disputes[self.dispute_id] = Dispute(
            operation_id=self.operation_id,
            state=self.state,
            amount_minor=self.amount_minor,
            currency=self.currency,
            reason=self.reason,
            respond_by=self.respond_by,
            at=datetime.fromisoformat(self.reported_at),
            who=self.decided_by,
        )


class DisputeChanged(_DisputeFields):
    """The PSP's report. `reported_at`: by the PSP's clock, or by ours where the PSP names no time or one that
    is ahead."""

    TOPIC: ClassVar[str] = "payment.dispute_changed.v1"


class DisputeResolved(_DisputeFields):
    """An operator's decision, which stands until the PSP reports something later."""

    TOPIC: ClassVar[str] = "payment.dispute_resolved.v1"
    evidence: str
    who: str

    @property
    def decided_by(self) -> str | None:
        return self.who
