"""A payment and the events that it may record. Invariant: at most one operation that takes money is not
proven unexecuted, and no sum passes the requested amount.

The rules stand beside it, one file for each kind of message: attempts, merchant_commands, outcomes, disputes,
resolution, timers. They decide and then call a method of this class, which only records.
"""

from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from eventsourcing.domain import Aggregate

from aggregates import events
from aggregates.contradiction import ContradictionKey, Until
from aggregates.decision import Cause
from aggregates.operation import (
    FIRST_STEP,
    NOT_EXECUTED,
    Balances,
    How,
    Kind,
    Move,
    Operation,
    OperationState,
    Report,
    operation_id,
)
from aggregates.payment_state import ACTION_LIFE, PaymentState
from aggregates.request_fields import request_fields
from aggregates.routing.accounts import PspAccount
from aggregates.status import Ended


class Payment(PaymentState, Aggregate):
    """The aggregate: each method records one event, and decides nothing."""

    # No annotation: it would make the library write an `__init__` of its own, in place of the state's.
    TOPIC = "payment"
    Event = events.Event
    Created = events.Created

    def start(
        self,
        kind: Kind,
        psp: PspAccount,
        amount_minor: int,
        cause: Cause,
        *,
        reason: str,
        target: Operation | None = None,
        final: bool = False,
        three_ds: bool = False,
        duplicate_charge: bool = False,
        timed: bool = False,
        owed: bool = False,
        final_requested: bool = False,
        retry_of: Operation | None = None,
        ends_unreached: bool = False,
        decision: dict[str, Any] | None = None,
        probe: bool = False,
    ) -> None:
        """Starts an operation: the event is also the request to its gateway worker. `target`: the operation
        that it captures, voids or refunds; None: an attempt. `retry_of`: the operation that was not executed
        and that it takes the place of. `decision`: how its account was chosen. `probe`: it tests a half-open
        circuit."""
        ordinal, is_charge_attempt = len(self.operations) + 1, target is None  # counted over all kinds
        # AssertionError parks the stream (commands/decider.py): a bug in the rules charges nobody twice.
        assert not is_charge_attempt or all(o.state in NOT_EXECUTED for o in self.attempts), (
            "an attempt may only start when every earlier one is proven not executed"
        )
        expires_at = retry_of.expires_at if retry_of else self.may_be_sent_until(kind, target, cause.now)
        self.trigger_event(
            events.OperationStarted,
            ordinal=ordinal,
            attempt=1 if retry_of is None else retry_of.attempt + retry_of.was_attempt,
            authorization_life_s=psp.authorization_life_s,
            final_call_by=psp.final_call_by,
            limits=tuple(sorted(psp.limits)),
            retry_of=None if retry_of is None else retry_of.id,
            duplicate_charge=duplicate_charge,
            timed=timed,
            owed=owed,
            final_requested=final_requested,
            decision=decision,
            probe=probe,
            **request_fields(
                self,
                operation_id(self.id, kind, ordinal),
                kind,
                psp,
                amount_minor,
                step=FIRST_STEP,
                target=target,
                target_minor=self.left_to(kind, target),
                final=final,
                three_ds=three_ds,
                expires_at=expires_at,
                action_until=min(cause.now + ACTION_LIFE, self.expires_at) if is_charge_attempt else None,
                ends_unreached=ends_unreached,
                reason=reason,
            ),
            **(self.fee_fields(kind, psp.account, amount_minor, cause) | cause.fields()),
        )

    def follow_up(
        self, operation: Operation, cause: Cause, *, only_query: bool = False, ends_unreached: bool = False
    ) -> None:
        """Requests the call that `Operation.choose_follow_up` finds due. `only_query`: moves no money.
        `ends_unreached`: see `events.Request`."""
        canceled = self.cancel_requested
        how, reason = operation.choose_follow_up(cause.now, frozen=self.frozen, canceled=canceled)
        if only_query and how in {"repeat", "continue"}:
            how, reason = "query", "AegisPay only queries the PSP"
        self.request_follow_up(how, operation, cause, reason, ends_unreached=ends_unreached)

    def request_follow_up(
        self,
        how: How,
        operation: Operation,
        cause: Cause,
        reason: str,
        returned: dict[str, str] | None = None,
        *,
        ends_unreached: bool = False,
        doubted: bool = False,
    ) -> None:
        """Requests a further call about an operation. `returned`: by the customer's browser, for `continue`.
        `doubted`: a webhook reports that what is recorded has failed."""
        first = (how in {"cancel", "release"} and not operation.cancel_sent) or (
            how == "confirm" and not operation.confirming
        )
        updated_at = operation.last_update_at or operation.started_at
        waits = operation.state is OperationState.ACTION_REQUIRED
        over = waits and operation.challenge_over(cause.now) and not operation.challenge_over(updated_at)
        late = operation.late_approval
        # The first cancel, the first confirm and the end of a challenge restart the query schedule.
        number = 1 if first or over else operation.queries + 1  # of the gaps in QUERY_AFTER
        if how == "continue" or (how == "repeat" and operation.state is OperationState.UNREACHED):
            number = 0  # sent, not queried: the gaps begin anew
        self.trigger_event(
            events.OperationFollowUpRequested,
            how=how,
            follow_up=number,
            psp_id=late.psp_id if late is not None and late.psp_id is not None else operation.psp_id,
            returned=returned if how == "continue" else operation.returned,
            doubted=doubted,
            **request_fields(
                self,
                operation.id,
                operation.kind,
                operation.psp,
                operation.amount.minor,
                step=(operation.next_step if how == "continue" else None) or operation.step,
                target=None if operation.target is None else self.operations[operation.target],
                target_minor=operation.target_minor,
                final=operation.final,
                three_ds=operation.three_ds,
                expires_at=operation.expires_at,
                action_until=operation.action_until,
                ends_unreached=ends_unreached,
                reason=reason,
            ),
            **cause.fields(),
        )

    def outcome(self, report: Report, cause: Cause, *, refused_as: str | None = None) -> None:
        """Records the operation's new state. `refused_as`: how its last step ended, while an earlier step's
        hold is released."""
        self._reported(_OUTCOME_OF[report.state], report, cause, refused_as=refused_as)

    def wait_unreached(self, report: Report, retry_at: datetime, reason: str, cause: Cause) -> None:
        """Records that nobody was reached. `retry_at`: when the next try of the same call is due."""
        self._reported(
            events.OperationUnreached,
            replace(report, unreached=True),
            cause,
            retry_at=retry_at.isoformat(),
            reason=reason,
        )

    def report_status(self, report: Report, cause: Cause) -> None:
        """Records the PSP's response to a query that stays open, with the balances that it shows."""
        shown = report.balances or Balances()
        self._reported(
            events.OperationStatusReported,
            report,
            cause,
            reported_state=report.state.value,
            captured_minor=shown.captured_minor,
            refunded_minor=shown.refunded_minor,
            held_minor=shown.held_minor,
        )

    def identify(self, report: Report, cause: Cause) -> None:
        """Records the PSP's id of an operation that an operator resolved before any was known."""
        self._reported(events.OperationIdentified, report, cause)

    def confirm(self, report: Report, cause: Cause) -> None:
        """Records the PSP's response that closes a `confirm`."""
        self._reported(events.OperationConfirmed, report, cause, confirms=report.state.value)

    def contradict(
        self,
        report: Report,
        reason: str,
        cause: Cause,
        *,
        late_approval: bool = False,
        about: str = "",
        until: Until | None = None,
    ) -> None:
        """Records that the report contradicts the record, once; again only after a report of the PSP has
        settled it. `about`: what distinguishes it from other contradictions of the same report."""
        if (report.operation_id, report.state.value, report.psp_id, about) in self.contradictions:
            return
        self._reported(
            events.Contradicted,
            report,
            cause,
            reported=report.state.value,
            reason=reason,
            late_approval=late_approval,
            about=about,
            until=until,
        )

    def settle(self, key: ContradictionKey, reason: str, cause: Cause, observed_at: datetime | None) -> None:
        """Ends a contradiction that a later report of the PSP has settled."""
        name, reported, psp_id, about = key
        others = [
            one.reason for at, one in self.contradictions.items() if one.open and at[0] == name and at != key
        ]
        self.trigger_event(
            events.ContradictionSettled,
            operation_id=name,
            reported=reported,
            psp_id=psp_id,
            about=about,
            reason=reason,
            observed_at=None if observed_at is None else observed_at.isoformat(),
            open_reason=others[-1] if others else None,
            frozen=bool(others) or self.frozen_without(name),
            **cause.fields(),
        )

    def _reported(
        self, event: type[events.Reported], report: Report, cause: Cause, **more: str | bool | int | None
    ) -> None:
        self.trigger_event(
            event,
            **report.shared(),
            first_try_at=report.first_try_at.isoformat() if report.first_try_at else None,
            observed_at=report.observed_at.isoformat(),
            **more,
            **cause.fields(),
        )

    def record_external_move(
        self,
        kind: Kind,
        of: Operation,
        amount_minor: int,
        cause: Cause,
        *,
        psp_id: str | None,
        final: bool,
        observed_at: datetime,
        reason: str,
    ) -> None:
        """Records money that moved without AegisPay as an operation. `of`: the one that it captured or
        refunded. `psp_id`: None: the PSP shows only a total. `final`: nothing is held any more."""
        ordinal = len(self.operations) + 1
        self.trigger_event(
            events.ExternalMoveRecorded,
            operation_id=operation_id(self.id, kind, ordinal),
            kind=kind,
            ordinal=ordinal,
            target_operation_id=of.id,
            gateway=of.psp.gateway,
            account=of.psp.account,
            amount_minor=amount_minor,
            currency=self.amount.currency,
            psp_id=psp_id,
            final=final,
            may_be_disputed=kind == "refund" and "disputes_show_as_refunds" in of.psp.limits,
            observed_at=observed_at.isoformat(),
            reason=reason,
            **cause.fields(),
        )

    def keep_move(self, of: Operation, move: Move, observed_at: datetime, cause: Cause) -> None:
        """Records an external move on an operation without an outcome: it counts once that is approved."""
        self.trigger_event(
            events.ExternalMoveDeferred,
            operation_id=of.id,
            kind=move.kind,
            amount_minor=move.amount_minor,
            currency=self.amount.currency,
            psp_id=move.psp_id,
            observed_at=observed_at.isoformat(),
            reason=f"an external {move.kind} was made while {of.id} is {of.state}: recorded once that is approved",
            **cause.fields(),
        )

    def take_back(
        self, move: Operation, amount_minor: int, observed_at: datetime, reason: str, cause: Cause
    ) -> None:
        """Records that an external move has failed since. `amount_minor`: of the move, at most what is
        recorded of it."""
        self.trigger_event(
            events.ExternalMoveReversed,
            operation_id=move.id,
            kind=move.kind,
            amount_minor=amount_minor,
            left_minor=move.approved_minor - amount_minor,
            currency=self.amount.currency,
            observed_at=observed_at.isoformat(),
            reason=reason,
            **cause.fields(),
        )

    def end_attempts(
        self, ended: Ended, reason: str, cause: Cause, decision: dict[str, Any] | None = None
    ) -> None:
        """Records that no further attempt follows, and why. `decision`: by which no account was left."""
        self.trigger_event(
            events.AttemptsEnded,
            ended=ended,
            reason=f"no further attempt because {reason}",
            decision=decision,
            **cause.fields(),
        )

    def end_retries(self, operation: Operation, reason: str, cause: Cause) -> None:
        """Records that a capture, void or refund is not repeated, and why."""
        self.trigger_event(
            events.RetriesEnded,
            operation_id=operation.id,
            attempt=operation.attempt,
            reason=f"no further attempt because {reason}",
            **cause.fields(),
        )

    def schedule_retry(
        self,
        operation: Operation,
        at: datetime,
        account: str,
        cause: Cause,
        *,
        reason: str,
        three_ds: bool = False,
        decision: dict[str, Any] | None = None,
    ) -> None:
        """Records when, and at which account, the next operation takes the place of one that was not
        executed."""
        self.trigger_event(
            events.RetryScheduled,
            operation_id=operation.id,
            attempt=operation.attempt + 1,
            retry_at=at.isoformat(),
            account=account,
            three_ds=three_ds,
            reason=reason,
            decision=decision,
            **cause.fields(),
        )


_OUTCOME_OF: Final = {event.state: event for event in events.OUTCOMES}
