"""A merchant's commands on an existing payment: capture, void, refund, cancel, and the customer's return.

All raise `Refused`, which names the rule, the amounts and what would be allowed. Amounts are in minor units;
None means all that is left.
"""

from collections.abc import Mapping
from typing import Final

from aggregates import events
from aggregates.decision import Cause, Refused
from aggregates.operation import NOT_EXECUTED, Operation, OperationState
from aggregates.payment import Payment

RETURNS_MAX: Final = 20
"""The returns of a customer that lead to a query: whoever has the customer's link may load it as often as
they like."""


def capture(payment: Payment, amount_minor: int | None, cause: Cause, *, final: bool) -> None:
    """Captures an authorization, or a part of it. `final`: the PSP releases the rest."""
    not_frozen(payment)
    authorization = _authorization(payment, "capture", cause)
    total = payment.totals
    under_way = payment.under_way("capture")
    if under_way and (final or not authorization.psp.multicapture or any(o.final for o in under_way)):
        text = f"{under_way[0].id} is under way, and the first capture to succeed would release the rest"
        raise Refused("capture_in_flight", text, amounts(payment))
    requested = total.capturable if amount_minor is None else amount_minor
    more = total.authorized * authorization.psp.overcapture_percent // 100
    if not total.capturable or requested > total.capturable + more:
        text = f"{requested} was requested; at most {total.capturable + more if total.capturable else 0} can be captured"
        raise Refused("capture_exceeds_authorization", text, amounts(payment, requested))
    if "full_capture" in authorization.psp.limits and requested != total.capturable:
        text = f"{requested} was requested; {authorization.psp.gateway} captures all of the {total.capturable}, or nothing"
        raise Refused("partial_capture_not_available", text, amounts(payment, requested))
    closes = final or not authorization.psp.multicapture or (requested >= total.capturable and not under_way)
    reason = f"the merchant captures {requested} of {total.capturable}"
    payment.start(
        "capture",
        authorization.psp,
        requested,
        cause,
        reason=reason,
        target=authorization,
        final=closes,
        final_requested=final,
    )


def void(payment: Payment, cause: Cause) -> None:
    """Releases what is authorized and not captured. Refused while a capture is under way."""
    not_frozen(payment)
    authorization = _authorization(payment, "void", cause)
    if under_way := payment.under_way("capture"):
        text = f"{under_way[0].id} is under way: void what is left when it has ended"
        raise Refused("capture_in_flight", text, amounts(payment))
    _can_void(payment, authorization)
    left = payment.totals.capturable
    reason = f"the merchant voids the {left} that are left"
    payment.start("void", authorization.psp, left, cause, reason=reason, target=authorization)


def refund(payment: Payment, amount_minor: int | None, cause: Cause, *, reason: str | None) -> None:
    """Gives back what was captured: one refund, or one for each capture where the PSP's refunds name
    captures. `reason`: the merchant's own words, which the event keeps."""
    not_frozen(payment)
    approved, total = payment.approved_attempt, payment.totals
    if approved is None or not total.captured:
        text = f"nothing was captured: the payment is {payment.status}"
        raise Refused("nothing_captured", text, amounts(payment, amount_minor))
    requested = total.refundable if amount_minor is None else amount_minor
    if not total.refundable or requested > total.refundable:
        held = f": a dispute has taken {total.disputed} of it" if total.disputed else ""
        text = f"{requested} was requested; at most {total.refundable} can be refunded{held}"
        raise Refused("refund_exceeds_captured", text, amounts(payment, requested))
    targets = _refundable_targets(payment, approved, requested)
    for number, (target, minor) in enumerate(targets, 1):
        text = f"the merchant refunds {requested} of {total.refundable}"
        text += f", part {number} of {len(targets)}" if len(targets) > 1 else ""
        text += f": {reason}" if reason else ""
        payment.start("refund", approved.psp, minor, cause, reason=text, target=target)


def _refundable_targets(payment: Payment, approved: Operation, requested: int) -> list[tuple[Operation, int]]:
    """Returns the operation that took the payment; or, where a refund names a capture, captures with what is
    to be given back of each: one with just that much left, else the first with enough, else as few as
    possible."""
    if "refund_of_capture" not in approved.psp.limits or approved.kind == "sale":
        return [(approved, requested)]
    left = {o.id: o.approved_minor for o in payment.operations.values() if _is_capture(o)}
    waiting = [retry.operation for retry in payment.retries.values()]
    for operation in payment.operations.values():
        counts = operation.state not in NOT_EXECUTED or operation in waiting
        if operation.kind == "refund" and operation.target in left and counts:
            left[operation.target] -= operation.amount.minor
    parts, rest = [], requested
    for name in _fitting(left, requested):
        minor = min(left[name], rest)
        parts.append((payment.operations[name], minor))
        rest -= minor
    if rest:
        each = ", ".join(f"{minor} of {name}" for name, minor in left.items() if minor > 0)
        text = f"{requested} was requested; of the captures that are known here there is left: {each or 'nothing'}"
        raise Refused("refund_exceeds_captured", text, amounts(payment, requested))
    return parts


def _fitting(left: Mapping[str, int], requested: int) -> list[str]:
    """Returns the captures to refund `requested` from; together they may have less left."""
    exact = [name for name, minor in left.items() if minor == requested]
    enough = [name for name, minor in left.items() if minor >= requested]
    if exact or enough:
        return (exact or enough)[:1]
    chosen, rest = [], requested
    for name in sorted(left, key=lambda name: -left[name]):
        if rest > 0 and left[name] > 0:
            chosen.append(name)
            rest -= left[name]
    return chosen


def _is_capture(operation: Operation) -> bool:
    return operation.kind == "capture" and operation.state is OperationState.APPROVED


