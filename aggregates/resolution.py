"""Doubt and who ends it: the comparison of two charges for one payment, an operator's decision.

Invariant: a duplicate charge is given back only when the PSP, or an operator, has confirmed both.
"""

from dataclasses import replace
from datetime import datetime
from typing import assert_never

from aggregates import contradictions, double_execution, events, status_queries
from aggregates.attempts import BY_OPERATOR
from aggregates.decision import Cause, Refused
from aggregates.external_moves import may_give_back, query_balances, record_kept
from aggregates.give_back import give_back, honour_cancel
from aggregates.merchant_commands import amounts
from aggregates.operation import NOT_EXECUTED, Operation, OperationState, Report
from aggregates.payment import Payment
from aggregates.status import TAKES


def resolve(
    payment: Payment,
    operation_id: str,
    decision: str,
    amount_minor: int | None,
    *,
    evidence: str,
    who: str,
    cause: Cause,
    psp_id: str | None = None,
) -> None:
    """Records an operator's decision: `charged` (executed) or `not_charged`. `psp_id`: which of its ids at
    the PSP the decision is about, where the PSP executed it twice; where no id is known, the one under which
    the PSP executed it. Raises `Refused`."""
    operation = payment.operations.get(operation_id)
    own_id = psp_id if decision == "charged" else None
    if operation is None or own_id is None or not double_execution.is_unnamed(operation):
        _check(payment, operation_id, operation, decision, cause)
    if decision == "not_charged" and amount_minor is not None:
        text = (
            f"{amount_minor} was given as executed of {operation_id}, of which nothing was executed by the same "
            "decision: leave the amount out, or resolve it as charged"
        )
        raise Refused("amount_not_possible", text, amounts(payment, amount_minor))
    other = double_execution.named(payment, operation, psp_id, decision)
    if operation is not None:
        amount_minor = _resolved_minor(payment, operation, decision, amount_minor, other)
    holds_still = operation is not None and decision == "not_charged" and _holds_still(operation)
    own_charge = decision == "charged" and operation is not None and other is None
    payment.trigger_event(
        events.Resolved,
        operation_id=operation_id,
        decision=decision,
        amount_minor=amount_minor or 0,
        approved_at=_approved_at(operation, cause).isoformat() if own_charge and operation else None,
        evidence=evidence,
        who=who,
        other_psp_id=other,
        psp_id=own_id if other is None else None,
        open_reason=payment.still_contradicts(operation_id, other),
        frozen=payment.frozen_without(operation_id, other),
        **cause.fields(),
    )
    if operation is not None:
        _carry_out(
            payment, operation, decision, amount_minor or 0, cause, other=other, holds_still=holds_still
        )
    # The decision thaws the payment first: a frozen one may not start what follows.
    contradictions.settle(payment, None, cause)
    return_duplicates(payment, cause)
    honour_cancel(payment, cause)
    if operation is not None:
        _query_target(payment, operation, cause)


def _resolved_minor(
    payment: Payment, operation: Operation, decision: str, amount_minor: int | None, other: str | None
) -> int:
    """Returns what the decision is about, in minor units. Raises `Refused` where it cannot be so."""
    if other is not None:
        return min(amount_minor or operation.approved_minor, _most(operation))
    if decision == "not_charged":
        _check_nothing_rests_on(payment, operation)
        _check_given_back(payment, operation)
    elif amount_minor is not None:
        _check_amount(payment, operation, amount_minor)
    return (operation.approved_minor or _most(operation)) if amount_minor is None else amount_minor


def _carry_out(
    payment: Payment,
    operation: Operation,
    decision: str,
    amount_minor: int,
    cause: Cause,
    *,
    other: str | None,
    holds_still: bool,
) -> None:
    """Does what follows from the decision on this operation alone. `other`: the PSP's second id of it, if
    the decision is about that; `holds_still`: the PSP held money for it before the decision."""
    if other is not None:
        if decision == "charged":
            report = replace(_operator_report(operation, cause), psp_id=other, amount_minor=amount_minor)
            double_execution.record(payment, operation, other, report, cause)
        return
    if holds_still:
        _release_hold(payment, operation, cause)
    elif operation.is_charge_attempt:
        _after_operator(payment, operation, cause)
    if decision == "charged":
        record_kept(payment, operation, _operator_report(operation, cause), cause)


