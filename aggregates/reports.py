"""What a gateway worker, a webhook or a query says of an operation. A repeat changes nothing.

Invariant: what contradicts the record is recorded beside it and never into a sum; it freezes the payment.
"""

from dataclasses import replace

from aggregates import events
from aggregates.asked import Cause
from aggregates.attempts import go_on, honour_cancel
from aggregates.doubt import weigh
from aggregates.operation import (
    CANCEL_STEP,
    CHALLENGE_OPEN,
    ENDED,
    NOT_EXECUTED,
    Operation,
    OperationState,
    Report,
)
from aggregates.payment import Payment
from aggregates.retry import Route

S = OperationState


def take(payment: Payment, report: Report, route: Route, cause: Cause) -> None:
    operation = payment.operations.get(report.operation_id)
    if operation is None:
        payment.contradict(report, "the payment has no such operation", cause)
        return
    if _of_an_earlier_step(operation, report) and not _is_of_another(operation, report):
        return
    if operation.open and operation.told_to_end and report.state is S.ACTION_REQUIRED:
        if not _is_later(operation, report):
            return
        report = replace(report, state=S.UNKNOWN, code=CHALLENGE_OPEN)
    if (why := _contradiction(payment, operation, report)) is not None:
        late = operation.taking and report.state is S.APPROVED and _fits(operation, report)
        payment.contradict(report, why, cause, late_charge=late and operation.state is not S.APPROVED)
        weigh(payment, cause)
    elif operation.confirming and report.source == "query":
        if report.state in ENDED and _is_later(operation, report):
            payment.confirm(report, cause)
            if _lapsed(payment, operation, report):
                expire_authorization(payment, operation, _as_told(report), cause)
            weigh(payment, cause)
    elif _lapsed(payment, operation, report):
        _take_lapse(payment, operation, report, cause)
    elif _failed_since(payment, operation, report):
        _doubt_the_approval(payment, operation, report, cause)
    elif _is_hint(operation, report):
        _ask_instead(payment, operation, cause)
    elif operation.takes(report.state) or _is_news(operation, report):
        _take(payment, operation, report, route, cause)


def _take(payment: Payment, operation: Operation, report: Report, route: Route, cause: Cause) -> None:
    payment.outcome(_with_amount(operation, report), cause)
    if report.state in NOT_EXECUTED:
        go_on(payment, operation, report, route, cause)
    elif report.state is S.PENDING and report.next_step is not None and not payment.frozen:
        payment.ask(operation, cause)
    elif report.state is S.ACTION_REQUIRED:
        over = payment.cancel_requested or operation.challenge_over(report.observed_at)
        if over and (operation.psp_id is not None or operation.next_step is not None):
            payment.ask(operation, cause)
    elif report.state is S.APPROVED:
        honour_cancel(payment, cause)
    if report.state is S.APPROVED and (why := _broken_sum(payment, operation)) is not None:
        payment.contradict(report, why, cause)
    weigh(payment, cause)


def _of_an_earlier_step(operation: Operation, report: Report) -> bool:
    """The operation has gone on since, and what became of that step is in what it went on with."""
    if report.next_step is not None:
        return report.next_step <= operation.step
    gone_on = report.step != CANCEL_STEP and report.step < operation.step
    return gone_on and report.source != "webhook" and report.state is not S.APPROVED


def _is_of_another(operation: Operation, report: Report) -> bool:
    """Where nobody can be asked, a second authorization for one operation has to be seen in what is told of it."""
    told = report.source == "webhook" and not operation.psp.looks_up and report.next_step is not None
    return told and operation.psp_id is not None and report.psp_id not in {None, operation.psp_id}


def _is_hint(operation: Operation, report: Report) -> bool:
    """What ends an operation, or approves one of another id, is asked for, where the PSP can be asked."""
    if report.source != "webhook" or not operation.psp.looks_up:
        return False
    if report.state is S.APPROVED:
        # Where several calls make one payment, the PSP has to name it as the one that we began.
        ours = operation.psp.completed_by == "psp" and operation.psp_id in {None, report.psp_id}
        return operation.open and not ours
    return report.state in NOT_EXECUTED or report.state is S.UNKNOWN


