"""Charges in doubt: when an operator has to look, and how the doubt ends."""

from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from aggregates.events.event import Event
from aggregates.operation import OperationState

if TYPE_CHECKING:
    from aggregates.payment_state import PaymentState


class Escalated(Event):
    """An operation has been in doubt for so long that an operator has to look at it."""

    TOPIC: ClassVar[str] = "payment.escalated.v1"
    operation_id: str
    amount_minor: int
    since: str

    def record(self, payment: "PaymentState") -> None:
        """Puts the operation into the queue; one that had no response is in doubt from now on."""
        operation = payment.operations[self.operation_id]
        operation.escalated = True
        if operation.state is OperationState.STARTED and operation.unknown_since is None:
            operation.unknown_since = datetime.fromisoformat(self.since)


class DuplicateChargeConfirmed(Event):
    """The PSP has confirmed two charges: this one is given back by the operation that follows."""

    TOPIC: ClassVar[str] = "payment.duplicate_charge_confirmed.v1"
    operation_id: str
    other_operation_id: str
    psp_id: str | None
    amount_minor: int
    by: str
    frozen: bool

    def record(self, payment: "PaymentState") -> None:
        """Approves the duplicate charge outside the sums, and ends the contradiction about it."""
        operation = payment.operations[self.operation_id]
        operation.state = OperationState.APPROVED
        operation.approved_minor = self.amount_minor
        operation.psp_id = self.psp_id or operation.psp_id
        operation.duplicate_charge = True
        operation.late_approval = None
        operation.confirmed = None
        operation.unknown_since = None
        payment.operations[self.other_operation_id].confirmed = None
        payment.end_contradictions(self.operation_id)


class Resolved(Event):
    """An operator's decision, with what it rests on. `approved_at`: from when its life at the PSP counts.
    `other_psp_id`: the second id that it is about, where the PSP executed the operation twice; None: it is
    about the operation itself. `psp_id`: the operation's own id, where the operator named it. `open_reason`:
    why the operation contradicts the record all the same; None: it does not."""

    TOPIC: ClassVar[str] = "payment.resolved.v1"
    operation_id: str
    decision: str
    amount_minor: int
    approved_at: str | None
    evidence: str
    who: str
    frozen: bool
    other_psp_id: str | None = field(default=None, kw_only=True)
    open_reason: str | None = field(default=None, kw_only=True)
    psp_id: str | None = field(default=None, kw_only=True)

    def record(self, payment: "PaymentState") -> None:
        """Ends the operation as the operator decided, and the contradiction with it."""
        payment.end_contradictions(self.operation_id, self.other_psp_id)
        operation = payment.operations.get(self.operation_id)
        if operation is None or self.other_psp_id is not None:
            return
        charged = self.decision == "charged"
        operation.state = OperationState.APPROVED if charged else OperationState.PROVEN_ABSENT
        operation.approved_minor = self.amount_minor if charged else 0
        operation.approved_at = None if self.approved_at is None else datetime.fromisoformat(self.approved_at)
        if charged:
            payment.retries.pop(self.operation_id, None)
        if operation.late_approval is not None:
            operation.psp_id = operation.late_approval.psp_id or operation.psp_id
        operation.psp_id = self.psp_id or operation.psp_id
        operation.late_approval = None
        operation.confirming, operation.confirming_since = False, None
        operation.rechecked = True
        operation.confirmed = None
        operation.unknown_since = None