def _query_target(payment: Payment, operation: Operation, cause: Cause) -> None:
    """Queries how the payment stands after a decision on a capture or a void. These have no object of their
    own at the PSP: an external move on their target shows there beside the operator's decision."""
    if operation.kind in {"capture", "void"} and payment.approved_attempt is not None:
        reason = f"an operator decided about {operation.id}: how the payment stands at the PSP"
        query_balances(payment, operation, cause, reason)


def _holds_still(operation: Operation) -> bool:
    """True if the PSP may hold what an earlier step authorized. False once AegisPay requested its release and
    an operator, who was called because the PSP did not respond, decides the same again."""
    requested = operation.open and operation.refused is not None
    return (
        operation.holds and not requested and (operation.open or operation.state is OperationState.APPROVED)
    )


def _release_hold(payment: Payment, operation: Operation, cause: Cause) -> None:
    """Ends a sale whose capture was not executed, as an operator decided, once the PSP has released the
    hold."""
    report = replace(
        _operator_report(operation, cause),
        amount_minor=None,
        detail="not charged, as an operator decided: its hold is released first",
    )
    refused_as = OperationState.PROVEN_ABSENT
    payment.outcome(replace(report, state=OperationState.UNKNOWN), cause, refused_as=refused_as)
    reason = "an operator decided that nothing was charged: AegisPay releases what the step before holds"
    payment.request_follow_up("release", operation, cause, reason)


def _operator_report(operation: Operation, cause: Cause) -> Report:
    """Returns the operator's decision as a report."""
    return Report(
        operation_id=operation.id,
        step=operation.step,
        state=operation.state,
        psp_id=operation.psp_id,
        amount_minor=operation.approved_minor,
        currency=operation.amount.currency,
        code=BY_OPERATOR,
        source="none",
        observed_at=cause.now,
    )


def _check(
    payment: Payment, operation_id: str, operation: Operation | None, decision: str, cause: Cause
) -> None:
    if operation_id not in payment.frozen_by and not _may_have_failed(payment, operation):
        held = ", ".join(sorted(payment.frozen_by)) or "none"
        text = (
            f"{operation_id} is not in doubt; operations without an outcome: {status_queries.without_outcome(payment)}; "
            f"with reports that contradict the record: {held}"
        )
        raise Refused("not_in_doubt", text, amounts(payment))
    if operation is None and decision == "charged":
        text = (
            "AegisPay has no such operation: give the money back at the PSP, then resolve it as not charged"
        )
        raise Refused("operation_unknown", text, amounts(payment))
    if operation is not None and decision == "not_charged" and _may_be_sent(operation):
        raise Refused(
            "not_queried_yet", status_queries.how_to_close(payment, operation, cause), amounts(payment)
        )


def _may_be_sent(operation: Operation) -> bool:
    """Returns False once the operation was looked up, or its last step was proven not executed: either closes
    its claim. Also once it is escalated and was queried after its expiry without a response: a claim is
    refused then."""
    over = operation.escalated and (operation.last_call_at or operation.started_at) >= operation.expires_at
    return operation.open and not operation.queried and operation.refused is None and not over


def _may_have_failed(payment: Payment, operation: Operation | None) -> bool:
    """True for an operation without an outcome; and for one that moved money, while a contradiction stands: a
    sum does not show which of its parts is wrong."""
    if operation is None or operation.open:
        return operation is not None
    moved = operation.kind in {"capture", "refund"} and operation.state is OperationState.APPROVED
    return moved and bool(payment.frozen_by)


def _approved_at(operation: Operation, cause: Cause) -> datetime:
    """Returns the PSP's own time of approval, where it named one: an operator's word prolongs no
    authorization."""
    reported_at = operation.late_approval.observed_at if operation.late_approval is not None else cause.now
    return operation.approved_at or reported_at


