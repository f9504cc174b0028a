"""What a merchant asks of a payment that exists: capture, void, refund, cancel, and the customer's return.

All raise `Refused`, which says the rule, the amounts and what would be allowed. Amounts are in minor units; None means
all that is left.
"""

from typing import Final

from aggregates import events
from aggregates.asked import Cause, Refused
from aggregates.operation import NOT_EXECUTED, Operation, OperationState
from aggregates.payment import Payment

RETURNS_MAX: Final = 20
"""Each return is a question to the PSP, and whoever has the customer's link may load it as often as they like."""


def capture(payment: Payment, amount_minor: int | None, cause: Cause, *, final: bool) -> None:
    """`final`: the rest of the authorization is released."""
    _not_frozen(payment)
    authorization = _authorization(payment, "capture", cause)
    total = payment.sums
    under_way = payment.under_way("capture")
    if under_way and (final or not authorization.psp.multicapture or any(o.final for o in under_way)):
        text = f"{under_way[0].id} is under way, and the first capture to succeed would release the rest"
        raise Refused("capture_in_flight", text, amounts(payment))
    asked = total.capturable if amount_minor is None else amount_minor
    more = total.authorized * authorization.psp.overcapture_percent // 100
    if not total.capturable or asked > total.capturable + more:
        text = f"{asked} was asked for; at most {total.capturable + more if total.capturable else 0} can be captured"
        raise Refused("capture_exceeds_authorization", text, amounts(payment, asked))
    if "full_capture" in authorization.psp.limits and asked != total.capturable:
        text = f"{asked} was asked for; {authorization.psp.gateway} captures all of the {total.capturable}, or nothing"
        raise Refused("partial_capture_not_available", text, amounts(payment, asked))
    closes = final or not authorization.psp.multicapture or (asked >= total.capturable and not under_way)
    because = f"the merchant captures {asked} of {total.capturable}"
    payment.start(
        "capture", authorization.psp, asked, cause, because=because, target=authorization, final=closes
    )


def void(payment: Payment, cause: Cause) -> None:
    _not_frozen(payment)
    authorization = _authorization(payment, "void", cause)
    if under_way := payment.under_way("capture"):
        text = f"{under_way[0].id} is under way: void what is left when it has ended"
        raise Refused("capture_in_flight", text, amounts(payment))
    _can_void(payment, authorization)
    left = payment.sums.capturable
    because = f"the merchant voids the {left} that are left"
    payment.start("void", authorization.psp, left, cause, because=because, target=authorization)


def refund(payment: Payment, amount_minor: int | None, cause: Cause, *, reason: str | None) -> None:
    _not_frozen(payment)
    taken, total = payment.taken_by, payment.sums
    if taken is None or not total.captured:
        text = f"nothing was captured: the payment is {payment.status}"
        raise Refused("nothing_captured", text, amounts(payment, amount_minor))
    asked = total.refundable if amount_minor is None else amount_minor
    if not total.refundable or asked > total.refundable:
        text = f"{asked} was asked for; at most {total.refundable} can be refunded"
        raise Refused("refund_exceeds_captured", text, amounts(payment, asked))
    target = _refundable_target(payment, taken, asked)
    because = f"the merchant refunds {asked} of {total.refundable}"
    because += f": {reason}" if reason else ""
    payment.start("refund", taken.psp, asked, cause, because=because, target=target)


def _refundable_target(payment: Payment, taken: Operation, asked: int) -> Operation:
    """What took it, or one of its captures, the first that has so much left."""
    if "refund_of_capture" not in taken.psp.limits or taken.kind == "sale":
        return taken
    left = {o.id: o.approved_minor for o in payment.operations.values() if _is_capture(o)}
    waiting = [retry.operation for retry in payment.retries.values()]
    for operation in payment.operations.values():
        counts = operation.state not in NOT_EXECUTED or operation in waiting
        if operation.kind == "refund" and operation.target in left and counts:
            left[operation.target] -= operation.amount.minor
    fitting = next((name for name, minor in left.items() if minor >= asked), None)
    if fitting is None:
        each = ", ".join(f"{minor} of {name}" for name, minor in left.items() if minor > 0)
        text = f"{asked} was asked for; {taken.psp.gateway} refunds one capture at a time: {each}"
        raise Refused("refund_spans_captures", text, amounts(payment, asked))
    return payment.operations[fitting]


def _is_capture(operation: Operation) -> bool:
    return operation.kind == "capture" and operation.state is OperationState.APPROVED


