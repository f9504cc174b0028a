"""The end of a contradiction without an operator. Invariant: it ends with its cause, by a later report of the
PSP, which the event names.
"""

from collections.abc import Callable
from typing import Final

from aggregates.balances import agrees, broken_sum
from aggregates.contradiction import Contradiction, ContradictionKey, Until
from aggregates.decision import Cause
from aggregates.operation import Operation, OperationState, Report
from aggregates.payment import Payment

S = OperationState


def settle(payment: Payment, report: Report | None, cause: Cause) -> bool:
    """Ends each contradiction that the report, or the record by now, has settled. True if it ended one."""
    ended = False
    for key, one in list(payment.contradictions.items()):
        if one.open and (reason := _ended(payment, key, one, report)) is not None:
            observed_at = report.observed_at if report is not None and report.operation_id == key[0] else None
            payment.settle(key, reason, cause, observed_at)
            ended = True
    return ended


def _ended(payment: Payment, key: ContradictionKey, one: Contradiction, report: Report | None) -> str | None:
    """Returns why the contradiction has ended; None: it has not."""
    if one.until is None:
        return None
    if (by_itself := _BY_THE_RECORD.get(one.until)) is not None:
        holds, reason = by_itself
        return reason if holds(payment) else None
    if report is None or report.observed_at <= one.observed_at:
        return None
    match one.until:
        case "stands" if _stands(payment, key[0], report):
            return f"the PSP reports again that {key[0]} was executed"
        case "received_again" if report.source == "webhook" and _is_reported_again(payment, key[0], report):
            return f"a webhook reports, as the lookup did, that {key[0]} was executed"
        case "captured_agrees" if agrees(payment, "capture", report):
            return f"the PSP shows {payment.totals.captured} as captured in all, as it is recorded"
        case "refunded_agrees" if agrees(payment, "refund", report):
            return f"the PSP shows {payment.totals.refunded} as refunded in all, as it is recorded"
    return None


def _stands(payment: Payment, name: str, report: Report) -> bool:
    """True for a query's result; and for a webhook of a PSP that has no status API."""
    operation = payment.operations[name]
    queried = report.source == "query" if operation.psp.looks_up else report.source == "webhook"
    return queried and _is_reported_executed(operation, report)


def _is_reported_again(payment: Payment, name: str, report: Report) -> bool:
    if _is_reported_executed(payment.operations[name], report):
        return True
    approved, balances = payment.approved_attempt, report.balances
    of_it = approved is not None and approved.id == name == report.operation_id
    return of_it and balances is not None and balances.captured_minor == payment.totals.captured > 0


def _is_reported_executed(operation: Operation, report: Report) -> bool:
    same = report.operation_id == operation.id and report.psp_id in {None, operation.psp_id}
    whole = (report.amount_minor, report.currency) == (operation.approved_minor, operation.amount.currency)
    return same and whole and operation.state is S.APPROVED and report.state is S.APPROVED


def _is_nothing_held(payment: Payment) -> bool:
    total = payment.totals
    return total.authorized <= total.captured + total.released


def _is_all_given_back(payment: Payment) -> bool:
    total = payment.totals
    return total.authorized <= total.released + total.refunded


def _is_no_sum_passed(payment: Payment) -> bool:
    total = payment.totals
    given_back = total.refunded + total.refunding + total.disputed
    return broken_sum(payment) is None and given_back <= total.captured


_BY_THE_RECORD: Final[dict[Until, tuple[Callable[[Payment], bool], str]]] = {
    "hold_released": (_is_nothing_held, "the PSP holds nothing of the authorization any more"),
    "given_back": (_is_all_given_back, "the merchant keeps nothing of the cancelled payment any more"),
    "sums_hold": (_is_no_sum_passed, "no sum passes another any more"),
}
