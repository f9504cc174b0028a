"""Calls to a PSP, recorded before the agent makes them: AegisPay starts an operation, or follows it up."""

from dataclasses import field
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from aggregates.events.event import Event
from aggregates.money import Money
from aggregates.operation import Kind, Operation, OperationState
from aggregates.routing.accounts import Limit, PspAccount

if TYPE_CHECKING:
    from aggregates.payment_state import PaymentState


class Request(Event):
    """The input of the call to the PSP, complete, so that a repeat has the same bytes. `ends_unreached`: if
    nobody is reached, the agent closes the step, and another account may take the payment; otherwise it stays
    open. `segment`: the transactions whose health it counts for."""

    TOPIC: ClassVar[str] = "operation.request"
    operation_id: str
    kind: Kind
    step: str
    gateway: str
    account: str
    merchant_id: str
    amount_minor: int
    currency: str
    payment_method: str
    description: str | None
    statement_text: str | None
    three_ds: bool
    stored_credential: dict[str, str | None] | None
    target_operation_id: str | None
    target_psp_id: str | None
    final: bool
    multicapture: bool
    overcapture_percent: int
    key_life_s: int
    expires_at: str
    action_until: str | None
    ends_unreached: bool
    reason: str
    target_minor: int | None = field(default=None, kw_only=True)
    segment: str = field(default="", kw_only=True)


class OperationStarted(Request):
    """Recorded before the call: it is also the request that a gateway worker reads. `decision`: of the
    router, see `routing.choice.Decision.record`; None where nothing was to be chosen. `probe`: the call
    tests a half-open circuit. `owed`: AegisPay gives it back by itself, and no hook is asked.
    `expected_fee_minor`: what the account is expected to charge if the operation
    is executed, in minor units of `expected_fee_currency`; None: unknown, never free."""

    TOPIC: ClassVar[str] = "operation.started.v1"
    ordinal: int
    attempt: int
    authorization_life_s: int
    final_call_by: str
    retry_of: str | None
    duplicate_charge: bool
    timed: bool = field(default=False, kw_only=True)
    owed: bool = field(default=False, kw_only=True)
    final_requested: bool = field(default=False, kw_only=True)
    limits: tuple[Limit, ...] = field(default=(), kw_only=True)
    decision: dict[str, Any] | None = field(default=None, kw_only=True)
    probe: bool = field(default=False, kw_only=True)
    expected_fee_minor: int | None = field(default=None, kw_only=True)
    expected_fee_currency: str | None = field(default=None, kw_only=True)

    def record(self, payment: "PaymentState") -> None:
        """Adds the operation, in place of the one that it repeats."""
        payment.awaits_account = None
        if self.retry_of is not None:
            payment.retries.pop(self.retry_of, None)
        if self.expected_fee_minor is not None and self.expected_fee_currency is not None:
            fee = Money(self.expected_fee_minor, self.expected_fee_currency)
            payment.expected_fees[self.operation_id] = fee
        before = None if self.retry_of is None else payment.operations[self.retry_of]
        payment.operations[self.operation_id] = Operation(
            id=self.operation_id,
            kind=self.kind,
            ordinal=self.ordinal,
            attempt=self.attempt,
            step=self.step,
            psp=PspAccount(
                gateway=self.gateway,
                account=self.account,
                key_life_s=self.key_life_s,
                authorization_life_s=self.authorization_life_s,
                multicapture=self.multicapture,
                overcapture_percent=self.overcapture_percent,
                final_call_by="us" if self.final_call_by == "us" else "psp",
                limits=frozenset(self.limits),
            ),
            amount=Money(self.amount_minor, self.currency),
            command_id=self.command_id if before is None else before.command_id,
            unreached=0 if before is None else before.unreached,
            started_at=self.timestamp,
            expires_at=datetime.fromisoformat(self.expires_at),
            action_until=None if self.action_until is None else datetime.fromisoformat(self.action_until),
            target=self.target_operation_id,
            target_minor=self.target_minor,
            final=self.final,
            three_ds=self.three_ds,
            duplicate_charge=self.duplicate_charge,
            timed=self.timed,
            owed=self.owed,
            final_requested=self.final_requested,
        )


class OperationFollowUpRequested(Request):
    """AegisPay follows an operation up: `repeat` sends the same call again, `query` looks it up, `cancel`
    ends it at the PSP if it can still be ended, `release` ends the hold of an earlier step, `confirm` looks
    it up whatever is known already, `continue` sends the operation's next step, with what the customer's
    browser brought back."""

    TOPIC: ClassVar[str] = "operation.follow_up_requested.v1"
    how: str
    follow_up: int
    psp_id: str | None
    returned: dict[str, str] | None = field(default=None, kw_only=True)
    doubted: bool = field(default=False, kw_only=True)

    def record(self, payment: "PaymentState") -> None:
        """Moves the query schedule on, and notes what the gateway worker is to do."""
        operation = payment.operations[self.operation_id]
        operation.queries = self.follow_up
        operation.last_update_at = operation.last_call_at = self.timestamp
        operation.retry_at = None
        if operation.state is OperationState.UNREACHED and self.how == "repeat":
            operation.state = OperationState.STARTED
        if self.how == "continue":
            operation.state = OperationState.STARTED
            operation.step, operation.next_step, operation.returned = self.step, None, self.returned
            operation.first_try_at = operation.unknown_since = None
            operation.queried = operation.repeat_is_useless = False
            return
        operation.cancel_sent |= self.how in {"cancel", "release"}
        operation.doubted |= self.doubted
        if (not operation.open or operation.late_approval is not None) and not operation.confirming:
            operation.confirming, operation.confirming_since = True, self.timestamp
