"""What is not known, and who decides it: questions to the PSP, two charges for one payment, a person's word.

Invariant: an extra charge is given back only when the PSP, or a person, has confirmed both.
"""

from datetime import datetime
from typing import assert_never

from aggregates import events
from aggregates.asked import Cause, Refused
from aggregates.attempts import give_back, honour_cancel
from aggregates.merchant import amounts
from aggregates.operation import NOT_EXECUTED, Operation, OperationState
from aggregates.payment import Payment

_JUST_NOW_S = 5.0


def ask_now(payment: Payment, operation_id: str | None, cause: Cause) -> None:
    """Raises `Refused`."""
    open_ones = [o for o in payment.operations.values() if o.open and operation_id in {None, o.id}]
    if not open_ones:
        named = f"{operation_id} is not" if operation_id else "no operation is"
        text = (
            f"{named} waiting for its outcome; the payment is {payment.status}; operations without an outcome: "
            f"{_without_outcome(payment)}"
        )
        raise Refused("nothing_in_doubt", text, amounts(payment))
    told, open_ones = open_ones[0], [o for o in open_ones if not o.only_told]
    if not open_ones:
        text = f"{told.psp.gateway} cannot be asked how {told.id} stands: its webhook, or its customer, tells"
        raise Refused("told_by_webhook_only", text, amounts(payment))
    since = min((cause.now - (o.last_news_at or o.started_at)).total_seconds() for o in open_ones)
    if since < _JUST_NOW_S:
        text = f"the PSP was asked {since:.1f} s ago; ask again after {_JUST_NOW_S} s"
        raise Refused("asked_just_now", text, amounts(payment))
    for operation in open_ones:
        # A look-up closes the step. Where there is none, only a person who was called may do that.
        payment.ask(operation, cause, only_query=operation.psp.looks_up or operation.person_asked)


def resolve(
    payment: Payment,
    operation_id: str,
    decision: str,
    amount_minor: int | None,
    *,
    evidence: str,
    who: str,
    cause: Cause,
) -> None:
    """A person's decision: `charged` (executed) or `not_charged`. Raises `Refused`."""
    operation = payment.operations.get(operation_id)
    _check(payment, operation_id, operation, decision)
    if operation is not None:
        if decision == "not_charged":
            _check_nothing_rests_on(payment, operation)
            _check_given_back(payment, operation)
        elif amount_minor is not None:
            _check_amount(payment, operation, amount_minor)
        if amount_minor is None:
            amount_minor = operation.approved_minor or _most(operation)
    payment.trigger_event(
        events.Resolved,
        operation_id=operation_id,
        decision=decision,
        amount_minor=amount_minor or 0,
        approved_at=_approved_at(operation, cause).isoformat()
        if decision == "charged" and operation
        else None,
        evidence=evidence,
        who=who,
        frozen=bool(payment.frozen_by - {operation_id}),
        **cause.fields(),
    )
    if operation is not None and operation.taking:
        _after_person(payment, operation, cause)
    honour_cancel(payment, cause)


def _check(payment: Payment, operation_id: str, operation: Operation | None, decision: str) -> None:
    if operation_id not in payment.frozen_by and (operation is None or not operation.open):
        held = ", ".join(sorted(payment.frozen_by)) or "none"
        text = (
            f"{operation_id} is not in doubt; operations without an outcome: {_without_outcome(payment)}; "
            f"with reports that contradict the record: {held}"
        )
        raise Refused("not_in_doubt", text, amounts(payment))
    if operation is None and decision == "charged":
        text = (
            "AegisPay has no such operation: give the money back at the PSP, then resolve it as not charged"
        )
        raise Refused("operation_unknown", text, amounts(payment))
    if operation is not None and operation.open and decision == "not_charged" and not operation.queried:
        text = (
            "the PSP was not looked up yet, so the call may still be repeated: send retry_status_query first"
        )
        raise Refused("not_asked_yet", text, amounts(payment))


def _approved_at(operation: Operation, cause: Cause) -> datetime:
    """As the PSP said it, where it did: a person's word prolongs no authorization."""
    said_at = operation.late.observed_at if operation.late is not None else cause.now
    return operation.approved_at or said_at


def _most(operation: Operation) -> int:
    """What it may have taken: what was asked for, or what a late report says."""
    said = operation.late.amount_minor if operation.late is not None else None
    return operation.amount.minor if said is None else said


