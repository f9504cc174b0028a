"""Cardholders' disputes of a payment, each as the PSP reported it, or an operator decided it, last.

Invariant: the latest report or decision on a dispute stands, whatever its state before and in whatever order
they arrive.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from aggregates import contradictions, events
from aggregates.decision import Cause, Refused
from aggregates.dispute import Dispute
from aggregates.give_back import honour_cancel
from aggregates.merchant_commands import amounts
from aggregates.operation import FIRST_STEP, OperationState, Report
from aggregates.payment import Payment
from aggregates.resolution import compare_charges, return_duplicates
from aggregates.status import TAKES, DisputeState

# Orders two reports of the same second: some PSPs' clocks are no finer.
_ORDER: Final[dict[DisputeState, int]] = {
    "inquiry": 0,
    "opened": 1,
    "unclear": 2,
    "won": 3,
    "lost": 3,
    "closed": 3,
}


@dataclass(frozen=True, slots=True)
class DisputeReport:
    """A PSP's report of a dispute. `reported_at`: by the PSP's clock; None: it names no time.
    `signed_before`: as in `Report`."""

    dispute_id: str
    operation_id: str
    state: DisputeState
    amount_minor: int
    currency: str
    reason: str | None
    respond_by: str | None
    reported_at: datetime | None
    observed_at: datetime
    signed_before: bool = False

    @property
    def at(self) -> datetime:
        """The time of the report or decision, never ahead of our clock."""
        return self.observed_at if self.reported_at is None else min(self.reported_at, self.observed_at)


def take(payment: Payment, report: DisputeReport, cause: Cause) -> None:
    """Records a PSP's report of a dispute that is later than what is known, once."""
    before = payment.disputes.get(report.dispute_id)
    if before is not None and not _is_newer(before, report):
        return
    if str(cause.command_id) in payment.causes:
        return
    if report.signed_before:
        _doubt(payment, before, report, cause)
        return
    payment.trigger_event(
        events.DisputeChanged,
        dispute_id=report.dispute_id,
        operation_id=report.operation_id,
        state=report.state,
        amount_minor=report.amount_minor,
        currency=report.currency,
        reason=report.reason,
        respond_by=report.respond_by,
        reported_at=report.at.isoformat(),
        observed_at=report.observed_at.isoformat(),
        **cause.fields(),
    )
    _after(payment, report.dispute_id, cause)


def _doubt(payment: Payment, before: Dispute | None, report: DisputeReport, cause: Cause) -> None:
    """Changes neither the dispute nor the time of its last report by a webhook that may be an old one, sent
    again by anybody with a later date. An operator decides how the dispute stands."""
    if before is not None and (report.state, report.amount_minor, report.currency) == before.content[:3]:
        return
    reason = (
        f"a webhook reports again that dispute {report.dispute_id} is {report.state}, signed as one before it: nobody vouches for "
        "its date; look at the PSP and resolve the dispute"
    )
    operation = payment.operations.get(report.operation_id)
    contradicting = Report(
        operation_id=report.operation_id,
        step=FIRST_STEP if operation is None else operation.step,
        state=OperationState.UNKNOWN,
        psp_id=None if operation is None else operation.psp_id,
        amount_minor=report.amount_minor,
        currency=report.currency,
        code=f"dispute_{report.state}",
        source="webhook",
        observed_at=report.observed_at,
    )
    payment.contradict(contradicting, reason, cause, about=_doubted(report.dispute_id))


def _doubted(dispute_id: str) -> str:
    return f"dispute {dispute_id}"


def _is_newer(before: Dispute, report: DisputeReport) -> bool:
    """True also for a later report with the same content: it moves the time before which older reports no
    longer count."""
    reported, known = (report.at, _ORDER[report.state]), (before.at, _ORDER[before.state])
    same = (
        report.state,
        report.amount_minor,
        report.currency,
        report.reason,
        report.respond_by,
    ) == before.content
    return reported > known or (reported == known and not same)


def resolve(
    payment: Payment,
    dispute_id: str,
    decision: DisputeState,
    amount_minor: int | None,
    *,
    evidence: str,
    who: str,
    cause: Cause,
) -> None:
    """Records an operator's decision on a dispute, which stands until the PSP reports something later. Raises
    `Refused`."""
    before = payment.disputes.get(dispute_id)
    if before is None:
        known = ", ".join(payment.disputes) or "none"
        raise Refused(
            "dispute_unknown",
            f"the payment has no dispute {dispute_id}; its disputes: {known}",
            amounts(payment),
        )
    currency = before.currency
    if decision in TAKES:
        amount_minor = _amount(payment, before, amount_minor)
        currency = payment.amount.currency
    elif amount_minor is not None:
        text = f"a dispute that is {decision} takes nothing: leave the amount out"
        raise Refused("amount_not_possible", text, amounts(payment, amount_minor))
    amount_minor = before.amount_minor if amount_minor is None else amount_minor
    payment.trigger_event(
        events.DisputeResolved,
        dispute_id=dispute_id,
        operation_id=before.operation_id,
        state=decision,
        amount_minor=amount_minor,
        currency=currency,
        reason=before.reason,
        respond_by=before.respond_by if decision == "opened" else None,
        reported_at=cause.now.isoformat(),
        observed_at=cause.now.isoformat(),
        evidence=evidence,
        who=who,
        **cause.fields(),
    )
    _after(payment, dispute_id, cause)


def _after(payment: Payment, dispute_id: str, cause: Cause) -> None:
    """Does what the new report or decision on this dispute requires: it may end refunds, freezes and holds on
    duplicate charges."""
    dispute = payment.disputes[dispute_id]
    for key, one in list(payment.contradictions.items()):
        if one.open and key[3] == _doubted(dispute_id):
            payment.settle(key, f"dispute {dispute_id} is {dispute.state} now", cause, None)
    _end_refunds_of_taken_money(payment, dispute, cause)
    compare_charges(payment, cause)
    contradictions.settle(payment, None, cause)
    return_duplicates(payment, cause)
    honour_cancel(payment, cause)


def _end_refunds_of_taken_money(payment: Payment, dispute: Dispute, cause: Cause) -> None:
    """Ends refunds that wait for their next attempt: they would give back what the bank has taken."""
    lost = dispute.state == "lost" and payment.dispute_contradicts is not None
    for refund in [retry.operation for retry in payment.retries.values() if retry.operation.kind == "refund"]:
        if lost and not refund.duplicate_charge:
            payment.end_retries(refund, "a bank took the money in a dispute that the merchant lost", cause)
        elif refund.duplicate_charge and refund.target == dispute.operation_id and dispute.state in TAKES:
            payment.end_retries(refund, "a bank took the duplicate charge in a dispute", cause)


def _amount(payment: Payment, before: Dispute, amount_minor: int | None) -> int:
    """Returns the amount that the bank took, in the payment's currency: at most what is left of the
    payment."""
    total = payment.totals
    own = before.amount_minor if before.state in TAKES and before.currency == payment.amount.currency else 0
    left = max(total.captured - total.refunded - (total.disputed - own), 0)
    if amount_minor is None:
        if before.currency == payment.amount.currency:
            return min(before.amount_minor, left)
        text = f"the dispute is in {before.currency}: name the amount that the bank took in {payment.amount.currency}"
        raise Refused("amount_missing", text, amounts(payment))
    if amount_minor > left:
        text = f"the bank cannot have taken {amount_minor}: of what was captured only {left} can be disputed"
        raise Refused("amount_not_possible", text, amounts(payment, amount_minor))
    return amount_minor