def cancel(payment: Payment, cause: Cause) -> None:
    """Nothing is to be taken, however far it got before a capture."""
    _not_frozen(payment)
    total = payment.sums
    if total.captured or total.capturing:
        text = "it was captured, or is being captured: refund it instead"
        raise Refused("already_captured", text, amounts(payment))
    if payment.cancel_requested:
        text = f"it was cancelled before; the payment is {payment.status}, and what is taken in spite of it is given back"
        raise Refused("already_canceled", text, amounts(payment))
    if payment.taken_by is not None:
        authorization = _authorization(payment, "void", cause)
        _can_void(payment, authorization)
        payment.trigger_event(events.CancelRequested, **cause.fields())
        because = "the merchant cancelled the payment"
        payment.start(
            "void", authorization.psp, total.capturable, cause, because=because, target=authorization
        )
        return
    if payment.rejected or payment.ended is not None:
        text = f"nothing is under way, and nothing will be: the payment is {payment.status}"
        raise Refused("nothing_to_cancel", text, amounts(payment))
    payment.trigger_event(events.CancelRequested, **cause.fields())
    open_ones = [o for o in payment.attempts if o.open]
    if not open_ones:
        payment.end_attempts("canceled", "the payment was cancelled", cause)
    for operation in open_ones:
        waits = operation.state is OperationState.ACTION_REQUIRED or operation.next_step is not None
        if waits and not operation.told_to_end:
            payment.ask(operation, cause)


def _can_void(payment: Payment, authorization: Operation) -> None:
    if "no_void" not in authorization.psp.limits:
        return
    until = authorization.expires_at if payment.authorization_until is None else payment.authorization_until
    text = (
        f"{authorization.psp.gateway} has no void: what is not captured until {until.isoformat()} is released then, "
        "or capture it and refund it"
    )
    raise Refused("void_not_available", text, amounts(payment))


def customer_returned(
    payment: Payment, operation_id: str | None, cause: Cause, *, returned: dict[str, str] | None = None
) -> None:
    """From a challenge or a redirect. It proves nothing: the PSP is asked at once, unless it has told already. Where
    the next step is ours it is sent with what the customer's browser `returned`, and not without."""
    challenged = [o for o in payment.attempts if o.challenged and operation_id in {None, o.id}]
    if not challenged:
        named = f"{operation_id} has" if operation_id else "no operation of this payment has"
        known = ", ".join(o.id for o in payment.attempts if o.challenged) or "none"
        text = f"{named} sent the customer anywhere; operations that have: {known}"
        raise Refused("no_action_required", text, amounts(payment))
    operation = challenged[-1]
    if payment.returned[operation.id] >= RETURNS_MAX:
        text = f"{operation.id} was returned from {RETURNS_MAX} times; the PSP is asked again without another return"
        raise Refused("returned_too_often", text, amounts(payment))
    payment.trigger_event(events.CustomerReturned, operation_id=operation.id, **cause.fields())
    if operation.state is OperationState.ACTION_REQUIRED and operation.next_step is not None:
        ready = returned and not payment.frozen and not payment.cancel_requested
        if ready and not operation.told_to_end:
            because = "the customer is back, and the operation goes on"
            payment.ask_by("continue", operation, cause, because, returned)
    elif operation.open and operation.psp.looks_up:
        payment.ask(operation, cause, only_query=True)


def _not_frozen(payment: Payment) -> None:
    if payment.frozen:
        held = ", ".join(sorted(payment.frozen_by))
        text = f"reports about {held} contradict the record: a person has to resolve them first (resolve_payment)"
        raise Refused("payment_frozen", text, amounts(payment))


def _authorization(payment: Payment, what: str, cause: Cause) -> Operation:
    taken, total = payment.taken_by, payment.sums
    if taken is None or taken.kind != "authorize":
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
    if payment.authorization_expired or (until is not None and cause.now >= until):
        at = until.isoformat() if until and cause.now >= until else "an earlier time than was agreed"
        text = f"the authorization ended at {at}, and what was left of it is released: create another payment"
        raise Refused("authorization_expired", text, amounts(payment))
    if not total.capturable and not total.capturing:
        text = f"nothing of the authorization is left: the payment is {payment.status}"
        raise Refused(f"nothing_to_{what}", text, amounts(payment))
    return taken


def amounts(payment: Payment, requested_minor: int | None = None) -> dict[str, int]:
    """As a refusal tells them."""
    total = payment.sums
    told = {} if requested_minor is None else {"requested_minor": requested_minor}
    return told | {
        "authorized_minor": total.authorized,
        "captured_minor": total.captured,
        "refunded_minor": total.refunded,
        "disputed_minor": total.disputed,
        "reserved_minor": total.reserved,
        "capturable_minor": total.capturable,
        "refundable_minor": total.refundable,
    }
