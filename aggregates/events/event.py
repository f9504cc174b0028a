"""The base of every event of a payment: the message that led to it, and its change of the payment's state."""

from typing import TYPE_CHECKING, ClassVar

from eventsourcing.domain import Aggregate

if TYPE_CHECKING:
    from aggregates.payment_state import PaymentState


class Event(Aggregate.Event):
    """`fingerprint`: of the command that led to it, where a command did."""

    TOPIC: ClassVar[str] = "payment.event"
    command_id: str
    fingerprint: str | None
    correlation_id: str
    traceparent: str | None

    def apply(self, payment: "PaymentState") -> None:
        """Notes the message that led to the event, then records it. The library calls it, at each replay
        too."""
        payment.causes.add(self.command_id)
        if self.fingerprint is not None:
            payment.commands[self.command_id] = self.fingerprint
        self.record(payment)

    def record(self, payment: "PaymentState") -> None:
        """Changes the payment's state by the event's own fields. It must not check a rule: it runs at each
        replay."""
        raise NotImplementedError


class Created(Event, Aggregate.Created):
    """Base of the first event of a payment."""

    TOPIC: ClassVar[str] = "payment.created"
