"""Further attempts at an operation that was not executed: one is scheduled, or none follows."""

from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from aggregates.events.event import Event
from aggregates.routing.retries import AwaitedAccount
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
    decision: dict[str, Any] | None = field(default=None, kw_only=True)

    def record(self, payment: "PaymentState") -> None:
        """Schedules the retry: `Payment.due` names its time."""
        at = datetime.fromisoformat(self.retry_at)
        payment.wait_for_retry(self.operation_id, at, self.account, three_ds=self.three_ds)


class AccountAwaited(Event):
    """No PSP account can take the payment for now; its first attempt starts once one can. `decision`: how
    each was ruled out, see `routing.choice.Decision.record`."""

    TOPIC: ClassVar[str] = "payment.account_awaited.v1"
    retry_at: str
    tries: int
    reason: str
    decision: dict[str, Any]

    def record(self, payment: "PaymentState") -> None:
        """Notes when the accounts are looked at again: `Payment.due` names the time."""
        payment.awaits_account = AwaitedAccount(datetime.fromisoformat(self.retry_at), self.tries)


class AttemptsEnded(Event):
    """No further attempt follows. `ended`: the payment's final status, unless something was taken all the
    same."""

    TOPIC: ClassVar[str] = "payment.attempts_ended.v1"
    ended: Ended
    reason: str
    decision: dict[str, Any] | None = field(default=None, kw_only=True)

    def record(self, payment: "PaymentState") -> None:
        """Ends the payment, and drops the attempts that were scheduled."""
        payment.held = False
        payment.ended = self.ended
        payment.awaits_account = None
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
