"""Reports that contradict the record, and what ends the contradiction."""

from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from aggregates.contradiction import Contradiction, Until
from aggregates.events.event import Event
from aggregates.events.outcomes import Reported
from aggregates.operation import OperationState

if TYPE_CHECKING:
    from aggregates.payment_state import PaymentState


class Contradicted(Reported):
    """A report that cannot be true beside what is recorded. It changes no sum; an operator has to look.
    `until`: what ends it by itself, if that comes first: see `aggregates.contradiction.Until`."""

    TOPIC: ClassVar[str] = "payment.contradicted.v1"
    reported: str
    reason: str
    late_approval: bool
    about: str = field(default="", kw_only=True)
    until: Until | None = field(default=None, kw_only=True)

    def record(self, payment: "PaymentState") -> None:
        """Opens the contradiction, which freezes the payment, and keeps a late approval for the comparison of
        charges."""
        key = (self.operation_id, self.reported, self.psp_id, self.about)
        payment.contradictions[key] = Contradiction(
            self.reason, self.until, datetime.fromisoformat(self.observed_at)
        )
        if self.late_approval:
            payment.operations[self.operation_id].late_approval = self.report(OperationState(self.reported))


class ContradictionSettled(Event):
    """A later report of the PSP has ended what a contradiction was about. `operation_id` to `about`: which
    one. `open_reason`: why its operation contradicts the record all the same; None: it does not. `frozen`:
    whether the payment still is."""

    TOPIC: ClassVar[str] = "payment.contradiction_settled.v1"
    operation_id: str
    reported: str
    psp_id: str | None
    about: str
    reason: str
    observed_at: str | None
    open_reason: str | None
    frozen: bool

    def record(self, payment: "PaymentState") -> None:
        """Removes the contradiction; the operation's reports count from the one that ended it."""
        # A later report of the same kind is a new contradiction.
        del payment.contradictions[self.operation_id, self.reported, self.psp_id, self.about]
        operation = payment.operations.get(self.operation_id)
        if operation is not None and self.observed_at is not None:
            at = datetime.fromisoformat(self.observed_at)
            operation.observed_at = max(operation.observed_at or at, at)
