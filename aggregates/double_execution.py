"""An operation that the PSP executed twice, under two ids. Invariant: a decision on one of them proves
nothing about the other: the payment stays frozen until an operator has decided about the second.
"""

from aggregates.balances import broken_sum
from aggregates.decision import Cause, Refused
from aggregates.merchant_commands import amounts
from aggregates.operation import Operation, OperationState, Report
from aggregates.payment import Payment


def is_unnamed(operation: Operation) -> bool:
    """True if it was executed under an id that nobody has named, so that nothing can follow it at the PSP."""
    return operation.state is OperationState.APPROVED and operation.psp_id is None


def is_second(operation: Operation, report: Report) -> bool:
    """True if the report is of money under another id than the operation's own."""
    other = operation.psp_id is not None and report.psp_id not in {None, operation.psp_id}
    executed = operation.state is OperationState.APPROVED and report.state is OperationState.APPROVED
    authorized = operation.open and report.next_step is not None
    return other and (executed or authorized)


def named(payment: Payment, operation: Operation | None, psp_id: str | None, decision: str) -> str | None:
    """Returns the second id that an operator's decision is about. None: it is about the operation's own,
    which may be one that nobody has reported yet. Raises `Refused`."""
    if operation is None:
        return None
    others = payment.second_ids(operation.id)
    if psp_id is None and not others:
        return None
    late = operation.late_approval.psp_id if operation.late_approval is not None else None
    known = [one for one in (operation.psp_id, late, *others) if one is not None]
    if not known:
        return None
    if psp_id not in known:
        code = "executed_twice" if others else "not_in_doubt"
        ids = f"its ids there: {', '.join(known)}"
        if psp_id is None:
            text = f"the PSP executed {operation.id} under several ids: name one as psp_id; {ids}"
        else:
            text = f"{psp_id} is no id of {operation.id} at the PSP; {ids}"
        raise Refused(code, text, amounts(payment))
    if psp_id not in others:
        return None
    if operation.is_charge_attempt and decision == "charged":
        text = (
            f"{psp_id} took it a second time: give it back at the PSP, then resolve {psp_id} as not charged"
        )
        raise Refused("still_to_be_given_back", text, amounts(payment))
    return psp_id


def record(payment: Payment, operation: Operation, psp_id: str, report: Report, cause: Cause) -> None:
    """Records a second capture or refund, which was executed as an operator decided, beside the first.
    `report`: its amount."""
    approved = payment.approved_attempt
    known = {o.psp_id for o in payment.operations.values() if o.state is OperationState.APPROVED}
    if approved is None or psp_id in known:
        return
    if operation.kind in {"capture", "refund"} and report.amount_minor is not None:
        payment.record_external_move(
            operation.kind,
            approved,
            report.amount_minor,
            cause,
            psp_id=psp_id,
            final=False,
            observed_at=cause.now,
            reason=f"the PSP executed {operation.id} twice, as an operator decided",
        )
    if (reason := broken_sum(payment)) is not None:
        payment.contradict(report, reason, cause, about=reason, until="sums_hold")
