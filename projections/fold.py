"""Applies each event to a payment's row and its operations' rows. Pure.

Invariant: after `apply` of every event and one `settle`, the row equals the aggregate's state (a property
test compares them). An event that names an operation unknown here changes no operation: its sender is broken,
or it reports that the payment has no such operation.
"""

from dataclasses import fields
from fractions import Fraction
from operator import attrgetter
from typing import Final, assert_never

from aggregates.hooks import HELD
from aggregates.operation import CHARGE_ATTEMPTS, OperationState
from aggregates.status import Status
from projections import bodies
from projections.events import OUTCOMES, Event
from projections.rows import Contradiction, Dispute, NewOperation, NewPayment, OperationRow, PaymentRow

PASSED_ON: Final = tuple(one.name for one in fields(bodies.PassedOn))
_read_passed_on: Final = attrgetter(*PASSED_ON)


def apply(payment: PaymentRow, event: Event) -> None:
    """Applies the payment's next event. The caller checks its version, and settles the row at the end."""
    body = event.body
    match body:
        case bodies.Requested():
            _requested(payment, body)
        case bodies.Rejected():
            payment.status = Status.REJECTED
            payment.reason = body.code
            payment.decision = body.detail
            payment.held_since = None
        case bodies.Held():
            payment.reason, payment.decision = HELD, body.reason
            payment.held_since = body.timestamp
        case bodies.Reviewed():
            payment.reason = payment.held_since = None
        case bodies.OperationStarted():
            _started(payment, body)
        case bodies.ExternalMoveRecorded():
            _external_move(payment, body)
        case bodies.ExternalMoveReversed():
            _external_move_reversed(payment, body)
        case bodies.OperationReported():
            _reported(payment, body, OUTCOMES[event.topic])
        case bodies.Contradicted():
            _contradicted(payment, body)
        case bodies.ContradictionSettled():
            earlier = _thaw(payment, body.operation_id)
            if earlier is not None and body.open_reason is not None:
                payment.contradictions.append(earlier | {"reason": body.open_reason})
        case bodies.DuplicateChargeConfirmed():
            _duplicate_confirmed(payment, body)
        case bodies.Resolved():
            _resolved(payment, body)
        case bodies.OperationIdentified():
            _identified(payment, body)
        case bodies.RetryScheduled():
            _retry(payment, body)
        case bodies.AccountAwaited():
            payment.decision = body.reason
        case bodies.AttemptsEnded():
            _attempts_ended(payment, body)
        case bodies.OperationFollowUpRequested() | bodies.Escalated():
            _followed_up(payment, body)
        case bodies.CancelRequested():
            payment.cancel_requested = True
        case bodies.AuthorizationExpired():
            payment.authorization_expired = True
            payment.decision = body.reason
        case bodies.RetriesEnded():
            if (operation := _touch(payment, body.operation_id, body)) is not None:
                operation.retry_at = None
        case bodies.DisputeChanged():
            _disputed(payment, body)
        case bodies.Noted() | bodies.Other():
            pass
        case _:
            assert_never(body)
    payment.version = event.version
    payment.updated_at = body.timestamp


def _requested(payment: PaymentRow, body: bodies.Requested) -> None:
    payment.merchant_id = body.merchant_id
    payment.amount_minor = body.amount_minor
    payment.currency = body.currency
    passed_on = dict(zip(PASSED_ON, _read_passed_on(body), strict=True))
    payment.new = NewPayment(**passed_on, created_at=body.timestamp)


def _started(payment: PaymentRow, body: bodies.OperationStarted) -> None:
    if body.retry_of is not None and (failed := _touch(payment, body.retry_of, body)) is not None:
        failed.retry_at = None
    payment.gateway = body.gateway
    fee = (body.expected_fee_minor, body.expected_fee_currency)
    operation = _add_operation(payment, body, body.attempt, fee)
    operation.action_until, operation.authorization_life_s = body.action_until, body.authorization_life_s
    operation.duplicate_charge = body.duplicate_charge
    if body.decision is not None and body.decision.experiment is not None:
        _assigned(payment, operation, body.account, body.decision)


