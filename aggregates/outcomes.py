"""Takes what a gateway worker, a webhook or a query reports of an operation, by the table `RULES`. A repeat
changes nothing. Disputes: disputes.py.

Invariant: what contradicts the record is recorded beside it and never into a sum; it freezes the payment.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final

from aggregates import contradictions, external_moves
from aggregates.attempts import go_on, wait_unreached
from aggregates.balances import broken_sum
from aggregates.conflicts import find_conflict, is_late_approval, until
from aggregates.decision import Cause
from aggregates.double_execution import is_unnamed
from aggregates.give_back import honour_cancel
from aggregates.operation import CHALLENGE_OPEN, ENDED, NOT_EXECUTED, OperationState, Report
from aggregates.payment import Payment
from aggregates.received import Received
from aggregates.resolution import compare_charges, return_duplicates
from aggregates.routing.route import Route

S = OperationState
_SIGNED_BEFORE: Final = "signed before"


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule: what AegisPay does with a report to which no earlier rule of the table applies. `finishes`:
    the money that the report shows beside the operation, and a cancel that waits for an approval, are seen to
    afterwards. `settles`: the report may end contradictions that are open."""

    name: str
    applies: Callable[[Received], bool]
    act: Callable[[Received], None]
    finishes: bool = True
    settles: bool = True


def take(payment: Payment, report: Report, route: Route, cause: Cause) -> None:
    """Records what the report changes. One on an operation that the payment lacks contradicts the record."""
    operation = payment.operations.get(report.operation_id)
    if operation is None:
        # No event of ours started it: the store lost events, or another program writes outcomes. Nothing can
        # be compared, so it is recorded for an operator.
        payment.contradict(report, "the payment has no such operation", cause)
        return
    rule = _apply(Received(payment, operation, report, route, cause))
    if rule.settles and contradictions.settle(payment, report, cause):
        # These waited for the thaw: a frozen payment starts nothing that moves money.
        return_duplicates(payment, cause)
        honour_cancel(payment, cause)


def find_rule(received: Received) -> Rule:
    """Returns the first of `RULES` that applies; the last applies to every report."""
    return next(rule for rule in RULES if rule.applies(received))


def _apply(received: Received) -> Rule:
    rule = find_rule(received)
    rule.act(received)
    if rule.finishes:
        payment, report, cause = received.payment, received.report, received.cause
        if report.source == "webhook":
            # Its sums are the whole payment's, whatever operation it names: they may show an external move.
            external_moves.take_webhook(payment, received.operation, report, cause)
        # The merchant may have cancelled while the approval was on its way: what it took is given back.
        if report.state is S.APPROVED:
            honour_cancel(payment, cause)
    return rule


# The rules' actions, in the order of the table


def _doubt_signature(received: Received) -> None:
    """Changes nothing by a webhook that may be an old one, sent again by anybody. If it differs from the
    record, or concerns what is frozen, an operator checks whether the PSP has reported it a second time."""
    payment, report = received.payment, received.report
    moved = {move.psp_id for move in report.balances.moves} if report.balances is not None else set()
    undone = [
        o for o in payment.operations.values() if o.external and o.psp_id in moved and o.state in NOT_EXECUTED
    ]
    if (report.state in ENDED and not _is_as_recorded(received)) or undone:
        claim = "that it was executed" if undone else report.state
        reason = (
            f"a webhook reports {claim} again, signed as one before it: nobody vouches for its date, so it may be the old one "
            "or the PSP's second report; look at the PSP"
        )
        payment.contradict(report, reason, received.cause, about=_SIGNED_BEFORE)


def _is_as_recorded(received: Received) -> bool:
    payment, operation, report = received.payment, received.operation, received.report
    if operation.id in payment.frozen_by:
        return False
    # Which of these ends it is makes no difference to the money.
    if report.state in NOT_EXECUTED and operation.state in NOT_EXECUTED:
        return True
    lapsed = report.state is S.EXPIRED and received.is_of_approved_attempt and payment.authorization_expired
    return lapsed or report.state is operation.state


def _take_webhook_of_external(received: Received) -> None:
    external_moves.take_webhook_of_move(received.payment, received.operation, received.report, received.cause)
    honour_cancel(received.payment, received.cause)


def _is_of_external_move(received: Received) -> bool:
    return external_moves.is_only_of_external_move(received.operation, received.report)


def _take_external_move(received: Received) -> None:
    external_moves.take_move_of(received.payment, received.operation, received.report, received.cause)


def _ignore(received: Received) -> None:
    """Records nothing."""


def _take_as_unknown(received: Received) -> None:
    """Reads a challenge that outlived our cancel as UNKNOWN: nobody knows yet what became of the cancel."""
    _apply(replace(received, report=replace(received.report, state=S.UNKNOWN, code=CHALLENGE_OPEN)))


def _contradict(received: Received) -> None:
    conflict = find_conflict(received)
    assert conflict is not None
    received.payment.contradict(
        received.report,
        conflict.reason(received),
        received.cause,
        late_approval=is_late_approval(received),
        until=until(received),
    )
    compare_charges(received.payment, received.cause)