def _failed_since(payment: Payment, operation: Operation, report: Report) -> bool:
    """A webhook says that what was approved has failed: a refund that the bank sent back, a capture that did not settle."""
    told = report.source == "webhook" and report.state in NOT_EXECUTED and operation.state is S.APPROVED
    return told and _is_later(operation, report) and not _lapsed_or_released(payment, operation, report)


def _doubt_the_approval(payment: Payment, operation: Operation, report: Report, cause: Cause) -> None:
    if not operation.psp.looks_up:
        payment.contradict(report, f"{report.state} at the PSP, after it was approved", cause)
    elif not operation.confirming:
        because = (
            f"a webhook says {report.state} ({report.code}) of what was approved: it has to be confirmed"
        )
        payment.ask_by("confirm", operation, cause, because)


def _contradiction(payment: Payment, operation: Operation, report: Report) -> str | None:
    if report.state is not S.APPROVED:
        if _is_of_another(operation, report):
            return "authorized twice: another id at the PSP for one operation"
        if report.next_step is not None and not _is_for_its_money(operation, report):
            return "authorized for another amount or currency than was asked for"
        declined = operation.state in {S.DECLINED_SOFT, S.DECLINED_HARD}
        if declined and report.next_step is not None and _is_later(operation, report):
            return f"authorized at the PSP, after it was recorded as {operation.state}"
        # Of two charges, one may prove to be none: that is weighed.
        weighed = operation.confirming and any(o.late is not None for o in payment.attempts)
        gone = report.source == "query" and report.state in NOT_EXECUTED and not weighed
        gone = gone and _is_later(operation, report)
        absent = operation.state in {S.NOT_SENT, S.PROVEN_ABSENT} and _is_later(operation, report)
        if absent and report.state in {S.ACTION_REQUIRED, S.PENDING}:
            return f"{report.state} at the PSP, after it was recorded as {operation.state}"
        if operation.state is S.APPROVED and gone and not _lapsed_or_released(payment, operation, report):
            return "the PSP no longer knows what it had approved"
        return None
    if not _fits(operation, report):
        return "approved for another amount or currency than was asked for"
    if operation.state is S.APPROVED:
        if report.psp_id not in {None, operation.psp_id}:
            return "executed twice: another id at the PSP for one operation"
        if operation.kind != "void" and report.amount_minor != operation.approved_minor:
            return "approved again, for another amount"
        return None
    if operation.late is not None:
        return None
    if operation.state in NOT_EXECUTED:
        return f"approved, after it was recorded as {operation.state}"
    if operation.taking and payment.taken_by is not None:
        return f"approved, beside {payment.taken_by.id}"
    return None


def _fits(operation: Operation, report: Report) -> bool:
    """A part of what was asked for may be approved, but not of a refund. What a void releases is the PSP's to say."""
    if report.currency != operation.amount.currency or report.amount_minor is None:
        return operation.kind == "void" and report.currency in {None, operation.amount.currency}
    if operation.kind == "void":
        return True
    if operation.kind == "refund":
        return report.amount_minor == operation.amount.minor
    return 0 < report.amount_minor <= operation.amount.minor


def _is_for_its_money(operation: Operation, report: Report) -> bool:
    amount = report.amount_minor in {None, operation.amount.minor}
    return amount and report.currency in {None, operation.amount.currency}


def _with_amount(operation: Operation, report: Report) -> Report:
    if operation.kind != "void" or report.state is not S.APPROVED:
        return report
    return replace(report, amount_minor=operation.amount.minor, currency=operation.amount.currency)


