"""Attempts: the first, and whether another follows one that ended. Invariant: none starts before every
earlier one is proven not executed, and each decision records its reason in its event.
"""

from collections.abc import Sequence
from datetime import timedelta
from typing import Final
from uuid import UUID

from aggregates import events, hooks
from aggregates.decision import Cause, PaymentRequest
from aggregates.external_moves import query_after_refusal
from aggregates.final_refusals import final_refusal, is_final_here, refused_by
from aggregates.money import WITHDRAWN
from aggregates.operation import FIRST_STEP, Kind, Operation, OperationState, Report
from aggregates.payment import Payment
from aggregates.payment_state import Retry
from aggregates.routing.accounts import PspAccount
from aggregates.routing.choice import Decision
from aggregates.routing.payment_facts import payment_facts
from aggregates.routing.retries import after, for_now_delay_s, unreached_at, unreached_delay_s
from aggregates.routing.route import Route

BY_OPERATOR: Final = "resolved"
"""The code of an operator's decision on an operation."""

_TRIES_IN_TURN: Final = 4
"""The tries that each account gets, when none of several reaches its PSP, before the next takes its turn."""


def request(
    payment_id: UUID,
    requested: PaymentRequest,
    route: Route,
    cause: Cause,
    verdicts: Sequence[hooks.Verdict] = (),
) -> Payment:
    """Starts a payment, unless a hook's verdict denies or holds it. A well-formed create always writes the
    stream, even when all that follows is the rejection."""
    payment = Payment._create(  # the library's own way to begin a stream
        events.Requested,
        id=payment_id,
        amount_minor=requested.amount.minor,
        currency=requested.amount.currency,
        **requested.shared(),
        expires_at=requested.expires_at.isoformat(),
        **cause.fields(),
    )
    hooks.record(payment, verdicts, cause)
    # The time is checked first: a weekend's backlog of creates charges nobody on Monday.
    gone = WITHDRAWN.get(requested.amount.currency)
    if cause.now >= requested.expires_at:
        detail = f"the command was read after its expires_at, {requested.expires_at.isoformat()}"
        reject(payment, "expired", detail, cause)
    elif gone is not None and cause.now.date() >= gone.since:
        currency = requested.amount.currency
        detail = f"{currency} was withdrawn from ISO 4217 on {gone.since}: pay in {gone.successor}"
        reject(payment, "currency_withdrawn", detail, cause)
    elif (no := hooks.denial(verdicts)) is not None:
        reject(payment, no.code, no.detail, cause)
    elif route.accounts and (held := hooks.held_because(verdicts)) is not None:
        hooks.hold(payment, held, cause)
    else:
        begin(payment, route, cause)
    return payment


def begin(payment: Payment, route: Route, cause: Cause) -> None:
    """Starts the first attempt. Where no account can take it for now, the payment waits for one until it
    expires; where none ever can, it is rejected."""
    decision = decide(payment, route, cause, 1)
    if not route.accounts:
        reject(payment, "no_psp_account", route.none_because, cause, decision)
        return
    expired = cause.now >= payment.expires_at
    if decision.account is not None and not expired:
        psp = _named(route, decision)
        assert psp is not None, "a decision names one of the route's accounts"
        kind, minor = _kind(payment), payment.amount.minor
        payment.start(
            kind,
            psp,
            minor,
            cause,
            reason=f"first attempt: {decision.words}",
            ends_unreached=moves_on(payment, psp, 0, route),
            decision=decision.record(),
            probe=decision.probe,
        )
    elif decision.may_pass and not expired:
        _await_account(payment, decision, cause)
    elif expired:
        text = f"no PSP account could take it before its expires_at: {decision.reasons or 'one can now'}"
        reject(payment, "expired", text, cause, decision)
    else:
        reject(payment, "no_psp_account", f"no PSP account may take it: {decision.reasons}", cause, decision)


def decide(payment: Payment, route: Route, cause: Cause, attempt: int) -> Decision:
    """Chooses the account of the attempt of this number."""
    tried = [one.psp.account for one in payment.attempts]
    facts, refused = payment_facts(payment, attempt), refused_by(payment.attempts)
    return route.decide(facts, tried, cause.now, cause.fees, payment.routing_hints, refused=refused)


