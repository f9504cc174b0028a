"""Gives back what was taken and should not have been: a void of an authorization, a refund of a sale."""

from aggregates.decision import Cause
from aggregates.external_moves import may_give_back
from aggregates.operation import Kind, Operation
from aggregates.payment import Payment


def honour_cancel(payment: Payment, cause: Cause) -> None:
    """Gives back, once, what was taken in spite of an earlier cancel, less what was given back externally or
    a dispute took. A frozen payment waits for an operator."""
    approved = payment.approved_attempt
    if not payment.cancel_requested or payment.frozen or approved is None:
        return
    # Voids and refunds under way have reserved their amounts, so a second report of the same approval gives
    # nothing back again.
    left = payment.totals.capturable if approved.kind == "authorize" else payment.totals.refundable
    if left and may_give_back(payment):
        give_back(
            payment,
            approved,
            left,
            cause,
            reason="the merchant cancelled the payment before",
            duplicate_charge=False,
        )


def give_back(
    payment: Payment,
    operation: Operation,
    amount_minor: int,
    cause: Cause,
    *,
    reason: str,
    duplicate_charge: bool,
) -> None:
    """Starts the void or the refund of `amount_minor` of what `operation` took. AegisPay owes it to the
    customer: no hook may keep it from being sent."""
    kind: Kind = "void" if operation.kind == "authorize" else "refund"
    payment.start(
        kind,
        operation.psp,
        amount_minor,
        cause,
        reason=reason,
        target=operation,
        duplicate_charge=duplicate_charge,
        owed=True,
    )
