"""An authorization's life, by our clock and at the PSP."""

from typing import TYPE_CHECKING, ClassVar

from aggregates.events.event import Event

if TYPE_CHECKING:
    from aggregates.payment_state import PaymentState


class AuthorizationExpiring(Event):
    """A warning: what is not captured until `expires_at` is released."""

    TOPIC: ClassVar[str] = "payment.authorization_expiring.v1"
    operation_id: str
    expires_at: str
    capturable_minor: int

    def record(self, payment: "PaymentState") -> None:
        payment.expiry_warned = True


class AuthorizationLapsed(Event):
    """The authorization has ended by our clock, which proves nothing about the hold at the PSP: from here on
    AegisPay voids it, or queries whether the PSP has released it."""

    TOPIC: ClassVar[str] = "payment.authorization_lapsed.v1"
    operation_id: str
    capturable_minor: int
    reason: str

    def record(self, payment: "PaymentState") -> None:
        payment.lapsed = True


class AuthorizationExpired(Event):
    TOPIC: ClassVar[str] = "payment.authorization_expired.v1"
    operation_id: str
    released_minor: int
    reason: str

    def record(self, payment: "PaymentState") -> None:
        payment.authorization_expired = True