def _await_account(payment: Payment, decision: Decision, cause: Cause) -> None:
    waited = payment.awaits_account
    tries = 1 if waited is None else waited.tries + 1
    waited_s = (cause.now - payment.requested_at).total_seconds()
    delay_s = unreached_delay_s(tries, waited_s, cause.jitter, customer_waits=False)
    at, wait_s = after(cause.now, delay_s, payment.expires_at)
    payment.trigger_event(
        events.AccountAwaited,
        retry_at=at.isoformat(),
        tries=tries,
        reason=f"no PSP account may take it for now: {decision.reasons}; again after {wait_s:.3g} s",
        decision=decision.record(),
        **cause.fields(),
    )


def moves_on(payment: Payment, psp: PspAccount, unreached: int, route: Route) -> bool:
    """True if an attempt at `psp` that reaches nobody is to end, since another account may take the payment:
    one not tried yet, or, after some tries, the next in turn. `unreached`: the tries in a row that reached
    nobody."""
    tried = {attempt.psp.account for attempt in payment.attempts}
    useless = {psp.account, *refused_by(payment.attempts)}
    others = [account for account in route.accounts if account.account not in useless]
    # The last of an account's tries in turn needs proof: if it reaches nobody, the agent closes its claim.
    # Only a closed claim proves that this attempt can never charge, and lets the next account begin.
    in_turn = unreached % _TRIES_IN_TURN == _TRIES_IN_TURN - 1
    return any(in_turn or account.account not in tried for account in others)


def wait_unreached(payment: Payment, operation: Operation, report: Report, cause: Cause) -> None:
    """Schedules the next try of a call that reached nobody, or a PSP that was not available and did
    nothing."""
    waited_s = (cause.now - operation.started_at).total_seconds()
    delay_s = unreached_delay_s(
        operation.unreached + 1, waited_s, cause.jitter, customer_waits=operation.is_charge_attempt
    )
    what = "the PSP was not available" if report.source == "call" else "AegisPay reached nobody"
    at = unreached_at(cause.now, delay_s, operation.expires_at)
    reason = f"{what} ({report.code_text}): again after {(at - cause.now).total_seconds():.3g} s"
    payment.wait_unreached(report, at, reason, cause)
    # The cancel came while it was on its way: its claim is closed now, and no try follows.
    if payment.cancel_requested and operation.is_charge_attempt:
        payment.follow_up(operation, cause)


def follow_up_again(payment: Payment, operation: Operation, route: Route, cause: Cause) -> None:
    """Requests the call that is due for an operation that has not ended."""
    first = operation.is_charge_attempt and operation.step == FIRST_STEP
    ends = first and moves_on(payment, operation.psp, operation.unreached, route)
    payment.follow_up(operation, cause, ends_unreached=ends)


def reject(payment: Payment, code: str, detail: str, cause: Cause, decision: Decision | None = None) -> None:
    """Ends a payment of which nothing was started. `decision`: by which no account was left."""
    recorded = None if decision is None else decision.record()
    payment.trigger_event(events.Rejected, code=code, detail=detail, decision=recorded, **cause.fields())


def _kind(payment: Payment) -> Kind:
    return "authorize" if payment.capture == "manual" else "sale"


def go_on(payment: Payment, operation: Operation, report: Report, route: Route, cause: Cause) -> None:
    """Starts or schedules what follows once `operation` was proven not executed."""
    if operation.is_charge_attempt:
        _next_attempt(payment, operation, report, route, cause)
    else:
        _same_again(payment, operation, report, route, cause)


def _next_attempt(payment: Payment, operation: Operation, report: Report, route: Route, cause: Cause) -> None:
    # The order below: first who ends the payment whatever was reported, then its time, then what
    # the report allows of another try, and last how many were made. The reason that is recorded is the first
    # that holds.
    if payment.ended is not None or payment.approved_attempt is not None:
        return
    if payment.cancel_requested:
        payment.end_attempts("canceled", "the merchant cancelled the payment", cause)
        return
    if report.code == BY_OPERATOR:
        payment.end_attempts("failed", "an operator decided that nothing was charged", cause)
        return
    expired = report.state is OperationState.EXPIRED or report.code == "expired"
    if expired or cause.now >= payment.expires_at:
        payment.end_attempts("expired", f"its time is over: {report.code or report.state}", cause)
        return
    if (reason := final_refusal(operation, report)) is not None:
        payment.end_attempts("failed", reason, cause)
        return
    # A call that reached nobody is no attempt (docs/adr/0021): only the payment's time bounds how often it is
    # made.
    if operation.was_attempt and operation.attempt >= route.retry.attempts_max:
        payment.end_attempts("failed", _made(operation.attempt), cause)
        return
    _choose(payment, operation, report, route, cause)