def _assigned(payment: PaymentRow, operation: OperationRow, account: str, decision: bodies.Choice) -> None:
    """Notes the arm of a payment's first attempt. One whose arm was stopped counts for none."""
    experiment = decision.experiment
    attempts = [one for one in payment.operations.values() if one.kind in CHARGE_ATTEMPTS]
    if experiment is None or experiment.serves is not None or attempts != [operation]:
        return
    operation.experiment_id, operation.experiment_definition = experiment.id, experiment.definition
    operation.arm = experiment.arm
    operation.policy_version = decision.policy_version
    fee_minor = next((one.fee_minor for one in decision.accounts if one.account == account), None)
    if fee_minor is not None and operation.amount_minor > 0:
        operation.cost_ppm = round(Fraction(1_000_000 * fee_minor, operation.amount_minor))


def _external_move(payment: PaymentRow, body: bodies.ExternalMoveRecorded) -> None:
    operation = _add_operation(payment, body, attempt=1)
    operation.state, operation.psp_id = OperationState.APPROVED, body.psp_id
    operation.approved_minor, operation.approved_at = body.amount_minor, body.observed_at
    operation.code, operation.detail = "external", body.reason
    operation.may_be_disputed = body.may_be_disputed


def _external_move_reversed(payment: PaymentRow, body: bodies.ExternalMoveReversed) -> None:
    payment.decision = body.reason
    operation = _touch(payment, body.operation_id, body)
    if operation is not None:
        operation.approved_minor, operation.detail = body.left_minor, body.reason
        operation.state = OperationState.APPROVED if body.left_minor else OperationState.DECLINED_HARD


def _add_operation(
    payment: PaymentRow,
    body: bodies.OperationStarted | bodies.ExternalMoveRecorded,
    attempt: int,
    fee: tuple[int | None, str | None] = (None, None),
) -> OperationRow:
    """Adds the row of an operation that has no outcome yet. `fee`: expected, and its currency."""
    payment.decision = body.reason
    payment.touched.add(body.operation_id)
    operation = OperationRow(
        operation_id=body.operation_id,
        payment_id=payment.payment_id,
        kind=body.kind,
        amount_minor=body.amount_minor,
        currency=body.currency,
        final=body.final,
        updated_at=body.timestamp,
        new=NewOperation(
            merchant_id=payment.merchant_id,
            ordinal=body.ordinal,
            attempt=attempt,
            gateway=body.gateway,
            account=body.account,
            target=body.target_operation_id,
            started_at=body.timestamp,
            expected_fee_minor=fee[0],
            expected_fee_currency=fee[1],
        ),
    )
    payment.operations[body.operation_id] = operation
    return operation


def _touch(payment: PaymentRow, operation_id: str, body: bodies.Body) -> OperationRow | None:
    operation = payment.operations.get(operation_id)
    if operation is not None:
        operation.updated_at = body.timestamp
        payment.touched.add(operation_id)
    return operation


def _reported(payment: PaymentRow, body: bodies.OperationReported, state: OperationState) -> None:
    payment.reason = body.code
    operation = _touch(payment, body.operation_id, body)
    if operation is None:
        return
    operation.state = state
    operation.psp_id = body.psp_id or operation.psp_id
    operation.code, operation.detail = body.code, body.detail
    operation.call_ms = body.call_ms
    if state is not OperationState.UNKNOWN:
        operation.in_doubt_since = None
    elif operation.in_doubt_since is None:
        operation.in_doubt_since = body.timestamp
    if state is OperationState.APPROVED:
        operation.approved_minor = body.amount_minor or 0
        operation.approved_at = body.observed_at
    if operation.kind in CHARGE_ATTEMPTS:
        waits = state is OperationState.ACTION_REQUIRED
        payment.action_url = (body.action_url or payment.action_url) if waits else None
        payment.action_until = operation.action_until if waits else None


def _followed_up(payment: PaymentRow, body: bodies.OperationFollowUpRequested | bodies.Escalated) -> None:
    operation = _touch(payment, body.operation_id, body)
    if operation is None:
        return
    if isinstance(body, bodies.OperationFollowUpRequested):
        operation.queries = body.follow_up
        if operation.state is OperationState.UNREACHED and body.how == "repeat":
            operation.state = OperationState.STARTED
        if body.how == "continue":
            operation.state = OperationState.STARTED
            operation.in_doubt_since = None
            if operation.kind in CHARGE_ATTEMPTS:
                payment.action_url = payment.action_until = None
    else:
        operation.escalated = True
        if operation.state is OperationState.STARTED and operation.in_doubt_since is None:
            operation.in_doubt_since = body.since


