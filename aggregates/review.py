"""A person's decision on a payment that a fraud hook holds.

Invariant: nothing of a held payment was sent, so either decision is safe at any time; a hold ends once.
"""

from typing import Final, Literal

from aggregates import events
from aggregates.attempts import begin, reject
from aggregates.decision import Cause, Refused
from aggregates.merchant_commands import amounts, not_frozen
from aggregates.payment import Payment
from aggregates.routing.route import Route

DENIED_BY_REVIEW: Final = "denied_by_review"


def decide(
    payment: Payment,
    decision: Literal["allow", "deny"],
    route: Route,
    cause: Cause,
    *,
    evidence: str,
    who: str,
) -> None:
    """Starts the first attempt, or rejects the payment. Raises `Refused` where it is not held, is frozen, or
    its time is over."""
    if not payment.held:
        raise Refused("not_held", f"it is not held for review: it is {payment.status}", amounts(payment))
    if decision == "allow":
        not_frozen(payment)
        if cause.now >= payment.expires_at:
            text = f"its time ended at {payment.expires_at.isoformat()}: create another payment"
            raise Refused("review_too_late", text, amounts(payment))
    payment.trigger_event(events.Reviewed, decision=decision, evidence=evidence, who=who, **cause.fields())
    if decision == "deny":
        reject(payment, DENIED_BY_REVIEW, "a person denied it after the fraud check held it", cause)
    else:
        begin(payment, route, cause)