def _made(attempts: int) -> str:
    return f"{attempts} {'was' if attempts == 1 else 'were'} made"


def _choose(payment: Payment, operation: Operation, report: Report, route: Route, cause: Cause) -> None:
    number = operation.attempt + operation.was_attempt
    reason = f"attempt {number}: {operation.id} ended as {report.state} ({report.code_text})"
    # The issuer wants a challenge, and does so at any PSP: the same account makes it at once.
    with_3ds = report.hint == "RETRY_WITH_3DS"
    decision = None if with_3ds else decide(payment, route, cause, number)
    elsewhere = decision is not None and decision.elsewhere
    waits = decision is not None and decision.account is None and decision.may_pass
    recorded = None if decision is None else decision.record()
    psp = route.named(operation.psp.account) if decision is None else _named(route, decision)
    if psp is None and not waits:
        reasons = route.excluded.get(operation.psp.account, "") if decision is None else decision.reasons
        text = f"no other PSP account may take it: {report.code_text}{f'; {reasons}' if reasons else ''}"
        payment.end_attempts("failed", text, cause, recorded)
        return
    # Another account, or 3-D Secure, makes this another request, which starts at once. The same request at
    # the same account would meet what refused it a moment ago, so it waits. A frozen payment waits too: it
    # starts nothing before an operator has decided.
    if psp is not None and (elsewhere or with_3ds) and not payment.frozen:
        reason += "; 3-D Secure is demanded" if decision is None else f"; {decision.words}"
        start_next(payment, operation, psp, route, cause, reason=reason, three_ds=with_3ds, decision=decision)
        return
    if waits and decision is not None:
        reason += f"; no PSP account may take it for now: {decision.reasons}"
    delay_s = _delay_s(operation, route, cause)
    at, wait_s = after(cause.now, delay_s, payment.expires_at)
    payment.schedule_retry(
        operation,
        at,
        operation.psp.account if psp is None else psp.account,
        cause,
        reason=f"{reason}; again after a back-off of {wait_s:.3g} s",
        three_ds=with_3ds or operation.three_ds,
        decision=recorded,
    )


def _delay_s(operation: Operation, route: Route, cause: Cause) -> float:
    if operation.was_attempt:
        return route.retry.delay_s(operation.attempt, cause.jitter)
    waited_s = (cause.now - operation.started_at).total_seconds()
    return unreached_delay_s(
        operation.unreached, waited_s, cause.jitter, customer_waits=operation.is_charge_attempt
    )


def start_next(
    payment: Payment,
    operation: Operation,
    psp: PspAccount,
    route: Route,
    cause: Cause,
    *,
    reason: str,
    three_ds: bool,
    decision: Decision | None,
) -> None:
    """Starts the attempt that follows `operation` at `psp`, for the whole amount of the payment."""
    payment.start(
        operation.kind,
        psp,
        payment.amount.minor,
        cause,
        reason=reason,
        three_ds=three_ds,
        retry_of=operation,
        ends_unreached=moves_on(payment, psp, operation.unreached, route),
        decision=None if decision is None else decision.record(),
        probe=decision is not None and decision.probe,
    )


