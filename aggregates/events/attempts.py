"""Further attempts at an operation that was not executed: one is scheduled, or none follows."""

from datetime import datetime
from typing import TYPE_CHECKING, ClassVar

from aggregates.events.event import Event
from aggregates.status import Ended

if TYPE_CHECKING:
    from aggregates.payment_state import PaymentState


class RetryScheduled(Event):
    """`operation_id`: the one that was not executed; until then the next one reserves the same amount."""

    TOPIC: ClassVar[str] = "payment.retry_scheduled.v1"
    operation_id: str
    attempt: int
    retry_at: str
    account: str
    three_ds: bool
    reason: str

    def record(self, payment: "PaymentState") -> None:
        """Schedules the retry: `Payment.due` names its time."""
        at = datetime.fromisoformat(self.retry_at)
        payment.wait_for_retry(self.operation_id, at, self.account, three_ds=self.three_ds)


class AttemptsEnded(Event):
    """No further attempt follows. `ended`: the payment's final status, unless something was taken all the
    same."""

    TOPIC: ClassVar[str] = "payment.attempts_ended.v1"
    ended: Ended
    reason: str

    def record(self, payment: "PaymentState") -> None:
        """Ends the payment, and drops the attempts that were scheduled."""
        payment.ended = self.ended
        payment.drop_retries_of_attempts()


class RetriesEnded(Event):
    """A capture, void or refund that was not executed, and is not tried again: its amount is free."""

    TOPIC: ClassVar[str] = "operation.retries_ended.v1"
    operation_id: str
    attempt: int
    reason: str

    def record(self, payment: "PaymentState") -> None:
        """Drops the retry."""
        payment.retries.pop(self.operation_id, None)