def _most(operation: Operation) -> int:
    """Returns the most that it may have taken: the requested amount, or that of a late report."""
    reported = operation.late_approval.amount_minor if operation.late_approval is not None else None
    return operation.amount.minor if reported is None else reported


def _used(payment: Payment, operation: Operation) -> int:
    """Returns how much of it was captured or given back, or is about to be."""
    if operation.state is not OperationState.APPROVED or operation.duplicate_charge:
        return 0
    total = payment.totals
    match operation.kind:
        case "authorize":
            return total.captured + total.capturing
        case "sale" | "capture":
            others = total.captured - operation.approved_minor
            return max(total.refunded + total.refunding - others, 0)
        case "void" | "refund":
            return 0
        case _:
            assert_never(operation.kind)


def _check_amount(payment: Payment, operation: Operation, amount_minor: int) -> None:
    most = _most(operation)
    # Two external moves may be recorded as one.
    all_of_it = operation.kind in {"void", "refund"} and not operation.external
    least = most if all_of_it else min(max(_used(payment, operation), 1), most)
    if least <= amount_minor <= most:
        return
    allowed = f"{most} and nothing else" if least == most else f"{least} to {most}"
    text = (
        f"{amount_minor} was given as executed of {operation.id}, a {operation.kind} of {operation.amount.minor}; "
        f"allowed: {allowed}; what the PSP executed beyond that is given back there"
    )
    raise Refused("amount_not_possible", text, amounts(payment, amount_minor))


def _check_nothing_rests_on(payment: Payment, operation: Operation) -> None:
    """Raises `Refused` while an operation that rests on this charge was executed, or may still be."""
    waiting = [retry.operation for retry in payment.retries.values()]
    sent = [o for o in payment.operations.values() if o.state not in NOT_EXECUTED]
    resting = [o for o in sent + waiting if o.target == operation.id]
    if operation.kind == "capture" and _used(payment, operation):
        resting = [o for o in sent + waiting if o.kind == "refund" and not o.duplicate_charge]
    if resting:
        named = ", ".join(f"{o.id} of {o.amount.minor} ({o.state})" for o in resting)
        text = (
            f"{named} rests on {operation.id}: resolve what of it has no outcome first; "
            f"what was executed needs {operation.id} resolved as charged"
        )
        raise Refused("operation_in_use", text, amounts(payment))
    others = [o for o in payment.attempts if o.open and o is not operation]
    if operation.state is OperationState.APPROVED and others:
        named = ", ".join(f"{o.id} of {o.amount.minor} ({o.state})" for o in others)
        text = f"{named} may still charge: resolve {operation.id} as not charged when that has ended"
        raise Refused("attempt_in_flight", text, amounts(payment))


def _check_given_back(payment: Payment, operation: Operation) -> None:
    """Raises `Refused` where nothing else gives back the money that this operation was to give back."""
    if operation.kind not in {"void", "refund"} or (operation.external and may_give_back(payment)):
        return
    if operation.duplicate_charge:
        waiting = [retry.operation for retry in payment.retries.values()]
        others = [
            o for o in payment.operations.values() if o is not operation and o.state not in NOT_EXECUTED
        ]
        if any(o.duplicate_charge and o.target == operation.target for o in others + waiting):
            return
        whose = f"{operation.target}, charged beside another,"
    elif payment.cancel_requested:
        total = payment.totals
        if total.authorized - total.released - total.refunded + operation.approved_minor <= 0:
            return
        whose = f"{operation.target}, of a payment that was cancelled,"
    else:
        return
    text = f"{whose} still stands: give it back at the PSP, then resolve {operation.id} as charged"
    raise Refused("still_to_be_given_back", text, amounts(payment))