def cancel(payment: Payment, cause: Cause) -> None:
    """Cancels the payment: nothing is to be taken, however far it got before a capture."""
    not_frozen(payment)
    total = payment.totals
    if total.captured or total.capturing:
        text = "it was captured, or is being captured: refund it instead"
        raise Refused("already_captured", text, amounts(payment))
    if payment.cancel_requested:
        text = f"it was cancelled before; the payment is {payment.status}, and what is taken in spite of it is given back"
        raise Refused("already_canceled", text, amounts(payment))
    if payment.approved_attempt is not None:
        authorization = _authorization(payment, "void", cause)
        _can_void(payment, authorization)
        payment.trigger_event(events.CancelRequested, **cause.fields())
        reason = "the merchant cancelled the payment"
        payment.start("void", authorization.psp, total.capturable, cause, reason=reason, target=authorization)
        return
    if payment.rejected or payment.ended is not None:
        text = f"nothing is under way, and nothing will be: the payment is {payment.status}"
        raise Refused("nothing_to_cancel", text, amounts(payment))
    payment.trigger_event(events.CancelRequested, **cause.fields())
    open_ones = [o for o in payment.attempts if o.open]
    if not open_ones:
        payment.end_attempts("canceled", "the merchant cancelled the payment", cause)
    for operation in open_ones:
        waiting = {OperationState.ACTION_REQUIRED, OperationState.UNREACHED}
        waits = operation.state in waiting or operation.next_step is not None
        if waits and not operation.cancel_sent:
            payment.follow_up(operation, cause)


def _can_void(payment: Payment, authorization: Operation) -> None:
    if "no_void" not in authorization.psp.limits:
        return
    until = authorization.expires_at if payment.authorization_until is None else payment.authorization_until
    text = (
        f"{authorization.psp.gateway} has no void: it releases at {until.isoformat()} what is not captured by then; "
        "or capture it and refund it"
    )
    raise Refused("void_not_available", text, amounts(payment))


def customer_returned(
    payment: Payment, operation_id: str | None, cause: Cause, *, returned: dict[str, str] | None = None
) -> None:
    """Records that the customer came back from a challenge. It proves nothing: AegisPay queries the PSP at
    once, unless it has reported already. Where the next step is ours, AegisPay sends it only with what the
    customer's browser `returned`."""
    challenged = [o for o in payment.attempts if o.challenged and operation_id in {None, o.id}]
    if not challenged:
        named = f"{operation_id} has not" if operation_id else "no operation of this payment has"
        known = ", ".join(o.id for o in payment.attempts if o.challenged) or "none"
        text = f"{named} sent the customer anywhere; operations that have: {known}"
        raise Refused("no_action_required", text, amounts(payment))
    operation = challenged[-1]
    if payment.returned[operation.id] >= RETURNS_MAX:
        text = f"{operation.id} was returned from {RETURNS_MAX} times; the PSP is queried again without another return"
        raise Refused("returned_too_often", text, amounts(payment))
    payment.trigger_event(events.CustomerReturned, operation_id=operation.id, **cause.fields())
    if operation.state is OperationState.ACTION_REQUIRED and operation.next_step is not None:
        ready = returned and not payment.frozen and not payment.cancel_requested
        if ready and not operation.cancel_sent:
            reason = "the customer is back, and the operation goes on"
            payment.request_follow_up("continue", operation, cause, reason, returned)
    elif operation.open and operation.psp.looks_up:
        payment.follow_up(operation, cause, only_query=True)


def not_frozen(payment: Payment) -> None:
    """Raises `Refused` while only an operator may start what moves money."""
    if payment.frozen:
        held = ", ".join(sorted(payment.frozen_by))
        text = f"reports about {held} contradict the record: an operator has to resolve them first (resolve_payment)"
        if not held:
            text = f"{payment.dispute_contradicts}: an operator has to look (resolve_dispute)"
        raise Refused("payment_frozen", text, amounts(payment))


def _authorization(payment: Payment, what: str, cause: Cause) -> Operation:
    approved, total = payment.approved_attempt, payment.totals
    if approved is None or approved.kind != "authorize":
        if total.captured:
            raise Refused(
                f"nothing_to_{what}", "it was captured at once: refund it instead", amounts(payment)
            )
        text = f"it is not authorized: the payment is {payment.status}"
        raise Refused("not_authorized", text, amounts(payment))
    if total.voiding:
        text = f"what is left is being voided: {what} it if that fails"
        raise Refused("void_in_flight", text, amounts(payment))
    until = payment.authorization_until
    over = until is not None and cause.now >= until
    if payment.authorization_expired or (over and what == "capture"):
        at = until.isoformat() if until and over else "an earlier time than was agreed"
        left = "is released" if payment.authorization_expired else "is being released at the PSP"
        text = f"the authorization ended at {at}, and what was left of it {left}: create another payment"
        raise Refused("authorization_expired", text, amounts(payment))
    if not total.capturable and not total.capturing:
        text = f"nothing of the authorization is left: the payment is {payment.status}"
        raise Refused(f"nothing_to_{what}", text, amounts(payment))
    return approved


def amounts(payment: Payment, requested_minor: int | None = None) -> dict[str, int]:
    """Returns the amounts that a refusal shows."""
    total = payment.totals
    shown = {} if requested_minor is None else {"requested_minor": requested_minor}
    return shown | {
        "authorized_minor": total.authorized,
        "captured_minor": total.captured,
        "refunded_minor": total.refunded,
        "disputed_minor": total.disputed,
        "reserved_minor": total.reserved,
        "capturable_minor": total.capturable,
        "refundable_minor": total.refundable,
    }