def _names_the_id(received: Received) -> bool:
    report = received.report
    return is_unnamed(received.operation) and report.state is S.APPROVED and report.psp_id is not None


def _take_id(received: Received) -> None:
    """Records the id, and then takes the report as one of an operation whose id was known."""
    received.payment.identify(received.report, received.cause)
    _apply(received)


def _take_query_result(received: Received) -> None:
    """Records each response, whether it ends the query or not."""
    operation, report = received.operation, received.report
    # A command worker that was killed before its commit of offsets reads the report again: a copy is no new
    # result, and ends no query that was sent after it.
    repeated = operation.open_result_at is not None and report.observed_at <= operation.open_result_at
    if repeated or not received.is_later:
        return
    if report.state in ENDED:
        _take_confirmation(received)
    else:
        received.payment.report_status(report, received.cause)


def _take_confirmation(received: Received) -> None:
    payment, operation, report, cause = (
        received.payment,
        received.operation,
        received.report,
        received.cause,
    )
    # The comparison comes before `confirm` closes the query: where the sums prove nothing yet, it has to stay
    # open.
    before, frozen_by = payment.totals, payment.frozen_by
    if not _is_compared(received):
        payment.report_status(report, cause)
        return
    less = payment.totals.captured < before.captured or payment.totals.refunded < before.refunded
    # The comparison may have found what failed, and taken it back or frozen the payment for it.
    explained = less or payment.frozen_by != frozen_by
    # A webhook reports a failure that neither the lookup nor the sums show: the lookup may be behind. A
    # webhook that agrees with the lookup ends the contradiction.
    denied = operation.doubted and report.state is S.APPROVED and not explained
    payment.confirm(report, cause)
    if denied:
        reason = "a webhook reports that it failed since, and a lookup that it stands"
        payment.contradict(
            report, reason, cause, about=report.observed_at.isoformat(), until="received_again"
        )
    if received.is_lapse:
        external_moves.release(payment, operation, cause, reason=_as_reported(report))
    elif report.state is S.APPROVED and received.is_of_approved_attempt:
        # If our clock had ended the authorization, the query was whether the PSP holds it still: it does, so
        # it is voided.
        external_moves.void_left(payment, operation, cause)
    compare_charges(payment, cause)


def _is_compared(received: Received) -> bool:
    """Compares the PSP's sums with the record. False: the query stays open. Where two charges were reported,
    whether both are real is decided first."""
    payment, report = received.payment, received.report
    if report.balances is None or not received.is_of_approved_attempt:
        return True
    # The sums of one charge show nothing of the other, which may yet prove to be none.
    if any(o.late_approval is not None for o in payment.attempts):
        return True
    return external_moves.compare(payment, received.operation, report, received.cause)


def _take_lapse(received: Received) -> None:
    """Has the PSP confirm a webhook first. While a void of ours is under way, its own result is more
    certain."""
    payment, operation, report = received.payment, received.operation, received.report
    if report.source != "webhook" or not operation.psp.looks_up:
        external_moves.release(payment, operation, received.cause, reason=_as_reported(report))
    # The lookup that is under way settles this webhook too.
    elif not payment.totals.voiding and not operation.confirming:
        reason = "a webhook reports that the authorization is gone: the PSP has to confirm it"
        external_moves.query_balances(payment, operation, received.cause, reason)


def _as_reported(report: Report) -> str:
    return f"the PSP reports {report.state} ({report.code_text})"


def _doubt_approval(received: Received) -> None:
    payment, operation, report = received.payment, received.operation, received.report
    if not operation.psp.looks_up:
        text = f"{report.state} at the PSP, after it was approved"
        payment.contradict(report, text, received.cause, until="stands")
    elif not operation.confirming:
        reason = f"a webhook reports {report.state} ({report.code_text}) of what the PSP approved: the PSP has to confirm it"
        payment.request_follow_up("confirm", operation, received.cause, reason, doubted=True)


def _query_instead(received: Received) -> None:
    operation = received.operation
    just_queried = operation.queries and operation.last_update_at == received.cause.now
    # All reports of one moment lead to one query. An operation that has ended is not queried for a hint: what
    # a webhook shows beyond the record is looked at when the rule has acted.
    if operation.open and not just_queried:
        received.payment.follow_up(operation, received.cause, only_query=True)


def _wait_unreached(received: Received) -> None:
    # An older report would restart the back-off.
    if received.operation.state in {S.STARTED, S.UNREACHED} and received.is_later:
        wait_unreached(received.payment, received.operation, received.report, received.cause)


