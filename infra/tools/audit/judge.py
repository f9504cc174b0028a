"""Judges one payment. Pure. Invariant: every way in which two sources can disagree has a finding of its own
kind.

In doubt (IN_DOUBT, frozen, parked) is a state that AegisPay reports itself, so it is listed and is no fault.
It excuses what the ledger has of the matter in doubt, and of nothing else.
"""

from collections.abc import Iterator

from aggregates.operation import Operation, OperationState
from aggregates.payment import Payment
from aggregates.status import Status
from infra.tools.audit import commands, disputes, fees, money, read_models
from infra.tools.audit.facts import Facts, Finding, Recorded

S = OperationState


def judge(facts: Facts) -> list[Finding]:
    """Returns all findings about the payment; none if the sources agree."""
    recorded = facts.recorded
    found = [*commands.judge(facts), *_doubt(facts)]
    if recorded is not None and recorded.broken is not None and facts.parked is None:
        found.append(Finding("lost_payments", f"its stream cannot be replayed: {recorded.broken}"))
    unsettled = []
    if recorded is not None and recorded.payment is not None and facts.parked is None:
        unsettled = [Finding("unsettled", reason) for reason in _unsettled(recorded.payment)]
    found += disputes.judge(facts) if facts.parked is None else ()
    found += money.judge(facts)
    return [*found, *unsettled, *read_models.judge(facts, goes_on=bool(unsettled)), *fees.judge(facts)]


def _doubt(facts: Facts) -> Iterator[Finding]:
    if facts.parked is not None:
        yield Finding("in_doubt", f"parked: {facts.parked.reason}", "parked")
    for one in facts.unmatched:
        reason = f"webhook {one.id} ({one.account} {one.event_type}) could not be used: {one.reason}"
        yield Finding("in_doubt", reason, "webhook")
    if facts.recorded is not None and facts.recorded.payment is not None:
        yield from _doubts_of(facts.recorded, facts.recorded.payment)


def _doubts_of(recorded: Recorded, payment: Payment) -> Iterator[Finding]:
    for name in sorted(payment.frozen_by):
        reason = recorded.contradictions.get(name, "what the PSP reported contradicts what is recorded")
        yield Finding("in_doubt", f"frozen by {name}, an operator has to look: {reason}", "frozen")
    if payment.dispute_contradicts is not None:
        yield Finding("in_doubt", f"frozen, an operator has to look: {payment.dispute_contradicts}", "frozen")
    for name, dispute in payment.disputes.items():
        if dispute.state == "unclear":
            reason = f"dispute {name} of {dispute.amount_minor} has ended, and the PSP does not say how"
            yield Finding("in_doubt", reason, "dispute")
    for operation in payment.operations.values():
        if operation.state is not S.UNKNOWN and not _is_unanswered(operation):
            continue
        code = recorded.codes.get(operation.id)
        reason = f"the outcome of {operation.id} is not known yet" + (f" ({code})" if code else "")
        if operation.escalated:
            yield Finding("in_doubt", f"{reason}; an operator has to look", "escalated")
        else:
            yield Finding("in_doubt", reason, "unknown")


def _is_unanswered(operation: Operation) -> bool:
    """True if an operator was called since no response came at all."""
    return operation.state is S.STARTED and operation.escalated


def _unsettled(payment: Payment) -> Iterator[str]:
    found = False
    for operation in payment.operations.values():
        if _is_unanswered(operation):
            found = True  # it is among the doubts
        elif operation.state in {S.STARTED, S.PENDING}:
            found = True
            yield f"{operation.id} is still {operation.state}"
        elif operation.state is S.ACTION_REQUIRED and operation.cancel_sent:
            found = True
            yield f"the challenge of {operation.id} is being ended at the PSP"
    if payment.frozen:
        return  # no attempt follows before an operator has looked
    for retry in payment.retries.values():
        found = True
        yield f"{retry.operation.id} is tried again at {retry.at.isoformat()}"
    if not found and payment.status in {Status.REQUESTED, Status.PROCESSING}:
        yield f"it is still {payment.status}"