def _used(payment: Payment, operation: Operation) -> int:
    """How much of it was captured, or given back, or is about to be."""
    if operation.state is not OperationState.APPROVED or operation.extra:
        return 0
    total = payment.sums
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
    all_of_it = operation.kind in {"void", "refund"}
    least = most if all_of_it else min(max(_used(payment, operation), 1), most)
    if least <= amount_minor <= most:
        return
    allowed = f"{most} and nothing else" if least == most else f"{least} to {most}"
    text = (
        f"{amount_minor} was said to be executed of {operation.id}, a {operation.kind} of {operation.amount.minor}; "
        f"allowed: {allowed}; what the PSP executed beyond that is given back there"
    )
    raise Refused("amount_not_possible", text, amounts(payment, amount_minor))


def _check_nothing_rests_on(payment: Payment, operation: Operation) -> None:
    """What was asked of the PSP on the strength of a charge may still be executed, or was."""
    waiting = [retry.operation for retry in payment.retries.values()]
    asked = [o for o in payment.operations.values() if o.state not in NOT_EXECUTED]
    resting = [o for o in asked + waiting if o.target == operation.id]
    if operation.kind == "capture" and _used(payment, operation):
        resting = [o for o in asked + waiting if o.kind == "refund" and not o.extra]
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
    """Money that was promised back is not forgotten because the operation that should bring it back has failed."""
    if operation.kind not in {"void", "refund"}:
        return
    if operation.extra:
        waiting = [retry.operation for retry in payment.retries.values()]
        others = [
            o for o in payment.operations.values() if o is not operation and o.state not in NOT_EXECUTED
        ]
        if any(o.extra and o.target == operation.target for o in others + waiting):
            return
        whose = f"{operation.target}, charged beside another,"
    elif payment.cancel_requested:
        total = payment.sums
        if total.authorized - total.released - total.refunded <= 0:
            return
        whose = f"{operation.target}, of a payment that was cancelled,"
    else:
        return
    text = f"{whose} still stands: give it back at the PSP, then resolve {operation.id} as charged"
    raise Refused("still_to_be_given_back", text, amounts(payment))


def _after_person(payment: Payment, operation: Operation, cause: Cause) -> None:
    if operation.state is OperationState.APPROVED:
        others = [o for o in _charged(payment) if o is not operation]
        if others:
            _give_back_extra(payment, operation, others[0], "person", cause)
    if payment.ended is None and not any(o.open for o in payment.attempts):
        charged = operation.state is OperationState.APPROVED
        why = (
            "a person decided that the customer was charged"
            if charged
            else "a person decided that nothing was charged"
        )
        payment.end_attempts("canceled" if payment.cancel_requested else "failed", why, cause)


def weigh(payment: Payment, cause: Cause) -> None:
    """Where two charges were reported, both are looked up; where both are confirmed, the late one is given back."""
    late = next((o for o in payment.attempts if o.late is not None), None)
    first = next((o for o in _charged(payment) if o is not late), None)
    if late is None or first is None:
        return
    if late.confirmed and first.confirmed:
        _give_back_extra(payment, late, first, "psp", cause)
        return
    for operation in (late, first):
        if operation.confirmed is None and not operation.confirming:
            because = "two charges were reported: each has to be confirmed by the PSP"
            payment.ask_by("confirm", operation, cause, because)


def _without_outcome(payment: Payment) -> str:
    return ", ".join(o.id for o in payment.operations.values() if o.open) or "none"


def _charged(payment: Payment) -> list[Operation]:
    return [o for o in payment.attempts if o.state is OperationState.APPROVED and not o.extra]


def _give_back_extra(payment: Payment, extra: Operation, other: Operation, by: str, cause: Cause) -> None:
    late = extra.late
    amount_minor = late.amount_minor if late is not None else extra.approved_minor
    payment.trigger_event(
        events.ExtraChargeConfirmed,
        operation_id=extra.id,
        other_operation_id=other.id,
        psp_id=late.psp_id if late is not None else extra.psp_id,
        amount_minor=amount_minor or 0,
        by=by,
        frozen=bool(payment.frozen_by - {extra.id}),
        **cause.fields(),
    )
    because = f"an extra charge, beside {other.id}: it is given back"
    give_back(payment, extra, cause, because=because, extra=True)