def _progress(received: Received) -> None:
    if received.is_still_held:
        _release_hold(received)
        return
    payment, operation, cause = received.payment, received.operation, received.cause
    report, refused = received.report, operation.refused
    if refused is not None and report.state is S.EXPIRED:
        # The hold is released: the operation ends as its last step did.
        report = replace(
            report,
            state=refused.state,
            code=refused.code,
            hint=refused.hint,
            issuer_code=refused.issuer_code,
            issuer_advice=refused.issuer_advice,
        )
    received = replace(received, report=report)
    # The outcome is recorded before anything follows from it: the lines below read the operation's new state
    # and the new sums.
    payment.outcome(received.with_voided_amount(), cause)
    _follow(received)
    if report.source == "query" and report.balances is not None and received.is_of_approved_attempt:
        external_moves.compare(payment, operation, report, cause)
    if report.state is S.APPROVED:
        external_moves.take_response_to_refund(payment, operation, report, cause)
        external_moves.record_kept(payment, operation, report, cause)
        # Each operation was possible when it was requested. An external move since may have used what this
        # one took.
        if (reason := broken_sum(payment)) is not None:
            payment.contradict(report, reason, cause, until="sums_hold")
    elif report.state in NOT_EXECUTED and operation.kept:
        reason = f"money moved externally at the PSP, and {operation.id} is {operation.state}"
        payment.contradict(report, reason, cause, about=reason)
    compare_charges(payment, cause)


def _release_hold(received: Received) -> None:
    operation, report, cause = received.operation, received.report, received.cause
    if operation.refused is None:
        # The operation stays open: the next attempt would hold the customer's money again beside the first
        # hold.
        received.payment.outcome(replace(report, state=S.UNKNOWN), cause, refused_as=report.state)
        reason = f"the last step was not executed ({report.code_text}): AegisPay releases what the one before holds"
        received.payment.request_follow_up("release", operation, cause, reason)


def _follow(received: Received) -> None:
    """Starts what follows an outcome that was recorded: the next attempt, the next step, the end of a
    challenge."""
    payment, operation, report, cause = (
        received.payment,
        received.operation,
        received.report,
        received.cause,
    )
    if report.state in NOT_EXECUTED:
        go_on(payment, operation, report, received.route, cause)
    # A frozen payment sends no further step by itself: the query schedule goes on, and an operator decides.
    elif report.state is S.PENDING and report.next_step is not None and not payment.frozen:
        payment.follow_up(operation, cause)
    elif report.state is S.ACTION_REQUIRED:
        over = payment.cancel_requested or operation.challenge_over(report.observed_at)
        if over and (operation.psp_id is not None or operation.next_step is not None):
            payment.follow_up(operation, cause)
    # Our clock alone proves nothing: the authorization is recorded as expired now that the PSP has voided it.
    elif report.state is S.APPROVED and operation.timed:
        approved = payment.approved_attempt
        if approved is not None and not payment.authorization_expired:
            reason, released = "its time was over, and our void released it", operation.amount.minor
            external_moves.release(payment, approved, cause, reason=reason, released_minor=released)


RULES: Final = (
    # A webhook that nobody can prove to be new decides nothing.
    Rule(
        "signed_before",
        lambda received: received.report.signed_before,
        _doubt_signature,
        finishes=False,
        settles=False,
    ),
    # Money that AegisPay did not move: its reports are about no call of ours.
    Rule(
        "of_external_operation",
        lambda received: received.operation.external,
        _take_webhook_of_external,
        finishes=False,
    ),
    Rule("of_external_move", _is_of_external_move, _take_external_move, finishes=False),
    # Reports that are out of date come before anything can contradict the record; but a second authorization
    # always does.
    Rule(
        "of_earlier_step",
        lambda received: received.is_of_earlier_step and not received.is_second_authorization,
        _ignore,
        finishes=False,
    ),
    Rule(
        "challenge_before_cancel",
        lambda received: received.is_challenge_after_cancel and not received.is_later,
        _ignore,
        finishes=False,
    ),
    Rule(
        "challenge_after_cancel",
        lambda received: received.is_challenge_after_cancel,
        _take_as_unknown,
        finishes=False,  # the rule that takes it as UNKNOWN does
    ),
    # Contradictions come before every rule that writes into the record.
    Rule("conflict", lambda received: find_conflict(received) is not None, _contradict),
    # An operator resolved it as executed before any id was known. The first that the PSP names is its own;
    # from then on another is a second execution.
    Rule(
        "names_the_id",
        _names_the_id,
        _take_id,
        finishes=False,  # the rule that takes it once the id is known does
    ),
    Rule("result_of_confirm", lambda received: received.is_result_of_confirm, _take_query_result),
    # The end of an approved operation, before a webhook of it would count as a mere hint.
    Rule("lapse", lambda received: received.is_lapse, _take_lapse),
    Rule("failure_of_approved", lambda received: received.is_failure_of_approved, _doubt_approval),
    Rule("hint", lambda received: received.is_hint, _query_instead),
    # Reports that move the operation.
    Rule("unreached", lambda received: received.report.state is S.UNREACHED, _wait_unreached),
    Rule("progress", lambda received: received.is_progress, _progress),
    Rule("repeat", lambda received: True, _ignore),
)
"""Read from the top: the first rule that applies decides, and no other.
tests/aggregates/test_outcome_rules.py holds the order, with a report for each rule to which later ones would
apply as well."""
