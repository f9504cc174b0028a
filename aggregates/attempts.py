"""Attempts: the first, and whether another follows one that ended. Invariant: none starts before every earlier one is
proven not executed, and each decision says why in its event.
"""

from datetime import timedelta
from typing import Final
from uuid import UUID

from aggregates import events
from aggregates.asked import Asked, Cause
from aggregates.operation import Kind, Operation, OperationState, Report
from aggregates.payment import Payment
from aggregates.retry import PspAccount, Route

# Codes of ours for what no PSP was asked: the same request would be refused again by the same account.
_FINAL_REFUSALS: Final = frozenset(
    {
        "amount_not_expressible",
        "currency_not_supported",
        "invalid_request",
        "partial_capture_not_available",
        "statement_text_not_expressible",
        "target_unknown",
        "void_not_available",
    }
)
_CUSTOMERS: Final = {
    "FIX_INPUT": "the customer has to correct what was entered",
    "REFRESH_TOKEN": "the payment method's token has to be renewed",
}


def request(payment_id: UUID, asked: Asked, route: Route, cause: Cause) -> Payment:
    """A well-formed create always writes the stream, even when all that follows is the rejection."""
    payment = Payment._create(  # the library's own way to begin a stream
        events.Requested,
        id=payment_id,
        merchant_id=asked.merchant_id,
        idempotency_key=asked.idempotency_key,
        amount_minor=asked.amount.minor,
        currency=asked.amount.currency,
        capture=asked.capture,
        payment_method=asked.payment_method,
        stored_credential=asked.stored_credential,
        customer_id=asked.customer_id,
        country=asked.country,
        description=asked.description,
        statement_text=asked.statement_text,
        return_page=asked.return_page,
        metadata=asked.metadata,
        expires_at=asked.expires_at.isoformat(),
        **cause.fields(),
    )
    if cause.now >= asked.expires_at:
        detail = f"the command was read after its expires_at, {asked.expires_at.isoformat()}"
        _reject(payment, "expired", detail, cause)
    elif not route.accounts:
        _reject(payment, "no_psp_account", "the merchant has no PSP account that takes this payment", cause)
    else:
        because = "first attempt: the merchant's first PSP account"
        payment.start(_kind(payment), route.accounts[0], asked.amount.minor, cause, because=because)
    return payment


def _reject(payment: Payment, code: str, detail: str, cause: Cause) -> None:
    payment.trigger_event(events.Rejected, code=code, detail=detail, **cause.fields())


def _kind(payment: Payment) -> Kind:
    return "authorize" if payment.capture == "manual" else "sale"


def go_on(payment: Payment, operation: Operation, report: Report, route: Route, cause: Cause) -> None:
    """After `operation` was proven not executed."""
    if operation.taking:
        _next_attempt(payment, operation, report, route, cause)
    else:
        _same_again(payment, operation, report, route, cause)


def _next_attempt(payment: Payment, operation: Operation, report: Report, route: Route, cause: Cause) -> None:
    if payment.ended is not None or payment.taken_by is not None:
        return
    if payment.cancel_requested:
        payment.end_attempts("canceled", "the payment was cancelled", cause)
        return
    expired = report.state is OperationState.EXPIRED or report.code == "expired"
    if expired or cause.now >= payment.expires_at:
        payment.end_attempts("expired", f"its time is over: {report.code or report.state}", cause)
        return
    if (why := _final_answer(operation, report)) is not None:
        payment.end_attempts("failed", why, cause)
        return
    if operation.attempt >= route.retry.attempts_max:
        payment.end_attempts("failed", f"{operation.attempt} were made", cause)
        return
    _choose(payment, operation, report, route, cause)


def _final_answer(operation: Operation, report: Report) -> str | None:
    if report.state is OperationState.DECLINED_HARD:
        return f"the issuer or the PSP declined it for good: {report.code}"
    if report.hint in _CUSTOMERS:
        return f"{_CUSTOMERS[report.hint]}: {report.code}"
    if operation.challenged and report.state is OperationState.DECLINED_SOFT:
        return f"another one would challenge the customer again, who may be gone: {report.code}"
    if report.hint == "RETRY_WITH_3DS" and operation.three_ds:
        return f"3-D Secure was asked for and did not help: {report.code}"
    return None