def _same_again(payment: Payment, operation: Operation, report: Report, route: Route, cause: Cause) -> None:
    """Repeats a capture, void or refund, at its payment's account only. What the PSP refuses for the moment
    is repeated until the operation's time is over."""
    # The PSP has not decided these, so the same call may succeed later. A decline is its decision.
    retryable = report.state in {OperationState.NOT_SENT, OperationState.PROVEN_ABSENT}
    over = report.code == "expired" or cause.now >= operation.expires_at
    final = is_final_here(report.hint, report.code) or over
    for_now = report.again_after_s is not None
    left = for_now or not operation.was_attempt or operation.attempt < route.retry.attempts_max
    if retryable and not final and left:
        if report.again_after_s is None:
            delay_s = _delay_s(operation, route, cause)
        else:
            delay_s = for_now_delay_s(report.again_after_s, operation.attempt, cause.jitter)
        payment.schedule_retry(
            operation,
            cause.now + timedelta(seconds=delay_s),
            operation.psp.account,
            cause,
            reason=f"{operation.id} was not executed ({report.code_text}): again after {delay_s:.3g} s",
        )
        return
    ended = (
        f"its time is over ({report.code_text})"
        if over
        else f"it ended as {report.state} ({report.code_text})"
    )
    reason = f"{_made(operation.attempt)}, and {ended}" if retryable and not final else ended
    payment.end_retries(operation, reason, cause)
    # The operation ends first: what the query finds is compared with sums that no longer hold it.
    query_after_refusal(payment, operation, report, cause)
    if operation.duplicate_charge:
        payment.contradict(report, f"a duplicate charge could not be given back: {reason}", cause)
    elif payment.cancel_requested and operation.kind != "capture":
        text = f"what was taken of a cancelled payment could not be given back: {reason}"
        payment.contradict(report, text, cause, until="given_back")
    elif operation.timed and not operation.psp.looks_up:
        text = f"the authorization's time is over, and its hold could not be released: {reason}"
        payment.contradict(report, text, cause, until="hold_released")


def retry(payment: Payment, failed: Operation, route: Route, cause: Cause) -> None:
    """Starts a scheduled retry that is due."""
    planned = payment.retries[failed.id]
    reason = f"attempt {failed.attempt + failed.was_attempt}: after the back-off"
    if not failed.is_charge_attempt:
        assert failed.target is not None
        payment.start(
            failed.kind,
            failed.psp,
            failed.amount.minor,
            cause,
            reason=reason,
            target=payment.operations[failed.target],
            final=failed.final,
            duplicate_charge=failed.duplicate_charge,
            timed=failed.timed,
            owed=failed.owed,
            final_requested=failed.final_requested,
            retry_of=failed,
        )
        return
    number = failed.attempt + failed.was_attempt
    if cause.now >= payment.expires_at:
        last = decide(payment, route, cause, number)
        reasons = f"; no PSP account can take it: {last.reasons}" if last.account is None else ""
        payment.end_attempts("expired", f"the payment has expired{reasons}", cause, last.record())
        return
    # With 3-D Secure the account that demanded it makes the attempt, as long as the merchant has it. For any
    # other the choice is made now: health and policy may have changed since the retry was planned.
    with_3ds = planned.three_ds and planned.account not in refused_by(payment.attempts)
    psp = route.named(planned.account) if with_3ds else None
    decision = None
    if psp is None:
        decision = decide(payment, route, cause, number)
        psp = _named(route, decision)
    if psp is not None:
        start_next(
            payment,
            failed,
            psp,
            route,
            cause,
            reason=reason if decision is None else f"{reason}; {decision.words}",
            three_ds=planned.three_ds,
            decision=decision,
        )
    elif decision is not None and decision.may_pass:
        _retry_later(payment, planned, decision, cause)
    else:
        reasons = "" if decision is None else decision.reasons
        text = (
            f"no PSP account may take it: {reasons}"
            if reasons
            else "the merchant has no PSP account any more"
        )
        payment.end_attempts("failed", text, cause, None if decision is None else decision.record())


def _retry_later(payment: Payment, planned: Retry, decision: Decision, cause: Cause) -> None:
    failed = planned.operation
    waited_s = (cause.now - (failed.last_update_at or failed.started_at)).total_seconds()
    # No event counts these looks: each doubling of the wait counts as one.
    looks = 1 + int(waited_s).bit_length()
    delay_s = unreached_delay_s(looks, waited_s, cause.jitter, customer_waits=False)
    at, wait_s = after(cause.now, delay_s, payment.expires_at)
    payment.schedule_retry(
        failed,
        at,
        planned.account,
        cause,
        reason=f"no PSP account may take it for now: {decision.reasons}; again after {wait_s:.3g} s",
        three_ds=planned.three_ds,
        decision=decision.record(),
    )


def _named(route: Route, decision: Decision) -> PspAccount | None:
    return None if decision.account is None else route.named(decision.account)