def _lapsed(payment: Payment, operation: Operation, report: Report) -> bool:
    """The PSP let an authorization go that is not yet captured: no report says so before it was approved."""
    total = payment.sums
    return (
        operation is payment.taken_by
        and operation.kind == "authorize"
        and report.state is S.EXPIRED
        and report.psp_id in {None, operation.psp_id}
        and not payment.authorization_expired
        and (total.capturable > 0 or total.capturing > 0 or total.voiding)
    )


def _take_lapse(payment: Payment, operation: Operation, report: Report, cause: Cause) -> None:
    """A webhook's word is confirmed first; while we void, the void's own answer tells more."""
    if report.source != "webhook" or not operation.psp.looks_up:
        expire_authorization(payment, operation, _as_told(report), cause)
    elif not payment.sums.voiding and not operation.confirming:
        because = "a webhook says that the authorization is gone: it has to be confirmed"
        payment.ask_by("confirm", operation, cause, because)


def _as_told(report: Report) -> str:
    return f"the PSP says {report.state} ({report.code})"


def _lapsed_or_released(payment: Payment, operation: Operation, report: Report) -> bool:
    released = operation.kind == "authorize" and report.state is S.EXPIRED
    return _lapsed(payment, operation, report) or released or operation.extra


def expire_authorization(payment: Payment, operation: Operation, because: str, cause: Cause) -> None:
    payment.trigger_event(
        events.AuthorizationExpired,
        operation_id=operation.id,
        released_minor=payment.sums.capturable,
        because=because,
        **cause.fields(),
    )


def _ask_instead(payment: Payment, operation: Operation, cause: Cause) -> None:
    just_asked = operation.asked and operation.last_news_at == cause.now
    if operation.open and not just_asked:
        payment.ask(operation, cause, only_query=True)


def _is_later(operation: Operation, report: Report) -> bool:
    """Than all that was known when the question was asked: an answer that comes again confirms nothing."""
    known = [operation.observed_at, operation.late.observed_at if operation.late is not None else None]
    return all(report.observed_at > at for at in known if at is not None)


def _is_news(operation: Operation, report: Report) -> bool:
    """An answer to a question that leaves the state as it was, e.g. still unknown: it moves the next question."""
    same = operation.state is report.state and operation.open
    return same and (operation.observed_at is None or report.observed_at > operation.observed_at)


def _broken_sum(payment: Payment, operation: Operation) -> str | None:
    total = payment.sums
    more = total.authorized * operation.psp.overcapture_percent // 100
    if total.captured > total.authorized + more:
        return f"captured {total.captured}, and only {total.authorized} was authorized"
    if total.refunded + total.disputed > total.captured:
        return (
            f"refunded {total.refunded} and disputed {total.disputed}, and only {total.captured} was captured"
        )
    return None


def dispute(
    payment: Payment,
    *,
    dispute_id: str,
    operation_id: str,
    state: str,
    amount_minor: int,
    currency: str,
    reason: str | None,
    respond_by: str | None,
    observed_at: str,
    cause: Cause,
) -> None:
    """Recorded as the PSP says it; frozen where it passes what was captured. A dispute that is over does not reopen."""
    before = payment.disputes.get(dispute_id)
    if before is not None and (before[0] != "opened" or before[0] == state):
        return
    total = payment.sums
    others = total.disputed - (before[1] if before is not None else 0)
    contradicts = None
    if currency != payment.amount.currency:
        contradicts = f"disputed in {currency}, paid in {payment.amount.currency}"
    elif state != "won" and amount_minor + others + total.refunded > total.captured:
        contradicts = f"disputed {amount_minor}, of {total.captured} captured and {total.refunded} refunded"
    payment.trigger_event(
        events.DisputeChanged,
        dispute_id=dispute_id,
        operation_id=operation_id,
        state=state,
        amount_minor=amount_minor,
        currency=currency,
        reason=reason,
        respond_by=respond_by,
        observed_at=observed_at,
        contradicts=contradicts,
        **cause.fields(),
    )
