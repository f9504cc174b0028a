"""A payment's balances: the sums that the PSP shows, those that are recorded, and those under way. Pure.

Amounts are in minor units of the payment's currency.
"""

from typing import Final, get_args

from aggregates.operation import Balances, MoveKind, Report
from aggregates.payment import Payment

MOVE_KINDS: Final[tuple[MoveKind, ...]] = get_args(MoveKind)


def is_newer(payment: Payment, balances: Balances) -> bool:
    """True if the PSP shows more than is recorded, or holds nothing of what is recorded as held. Less proves
    nothing: a late webhook has the sums of its time."""
    for kind in MOVE_KINDS:
        shown = shown_minor(balances, kind)
        known = recorded_minor(payment, kind) + under_way_minor(payment, kind)
        if shown is not None and shown > known:
            return True
    return is_hold_released(payment, balances)


def is_hold_released(payment: Payment, balances: Balances) -> bool:
    """True if the PSP holds nothing of what is recorded as held, and nothing of ours is about to change
    that."""
    return balances.held_minor == 0 and payment.totals.capturable > 0 and not is_ending(payment)


def is_ending(payment: Payment) -> bool:
    """True while a capture or void of ours may still release the rest."""
    return any(
        o.open
        for o in payment.operations.values()
        if o.kind in {"capture", "void"} and not o.duplicate_charge
    )


def shown_minor(balances: Balances, kind: MoveKind) -> int | None:
    """Returns what the PSP shows as moved in all. None: it does not report it."""
    return balances.captured_minor if kind == "capture" else balances.refunded_minor


def recorded_minor(payment: Payment, kind: MoveKind) -> int:
    """Returns what is recorded as moved in all."""
    total = payment.totals
    return total.captured if kind == "capture" else total.refunded


def under_way_minor(payment: Payment, kind: MoveKind) -> int:
    """Returns the sum of the operations that were sent, or are about to be, and have not ended. One that
    waits for its next attempt was not executed, and does not count."""
    return sum(
        o.amount.minor
        for o in payment.operations.values()
        if o.kind == kind and o.open and not o.duplicate_charge
    )


def is_current(payment: Payment, report: Report) -> bool:
    """True if the report is as new as everything known of the payment."""
    known = [o.observed_at for o in payment.operations.values() if o.observed_at is not None]
    return all(at <= report.observed_at for at in known)


def agrees(payment: Payment, kind: MoveKind, report: Report) -> bool:
    """True if the PSP's response shows in all just what is recorded, and nothing is under way that it may
    hold."""
    queried = report.source == "query" and report.balances is not None and is_current(payment, report)
    if not queried or report.balances is None or under_way_minor(payment, kind):
        return False
    return shown_minor(report.balances, kind) == recorded_minor(payment, kind)


def broken_sum(payment: Payment) -> str | None:
    """Returns which sum passes another, though each operation by itself is possible. None: no sum does."""
    total, approved = payment.totals, payment.approved_attempt
    more = 0 if approved is None else total.authorized * approved.psp.overcapture_percent // 100
    if total.captured > total.authorized + more:
        return f"captured {total.captured}, and only {total.authorized} was authorized"
    if total.refunded > total.captured:
        return f"refunded {total.refunded}, and only {total.captured} was captured"
    return None


def is_left(payment: Payment) -> bool:
    """True if money is held, and no operation under way will release it."""
    return payment.totals.capturable > 0 and not payment.authorization_expired and not is_ending(payment)
