"""A payment: its state, and what may be recorded of it. Invariant: at most one operation that takes money is not proven
unexecuted, and no sum passes what was asked for.

The rules stand beside it, one file for each kind of message: attempts, merchant, reports, doubt, wakes. They decide and
then call a method of this one, which only records.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, ClassVar, Final
from uuid import UUID

from eventsourcing.domain import Aggregate

from aggregates import events
from aggregates.asked import Cause
from aggregates.money import Money
from aggregates.operation import (
    NOT_EXECUTED,
    How,
    Kind,
    Operation,
    OperationState,
    Report,
    operation_id,
)
from aggregates.retry import PspAccount
from aggregates.status import Ended, Marks, Part, Status, Sums, status, sums

ACTION_LIFE: Final = timedelta(hours=1)
"""How long a customer has for a challenge, were the payment not to expire before."""

FIRST_STEP: Final = "1"
_REFUND_LIFE: Final = timedelta(days=7)
_WARNING: Final = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Retry:
    """An operation that was not executed, and when the next one takes its place."""

    operation: Operation
    at: datetime
    account: str
    three_ds: bool


class Payment(Aggregate):
    TOPIC: ClassVar[str] = "payment"
    Event = events.Event
    Created = events.Created

    def __init__(self) -> None:
        self.merchant_id = ""
        self.idempotency_key = ""
        self.fingerprint = ""
        self.create_command_id = UUID(int=0)
        self.correlation_id = ""
        self.amount = Money(0, "USD")
        self.capture = "automatic"
        self.payment_method = ""
        self.stored_credential: dict[str, str | None] | None = None
        self.description: str | None = None
        self.statement_text: str | None = None
        self.return_page: str | None = None
        self.expires_at = datetime.min.replace(tzinfo=UTC)
        self.commands: dict[str, str] = {}  # fingerprints of those that were accepted
        self.operations: dict[str, Operation] = {}
        self.retries: dict[str, Retry] = {}
        self.rejected: str | None = None
        self.reason: str | None = None
        self.ended: Ended | None = None
        self.cancel_requested = False
        self.returned: Counter[str] = Counter()  # by operation
        self.frozen_by: set[str] = set()  # operations
        self.contradictions: set[tuple[str, str, str | None]] = set()
        self.disputes: dict[str, tuple[str, int]] = {}  # state, amount
        self.expiry_warned = False
        self.authorization_expired = False

    # What it is

    @property
    def frozen(self) -> bool:
        """Nothing that moves money starts but by a person; questions, cancels and timers go on."""
        return bool(self.frozen_by)

    @property
    def parts(self) -> tuple[Part, ...]:
        return tuple(
            Part(o.kind, o.state, o.amount.minor, o.approved_minor, o.final, o.extra)
            for o in self.operations.values()
        )

    @property
    def marks(self) -> Marks:
        return Marks(
            rejected=self.rejected is not None,
            ended=self.ended,
            authorization_expired=self.authorization_expired,
            disputed_minor=sum(minor for state, minor in self.disputes.values() if state != "won"),
            retrying=tuple((retry.operation.kind, retry.operation.amount.minor) for retry in self._waiting()),
        )

    def _waiting(self) -> Iterator[Retry]:
        return (retry for retry in self.retries.values() if not retry.operation.extra)

    @property
    def status(self) -> Status:
        return status(self.parts, self.marks)

    @property
    def sums(self) -> Sums:
        return sums(self.parts, self.marks)

    @property
    def attempts(self) -> list[Operation]:
        return [operation for operation in self.operations.values() if operation.taking]

    @property
    def taken_by(self) -> Operation | None:
        """The attempt that succeeded."""
        approved = (o for o in self.attempts if o.state is OperationState.APPROVED and not o.extra)
        return next(approved, None)

    @property
    def authorization_until(self) -> datetime | None:
        """Until when what was authorized may be captured; None where nothing waits for a capture."""
        taken = self.taken_by
        if taken is None or taken.kind != "authorize" or taken.approved_at is None:
            return None
        return taken.approved_at + timedelta(seconds=taken.psp.authorization_life_s)

    def under_way(self, kind: Kind) -> list[Operation]:
        waiting = [retry.operation for retry in self.retries.values()]
        started = [operation for operation in self.operations.values() if operation.open]
        return [operation for operation in started + waiting if operation.kind == kind]

    def expiry_at(self) -> datetime | None:
        """When the warning, or the end itself, of what can be captured is due; None while it is being captured."""
        until, total = self.authorization_until, self.sums
        if until is None or self.authorization_expired or not total.capturable or total.capturing:
            return None
        taken = self.taken_by
        assert taken is not None
        if self.expiry_warned:
            return until
        return until - min(_WARNING, timedelta(seconds=taken.psp.authorization_life_s) / 4)

    def due(self) -> list[datetime]:
        """When something will change by itself."""
        if self.rejected is not None:
            return []
        moments = [o.next_ask_at() for o in self.operations.values()]
        moments += [o.person_at() for o in self.operations.values()]
        moments.append(self.expiry_at())
        if not self.frozen:
            moments += [retry.at for retry in self.retries.values()]
        return [moment for moment in moments if moment is not None]

    def next_wake_at(self, now: datetime) -> datetime | None:
        """Later than `now`, or None when nothing will change by itself."""
        due = self.due()
        return max(min(due), now + timedelta(milliseconds=1)) if due else None

    # What is recorded

    def start(
        self,
        kind: Kind,
        psp: PspAccount,
        amount_minor: int,
        cause: Cause,
        *,
        because: str,
        target: Operation | None = None,
        final: bool = False,
        three_ds: bool = False,
        extra: bool = False,
        retry_of: Operation | None = None,
    ) -> None:
        ordinal = len(self.operations) + 1
        taking = target is None
        assert not taking or all(o.state in NOT_EXECUTED for o in self.attempts), (
            "an attempt may only start when every earlier one is proven not executed"
        )
        self.trigger_event(
            events.OperationStarted,
            ordinal=ordinal,
            attempt=retry_of.attempt + 1 if retry_of is not None else 1,
            authorization_life_s=psp.authorization_life_s,
            completed_by=psp.completed_by,
            limits=tuple(sorted(psp.limits)),
            retry_of=None if retry_of is None else retry_of.id,
            extra=extra,
            **self._request(
                operation_id(self.id, kind, ordinal),
                kind,
                psp,
                amount_minor,
                step=FIRST_STEP,
                target=target,
                final=final,
                three_ds=three_ds,
                expires_at=self._may_be_sent_until(target, kind, cause),
                action_until=min(cause.now + ACTION_LIFE, self.expires_at) if taking else None,
                because=because,
            ),
            **cause.fields(),
        )

    def _may_be_sent_until(self, target: Operation | None, kind: Kind, cause: Cause) -> datetime:
        if target is None:
            return self.expires_at
        until = self.authorization_until
        return until if kind == "capture" and until is not None else cause.now + _REFUND_LIFE

    def ask(self, operation: Operation, cause: Cause, *, only_query: bool = False) -> None:
        how, because = operation.how_to_ask(cause.now, frozen=self.frozen, canceled=self.cancel_requested)
        if only_query and how in {"repeat", "continue"}:
            how, because = "query", "a look-up was asked for"
        self.ask_by(how, operation, cause, because)

    def ask_by(
        self,
        how: How,
        operation: Operation,
        cause: Cause,
        because: str,
        returned: dict[str, str] | None = None,
    ) -> None:
        first = (how == "cancel" and not operation.told_to_end) or (
            how == "confirm" and not operation.confirming
        )
        news_at = operation.last_news_at or operation.started_at
        over = (
            operation.state is OperationState.ACTION_REQUIRED
            and operation.challenge_over(cause.now)
            and not operation.challenge_over(news_at)
        )
        late = operation.late
        self.trigger_event(
            events.OperationAsked,
            how=how,
            # Each is a matter of its own: it is asked about again as soon as a new question would be.
            ask=0 if how == "continue" else 1 if first or over else operation.asked + 1,
            psp_id=late.psp_id if late is not None and late.psp_id is not None else operation.psp_id,
            returned=returned if how == "continue" else operation.returned,
            **self._request(
                operation.id,
                operation.kind,
                operation.psp,
                operation.amount.minor,
                step=(operation.next_step if how == "continue" else None) or operation.step,
                target=None if operation.target is None else self.operations[operation.target],
                final=operation.final,
                three_ds=operation.three_ds,
                expires_at=operation.expires_at,
                action_until=operation.action_until,
                because=because,
            ),
            **cause.fields(),
        )

    def _request(
        self,
        name: str,
        kind: Kind,
        psp: PspAccount,
        amount_minor: int,
        *,
        step: str,
        target: Operation | None,
        final: bool,
        three_ds: bool,
        expires_at: datetime,
        action_until: datetime | None,
        because: str,
    ) -> dict[str, Any]:
        return {
            "operation_id": name,
            "kind": kind,
            "step": step,
            "gateway": psp.gateway,
            "account": psp.account,
            "merchant_id": self.merchant_id,
            "amount_minor": amount_minor,
            "currency": self.amount.currency,
            "payment_method": psp.token(self.payment_method),
            "description": self.description,
            "statement_text": self.statement_text,
            "three_ds": three_ds,
            "stored_credential": self.stored_credential,
            "target_operation_id": None if target is None else target.id,
            "target_psp_id": None if target is None else target.psp_id,
            "target_minor": None if target is None else target.approved_minor,
            "final": final,
            "multicapture": psp.multicapture,
            "overcapture_percent": psp.overcapture_percent,
            "key_life_s": psp.key_life_s,
            "expires_at": expires_at.isoformat(),
            "action_until": None if action_until is None else action_until.isoformat(),
            "because": because,
        }

    def outcome(self, report: Report, cause: Cause) -> None:
        self._reported(_OUTCOME_OF[report.state], report, cause)

    def confirm(self, report: Report, cause: Cause) -> None:
        self._reported(events.OperationConfirmed, report, cause, confirms=report.state.value)

    def contradict(self, report: Report, why: str, cause: Cause, *, late_charge: bool = False) -> None:
        if (report.operation_id, report.state.value, report.psp_id) in self.contradictions:
            return
        self._reported(
            events.Contradicted, report, cause, reported=report.state.value, why=why, late_charge=late_charge
        )

    def _reported(
        self, event: type[events.Reported], report: Report, cause: Cause, **more: str | bool
    ) -> None:
        self.trigger_event(
            event,
            operation_id=report.operation_id,
            step=report.step,
            psp_id=report.psp_id,
            amount_minor=report.amount_minor,
            currency=report.currency,
            code=report.code,
            detail=report.detail,
            hint=report.hint,
            action_url=report.action_url,
            repeat_is_useless=report.repeat_is_useless,
            source=report.source,
            tries=report.tries,
            first_try_at=report.first_try_at.isoformat() if report.first_try_at else None,
            observed_at=report.observed_at.isoformat(),
            call_ms=report.call_ms,
            next_step=report.next_step,
            **more,
            **cause.fields(),
        )

    def end_attempts(self, ended: Ended, because: str, cause: Cause) -> None:
        self.trigger_event(
            events.AttemptsEnded,
            ended=ended,
            because=f"no further attempt because {because}",
            **cause.fields(),
        )

    def end_retries(self, operation: Operation, because: str, cause: Cause) -> None:
        self.trigger_event(
            events.RetriesEnded,
            operation_id=operation.id,
            attempt=operation.attempt,
            because=f"no further attempt because {because}",
            **cause.fields(),
        )

    def schedule_retry(
        self,
        operation: Operation,
        at: datetime,
        account: str,
        cause: Cause,
        *,
        because: str,
        three_ds: bool = False,
    ) -> None:
        self.trigger_event(
            events.RetryScheduled,
            operation_id=operation.id,
            attempt=operation.attempt + 1,
            retry_at=at.isoformat(),
            account=account,
            three_ds=three_ds,
            because=because,
            **cause.fields(),
        )

    # Called by events

    def wait_for_retry(self, operation: str, at: datetime, account: str, *, three_ds: bool) -> None:
        self.retries[operation] = Retry(self.operations[operation], at, account, three_ds)

    def drop_retries_of_attempts(self) -> None:
        self.retries = {name: retry for name, retry in self.retries.items() if not retry.operation.taking}


_OUTCOME_OF: Final = {event.state: event for event in events.OUTCOMES}
