"""Requests of the merchant, AegisPay's refusal of a payment, and the customer's return."""

from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar
from uuid import UUID

from aggregates.decision import PaymentFields
from aggregates.events.event import Created, Event
from aggregates.money import Money

if TYPE_CHECKING:
    from aggregates.payment_state import PaymentState


class Requested(PaymentFields, Created):
    """The payment's first event: stores all that the merchant requested, even where AegisPay refuses it."""

    TOPIC: ClassVar[str] = "payment.requested.v1"
    amount_minor: int
    currency: str
    expires_at: str

    def record(self, payment: "PaymentState") -> None:
        """Sets what rules, routing and calls to the PSP need; the rest is for the read models."""
        assert self.fingerprint is not None
        payment.merchant_id = self.merchant_id
        payment.idempotency_key = self.idempotency_key
        payment.fingerprint = self.fingerprint
        payment.create_command_id = UUID(self.command_id)
        payment.correlation_id = self.correlation_id
        payment.amount = Money(self.amount_minor, self.currency)
        payment.capture = self.capture
        payment.payment_method = self.payment_method
        payment.payment_methods = self.payment_methods
        payment.method = self.method
        payment.card = self.card
        payment.country = self.country
        payment.customer_id = self.customer_id
        payment.metadata = self.metadata
        payment.stored_credential = self.stored_credential
        payment.description = self.description
        payment.statement_text = self.statement_text
        payment.return_page = self.return_page
        payment.requested_at = self.timestamp
        payment.expires_at = datetime.fromisoformat(self.expires_at)


class Rejected(Event):
    """No operation was started, and none will be."""

    TOPIC: ClassVar[str] = "payment.rejected.v1"
    code: str
    detail: str
    decision: dict[str, Any] | None = field(default=None, kw_only=True)

    def record(self, payment: "PaymentState") -> None:
        """Ends the payment before any operation."""
        payment.awaits_account = None
        payment.held = False
        payment.rejected = self.code
        payment.reason = self.code
        payment.detail = self.detail


class CustomerReturned(Event):
    """The customer came back from a challenge. It proves nothing: AegisPay queries the PSP."""

    TOPIC: ClassVar[str] = "payment.customer_returned.v1"
    operation_id: str

    def record(self, payment: "PaymentState") -> None:
        """Counts the return: their number is bounded."""
        payment.returned[self.operation_id] += 1


class CancelRequested(Event):
    """The merchant cancelled the payment: what is taken in spite of it is given back."""

    TOPIC: ClassVar[str] = "payment.cancel_requested.v1"

    def record(self, payment: "PaymentState") -> None:
        payment.cancel_requested = True