def _choose(payment: Payment, operation: Operation, report: Report, route: Route, cause: Cause) -> None:
    account = operation.psp.account
    tried = {attempt.psp.account for attempt in payment.attempts}
    with_3ds = report.hint == "RETRY_WITH_3DS"
    psp = route.named(account) if with_3ds else route.after(account, tried)
    elsewhere = psp is not None and psp.account not in tried
    useless_here = report.hint == "CONFIG" or report.code in _FINAL_REFUSALS
    if psp is None or (useless_here and not elsewhere):
        payment.end_attempts("failed", f"no other PSP account may take it: {report.code}", cause)
        return
    because = f"attempt {operation.attempt + 1}: {operation.id} ended as {report.state} ({report.code})"
    if (elsewhere or with_3ds) and not payment.frozen:
        because += "; 3-D Secure is demanded" if with_3ds else "; the next of the merchant's PSP accounts"
        start_next(payment, operation, psp, cause, because=because, three_ds=with_3ds)
        return
    delay_s = route.retry.delay_s(operation.attempt, cause.jitter)
    payment.schedule_retry(
        operation,
        cause.now + timedelta(seconds=delay_s),
        psp.account,
        cause,
        because=f"{because}; again after a back-off of {delay_s:.3g} s",
        three_ds=with_3ds or operation.three_ds,
    )


def start_next(
    payment: Payment, operation: Operation, psp: PspAccount, cause: Cause, *, because: str, three_ds: bool
) -> None:
    payment.start(
        operation.kind,
        psp,
        payment.amount.minor,
        cause,
        because=because,
        three_ds=three_ds,
        retry_of=operation,
    )


def _same_again(payment: Payment, operation: Operation, report: Report, route: Route, cause: Cause) -> None:
    """A capture, void or refund runs at its payment's account only."""
    retryable = report.state in {OperationState.NOT_SENT, OperationState.PROVEN_ABSENT}
    final = report.hint == "CONFIG" or report.code in _FINAL_REFUSALS
    if retryable and not final and operation.attempt < route.retry.attempts_max:
        delay_s = route.retry.delay_s(operation.attempt, cause.jitter)
        payment.schedule_retry(
            operation,
            cause.now + timedelta(seconds=delay_s),
            operation.psp.account,
            cause,
            because=f"{operation.id} was not executed ({report.code}): again after {delay_s:.3g} s",
        )
        return
    ended = f"it ended as {report.state} ({report.code})"
    why = f"{operation.attempt} were made, and {ended}" if retryable and not final else ended
    payment.end_retries(operation, why, cause)
    if operation.extra:
        payment.contradict(report, f"an extra charge could not be given back: {why}", cause)
    elif payment.cancel_requested and operation.kind != "capture":
        text = f"what was taken of a cancelled payment could not be given back: {why}"
        payment.contradict(report, text, cause)


def retry(payment: Payment, failed: Operation, route: Route, cause: Cause) -> None:
    """What was scheduled, when it is due."""
    planned = payment.retries[failed.id]
    because = f"attempt {failed.attempt + 1}: after the back-off"
    if not failed.taking:
        assert failed.target is not None
        payment.start(
            failed.kind,
            failed.psp,
            failed.amount.minor,
            cause,
            because=because,
            target=payment.operations[failed.target],
            final=failed.final,
            extra=failed.extra,
            retry_of=failed,
        )
        return
    psp = route.named(planned.account) or next(iter(route.accounts), None)
    if cause.now >= payment.expires_at:
        payment.end_attempts("expired", "the payment has expired", cause)
    elif psp is None:
        payment.end_attempts("failed", "the merchant has no PSP account any more", cause)
    else:
        start_next(payment, failed, psp, cause, because=because, three_ds=planned.three_ds)


def honour_cancel(payment: Payment, cause: Cause) -> None:
    """What was taken in spite of a cancel that came before is given back, once; by a person's leave where it is frozen."""
    taken = payment.taken_by
    if not payment.cancel_requested or payment.frozen or taken is None:
        return
    if not any(operation.target == taken.id for operation in payment.operations.values()):
        give_back(payment, taken, cause, because="the payment was cancelled before", extra=False)


def give_back(payment: Payment, operation: Operation, cause: Cause, *, because: str, extra: bool) -> None:
    """What `operation` took, all of it."""
    kind: Kind = "void" if operation.kind == "authorize" else "refund"
    payment.start(
        kind, operation.psp, operation.approved_minor, cause, because=because, target=operation, extra=extra
    )