def _after_operator(payment: Payment, operation: Operation, cause: Cause) -> None:
    if operation.state is OperationState.APPROVED:
        others = [o for o in _charged(payment) if o is not operation]
        if others:
            _return_duplicate(payment, operation, others[0], "operator", cause)
    if payment.ended is None and not any(o.open for o in payment.attempts):
        charged = operation.state is OperationState.APPROVED
        reason = (
            "an operator decided that the customer was charged"
            if charged
            else "an operator decided that nothing was charged"
        )
        payment.end_attempts("canceled" if payment.cancel_requested else "failed", reason, cause)


def compare_charges(payment: Payment, cause: Cause) -> None:
    """Looks up both of two reported charges, and gives the late one back once the PSP has confirmed both."""
    late = next((o for o in payment.attempts if o.late_approval is not None), None)
    first = next((o for o in _charged(payment) if o is not late), None)
    if late is None or first is None:
        return
    # Neither report alone moves money (docs/adr/0010): one charge that is given back on the strength of the
    # other, which then proves to be none, leaves the merchant without.
    if late.confirmed and first.confirmed:
        if late.late_approval is not None and _is_disputed(payment, late):
            text = f"a duplicate charge, beside {first.id}, that a dispute has taken: a refund would give it back twice"
            payment.contradict(late.late_approval, text, cause, about="disputed duplicate charge")
        else:
            _return_duplicate(payment, late, first, "psp", cause)
        return
    for operation in (late, first):
        if operation.confirmed is None and not operation.confirming:
            reason = "two charges are reported: the PSP of each has to confirm it"
            payment.request_follow_up("confirm", operation, cause, reason)


def _charged(payment: Payment) -> list[Operation]:
    return [o for o in payment.attempts if o.state is OperationState.APPROVED and not o.duplicate_charge]


def _is_disputed(payment: Payment, operation: Operation) -> bool:
    return any(one.operation_id == operation.id and one.state in TAKES for one in payment.disputes.values())


def _return_duplicate(
    payment: Payment, duplicate_charge: Operation, other: Operation, by: str, cause: Cause
) -> None:
    late = duplicate_charge.late_approval
    amount_minor = late.amount_minor if late is not None else duplicate_charge.approved_minor
    payment.trigger_event(
        events.DuplicateChargeConfirmed,
        operation_id=duplicate_charge.id,
        other_operation_id=other.id,
        psp_id=late.psp_id if late is not None else duplicate_charge.psp_id,
        amount_minor=amount_minor or 0,
        by=by,
        frozen=payment.frozen_without(duplicate_charge.id),
        **cause.fields(),
    )
    _give_back_rest(payment, duplicate_charge, cause)


def return_duplicates(payment: Payment, cause: Cause) -> None:
    """Gives back what is left of duplicate charges once no open dispute holds it. A frozen payment waits for
    an operator."""
    for duplicate_charge in [
        o for o in payment.attempts if o.duplicate_charge and o.state is OperationState.APPROVED
    ]:
        if not payment.frozen:
            _give_back_rest(payment, duplicate_charge, cause)


def _give_back_rest(payment: Payment, duplicate_charge: Operation, cause: Cause) -> None:
    if (left := _left_of_duplicate(payment, duplicate_charge)) > 0:
        beside = payment.approved_attempt
        reason = f"a duplicate charge, beside {beside.id if beside else 'another'}: AegisPay gives it back"
        give_back(payment, duplicate_charge, left, cause, reason=reason, duplicate_charge=True)


def _left_of_duplicate(payment: Payment, duplicate_charge: Operation) -> int:
    """Returns how much of the charge neither is given back, nor was lost to a dispute; 0 while a dispute
    holds it."""
    waiting = [retry.operation for retry in payment.retries.values()]
    sent = [o for o in payment.operations.values() if o.state not in NOT_EXECUTED]
    left = duplicate_charge.approved_minor - sum(
        o.amount.minor for o in sent + waiting if o.target == duplicate_charge.id
    )
    for dispute in payment.disputes.values():
        if dispute.operation_id == duplicate_charge.id and dispute.state in TAKES:
            if dispute.state != "lost" or dispute.currency != payment.amount.currency:
                return 0
            left -= dispute.amount_minor
    return left
