"""Decisions of hooks on a new payment, and of the person who reviews one that a hook holds."""

from typing import TYPE_CHECKING, ClassVar

from aggregates.events.event import Event
from aggregates.routing.facts import Hints
from aggregates.routing.hints import joined

if TYPE_CHECKING:
    from aggregates.payment_state import PaymentState


class HookDecided(Event):
    """A hook gave its verdict before the payment was decided; see `aggregates.hooks.Verdict`. It is never run
    again for this payment."""

    TOPIC: ClassVar[str] = "hook.decided.v1"
    hook: str
    kind: str
    decision: str
    score: float | None
    code: str | None
    reason: str | None
    failed: str | None
    failure_mode: str | None
    took_ms: float
    only: tuple[str, ...]
    never: tuple[str, ...]
    prefer: tuple[str, ...]

    def record(self, payment: "PaymentState") -> None:
        """Adds a routing hook's wishes to those of the hooks before it."""
        if self.kind == "routing":
            wishes = Hints(tuple(self.only), tuple(self.never), tuple(self.prefer))
            payment.routing_hints = joined(payment.routing_hints, wishes)


class Held(Event):
    """A fraud hook demands a person's review: nothing starts before it."""

    TOPIC: ClassVar[str] = "payment.held.v1"
    code: str
    reason: str

    def record(self, payment: "PaymentState") -> None:
        """Holds the payment until its own time is over."""
        payment.held = True
        payment.reason = self.code
        payment.detail = self.reason


class Reviewed(Event):
    """A person decided on a held payment, with what the decision rests on."""

    TOPIC: ClassVar[str] = "payment.reviewed.v1"
    decision: str
    evidence: str
    who: str

    def record(self, payment: "PaymentState") -> None:
        """Ends the hold: what follows is an event of its own."""
        payment.held = False
        payment.reason = payment.detail = None
