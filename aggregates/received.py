"""A report, the operation that it is about, and how the two compare. Pure: nothing here changes a payment.

"Later" is by `observed_at`, the clock of whoever saw it: reports arrive late, twice and out of order.
"""

from dataclasses import dataclass, replace

from aggregates.decision import Cause
from aggregates.operation import CANCEL_STEP, ENDED, NOT_EXECUTED, Operation, OperationState, Report
from aggregates.payment import Payment
from aggregates.routing.route import Route

S = OperationState


@dataclass(frozen=True, slots=True)
class Received:
    """A report on one operation of a payment, with what a decision about it needs."""

    payment: Payment
    operation: Operation
    report: Report
    route: Route
    cause: Cause

    @property
    def is_later(self) -> bool:
        """True if the report is newer than everything known when the query was sent; a redelivered response
        confirms nothing."""
        # The gateway worker's clock stamps what it received from a PSP, PostgreSQL's a webhook as it is
        # stored, and no PSP's own is used. Clocks of ours that differ may swap two reports that came within
        # that difference.
        late = self.operation.late_approval
        known = [self.operation.observed_at, late.observed_at if late is not None else None]
        return all(self.report.observed_at > at for at in known if at is not None)

    @property
    def is_of_approved_attempt(self) -> bool:
        """True if the report is about the operation that took the payment."""
        return self.operation is self.payment.approved_attempt

    @property
    def is_of_earlier_step(self) -> bool:
        """True once the operation has gone on: what it went on with holds what became of that step."""
        if self.report.next_step is not None and self.report.state is S.UNKNOWN:
            # The PSP waits for our next call, whichever that is: an operation that has ended has none left.
            return self.operation.state in ENDED
        if self.report.next_step is not None:
            return self.report.next_step <= self.operation.step
        # A webhook names no step (the inbox writes the first for all of them), and an approval has to be seen
        # whichever step it is of: it may be money.
        gone_on = self.report.step != CANCEL_STEP and self.report.step < self.operation.step
        return gone_on and self.report.source != "webhook" and self.report.state is not S.APPROVED

    @property
    def is_second_authorization(self) -> bool:
        """True for another PSP id of the operation. A PSP without a status API reveals a second authorization
        only through its webhooks."""
        by_webhook = self.report.source == "webhook" and not self.operation.psp.looks_up
        own = self.operation.psp_id
        other = own is not None and self.report.psp_id not in {None, own}
        return by_webhook and self.report.next_step is not None and other

    @property
    def is_challenge_after_cancel(self) -> bool:
        """True if the PSP still shows a challenge open after AegisPay cancelled it."""
        operation = self.operation
        return operation.open and operation.cancel_sent and self.report.state is S.ACTION_REQUIRED

    @property
    def is_result_of_confirm(self) -> bool:
        """True for a query's result while AegisPay has the PSP confirm what had ended."""
        return self.operation.confirming and self.report.source == "query"

    @property
    def is_lapse(self) -> bool:
        """True if the PSP released an authorization that is not captured yet: no report of a release counts
        before the approval."""
        total = self.payment.totals
        return (
            self.is_of_approved_attempt
            and self.operation.kind == "authorize"
            and self.report.state is S.EXPIRED
            # The PSP released another hold than the recorded one if it names another id.
            and self.report.psp_id in {None, self.operation.psp_id}
            and not self.payment.authorization_expired
            and (total.capturable > 0 or total.capturing > 0 or total.voiding)
        )

    @property
    def is_lapse_or_release(self) -> bool:
        """True for every end of a hold, and for a duplicate charge, whose money is given back."""
        released = self.operation.kind == "authorize" and self.report.state is S.EXPIRED
        return self.is_lapse or released or self.operation.duplicate_charge

    @property
    def is_failure_of_approved(self) -> bool:
        """True for a webhook that an approved operation has failed: a bank sent a refund back, a capture did
        not settle."""
        approved = self.operation.state is S.APPROVED
        failed = self.report.source == "webhook" and self.report.state in NOT_EXECUTED and approved
        return failed and self.is_later and not self.is_lapse_or_release

    @property
    def is_hint(self) -> bool:
        """True for a webhook that would end the operation, or approves another id than its own, where the PSP
        has a status API: AegisPay queries it instead of believing the webhook."""
        # AegisPay believes a signed webhook of a PSP without a status API (docs/adr/0014): it can query
        # nobody.
        if self.report.source != "webhook" or not self.operation.psp.looks_up:
            return False
        if self.report.state is S.APPROVED:
            # If several calls make one payment, the PSP has to name it as the one that we began.
            own_id = self.operation.psp_id in {None, self.report.psp_id}
            return self.operation.open and not (self.operation.psp.final_call_by == "psp" and own_id)
        return self.report.state in NOT_EXECUTED or self.report.state is S.UNKNOWN

    @property
    def is_progress(self) -> bool:
        """True if the report moves the operation to another state, or reports later what it reported before
        (e.g. still unknown), which restarts the wait for the next query."""
        operation, report = self.operation, self.report
        if operation.takes(report.state):
            return True
        same = operation.state is report.state and operation.open
        return same and (operation.observed_at is None or report.observed_at > operation.observed_at)

    @property
    def fits(self) -> bool:
        """True if the reported amount and currency are possible. The PSP may approve a part, but not of a
        refund; and it alone knows what a void released."""
        operation, report = self.operation, self.report
        # Amounts of two currencies are not compared, and a foreign one never enters a sum.
        if report.currency != operation.amount.currency or report.amount_minor is None:
            return operation.kind == "void" and report.currency in {None, operation.amount.currency}
        if operation.kind == "void":
            return True
        if operation.kind == "refund":
            return report.amount_minor == operation.amount.minor
        return 0 < report.amount_minor <= operation.amount.minor

    @property
    def is_of_whole_amount(self) -> bool:
        """True if amount and currency are those that were requested, or not reported."""
        amount = self.report.amount_minor in {None, self.operation.amount.minor}
        return amount and self.report.currency in {None, self.operation.amount.currency}

    @property
    def is_still_held(self) -> bool:
        """True if our capture of a sale was not executed, and the PSP has not reported that it released the
        hold."""
        report = self.report
        # The gateway worker alone, without a call to the PSP, releases nothing.
        by_cancel = report.step == CANCEL_STEP and report.source in {"call", "stored"}
        released = report.state is S.EXPIRED and (report.source == "webhook" or by_cancel)
        return self.operation.holds and report.state in NOT_EXECUTED and not released

    def with_voided_amount(self) -> Report:
        """Returns the report; of an approved void, with the requested amount."""
        if self.operation.kind != "void" or self.report.state is not S.APPROVED:
            return self.report
        amount = self.operation.amount
        return replace(self.report, amount_minor=amount.minor, currency=amount.currency)
