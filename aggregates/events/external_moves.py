"""External moves: money that somebody moved in the PSP's own pages, not AegisPay."""

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from aggregates.events.event import Event
from aggregates.money import Money
from aggregates.operation import FIRST_STEP, Kind, Move, MoveKind, Operation, OperationState

if TYPE_CHECKING:
    from aggregates.payment_state import PaymentState


class ExternalMoveRecorded(Event):
    """The PSP shows money that AegisPay did not move: somebody captured or refunded in the PSP's own pages.
    It is an operation like any other, though no call of ours made it. `final`: nothing is held any more.
    `may_be_disputed`: the PSP shows what a dispute took as a refund, too."""

    TOPIC: ClassVar[str] = "payment.external_move_recorded.v1"
    operation_id: str
    kind: Kind
    ordinal: int
    target_operation_id: str
    gateway: str
    account: str
    amount_minor: int
    currency: str
    psp_id: str | None
    final: bool
    may_be_disputed: bool
    observed_at: str
    reason: str

    def record(self, payment: "PaymentState") -> None:
        """Adds the move as an approved operation."""
        of = payment.operations[self.target_operation_id]
        at = datetime.fromisoformat(self.observed_at)
        payment.operations[self.operation_id] = Operation(
            id=self.operation_id,
            kind=self.kind,
            ordinal=self.ordinal,
            attempt=1,
            step=FIRST_STEP,
            psp=of.psp,
            amount=Money(self.amount_minor, self.currency),
            command_id=self.command_id,
            started_at=self.timestamp,
            expires_at=self.timestamp,
            target=self.target_operation_id,
            final=self.final,
            external=True,
            may_be_disputed=self.may_be_disputed,
            state=OperationState.APPROVED,
            approved_minor=self.amount_minor,
            approved_at=at,
            psp_id=self.psp_id,
            last_update_at=self.timestamp,
            observed_at=at,
        )


class ExternalMoveDeferred(Event):
    """An external move on an operation that has no outcome here yet. It is recorded as `ExternalMoveRecorded`
    once the operation is approved."""

    TOPIC: ClassVar[str] = "payment.external_move_deferred.v1"
    operation_id: str
    kind: MoveKind
    amount_minor: int
    currency: str
    psp_id: str
    observed_at: str
    reason: str

    def record(self, payment: "PaymentState") -> None:
        """Keeps the move with its operation until that has an outcome."""
        operation = payment.operations[self.operation_id]
        operation.kept = (*operation.kept, Move(self.kind, self.psp_id, self.amount_minor))


class ExternalMoveReversed(Event):
    """An external move has failed since: a refund that the bank sent back, a capture that was not settled.
    `amount_minor` of it was never moved; `left_minor` was."""

    TOPIC: ClassVar[str] = "payment.external_move_reversed.v1"
    operation_id: str
    kind: Kind
    amount_minor: int
    left_minor: int
    currency: str
    observed_at: str
    reason: str

    def record(self, payment: "PaymentState") -> None:
        """Lowers the recorded amount; a move of which nothing is left counts as declined."""
        operation = payment.operations[self.operation_id]
        operation.approved_minor = self.left_minor
        if not self.left_minor:
            operation.state = OperationState.DECLINED_HARD
        operation.last_update_at = self.timestamp
        operation.observed_at = datetime.fromisoformat(self.observed_at)