def _contradicted(payment: PaymentRow, body: bodies.Contradicted) -> None:
    operation = payment.operations.get(body.operation_id)
    complete = body.amount_minor is not None and body.currency is not None
    amount_minor, currency = body.amount_minor, body.currency
    if not complete and operation is not None:
        amount_minor, currency = operation.amount_minor, operation.currency
    _freeze(
        payment,
        {
            "operation_id": body.operation_id,
            "since": body.timestamp.isoformat(),
            "reason": body.reason,
            "reported": body.reported,
            "amount_minor": amount_minor if amount_minor is not None else payment.amount_minor,
            "currency": currency if currency is not None else payment.currency,
            "late_psp_id": body.psp_id if body.late_approval else None,
            "second_psp_ids": [body.psp_id] if body.until == "named" and body.psp_id is not None else [],
            "dispute_id": None,
        },
    )


def _freeze(payment: PaymentRow, new: Contradiction) -> None:
    """Replaces the operation's contradiction, and keeps its `since`, its late charge and its second ids."""
    if (old := _thaw(payment, new["operation_id"])) is not None:
        new["since"] = old["since"]
        new["late_psp_id"] = new["late_psp_id"] or old["late_psp_id"]
        new["second_psp_ids"] = list(dict.fromkeys(old["second_psp_ids"] + new["second_psp_ids"]))
    payment.contradictions.append(new)


def _thaw(payment: PaymentRow, operation_id: str) -> Contradiction | None:
    """Removes and returns the contradiction of this operation; None: there is none."""
    for one in payment.contradictions:
        if one["operation_id"] == operation_id and one["dispute_id"] is None:
            payment.contradictions.remove(one)
            return one
    return None


def _duplicate_confirmed(payment: PaymentRow, body: bodies.DuplicateChargeConfirmed) -> None:
    _thaw(payment, body.operation_id)
    operation = _touch(payment, body.operation_id, body)
    if operation is None:
        return
    operation.state = OperationState.APPROVED
    operation.approved_minor = body.amount_minor
    operation.psp_id = body.psp_id or operation.psp_id
    operation.duplicate_charge = True
    operation.in_doubt_since = None


def _resolved(payment: PaymentRow, body: bodies.Resolved) -> None:
    earlier = _thaw(payment, body.operation_id)
    if earlier is not None and body.open_reason is not None:
        undecided = [one for one in earlier["second_psp_ids"] if one != body.other_psp_id]
        payment.contradictions.append(earlier | {"reason": body.open_reason, "second_psp_ids": undecided})
    operation = _touch(payment, body.operation_id, body)
    if operation is None or body.other_psp_id is not None:
        return
    charged = body.decision == "charged"
    operation.state = OperationState.APPROVED if charged else OperationState.PROVEN_ABSENT
    operation.approved_minor = body.amount_minor if charged else 0
    operation.approved_at = body.approved_at
    if charged:
        operation.retry_at = None
    if earlier is not None:
        operation.psp_id = earlier["late_psp_id"] or operation.psp_id
    operation.psp_id = body.psp_id or operation.psp_id
    operation.in_doubt_since = None
    if operation.kind in CHARGE_ATTEMPTS:
        payment.action_url = None
        payment.action_until = None


def _identified(payment: PaymentRow, body: bodies.OperationIdentified) -> None:
    operation = _touch(payment, body.operation_id, body)
    if operation is not None:
        operation.psp_id = body.psp_id


def _retry(payment: PaymentRow, body: bodies.RetryScheduled) -> None:
    payment.decision = body.reason
    operation = _touch(payment, body.operation_id, body)
    if operation is not None:
        operation.retry_at = body.retry_at


def _attempts_ended(payment: PaymentRow, body: bodies.AttemptsEnded) -> None:
    payment.ended = body.ended
    payment.held_since = None
    payment.decision = body.reason
    for operation in payment.operations.values():
        if operation.retry_at is not None and operation.kind in CHARGE_ATTEMPTS:
            operation.retry_at = None
            payment.touched.add(operation.operation_id)


def _disputed(payment: PaymentRow, body: bodies.DisputeChanged) -> None:
    dispute: Dispute = {
        "dispute_id": body.dispute_id,
        "operation_id": body.operation_id,
        "state": body.state,
        "amount_minor": body.amount_minor,
        "currency": body.currency,
        "reason": body.reason,
        "respond_by": None if body.respond_by is None else body.respond_by.isoformat(),
        "reported_at": body.reported_at.isoformat(),
        "observed_at": body.observed_at.isoformat(),
        "who": body.who,
    }
    others = [one for one in payment.disputes if one["dispute_id"] != body.dispute_id]
    payment.disputes = [*others, dispute]
