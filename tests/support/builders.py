"""One valid example of everything."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from aggregates import attempts, outcomes
from aggregates.decision import Cause, PaymentRequest
from aggregates.disputes import DisputeReport
from aggregates.fees import NO_FEES, FeeBook
from aggregates.hooks import Verdict
from aggregates.money import Money
from aggregates.operation import OperationState, Report
from aggregates.payment import Payment
from aggregates.routing.accounts import PspAccount
from aggregates.routing.retries import RetryPolicy
from aggregates.routing.route import Route
from aggregates.status import DisputeState
from commands.ids import fingerprint, payment_id
from commands.messages import CreatePayment, Outcome, RecordOutcome

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
PSP = PspAccount(
    gateway="stripe",
    account="sim-eu",
    key_life_s=23 * 3600,
    authorization_life_s=7 * 24 * 3600,
    multicapture=False,
    overcapture_percent=0,
    final_call_by="psp",
)
SECOND_PSP = replace(PSP, account="sim-us", multicapture=True)
ROUTE = Route((PSP,), RetryPolicy())
TWO_ACCOUNTS = Route((PSP, SECOND_PSP), RetryPolicy())
MULTICAPTURE = Route((SECOND_PSP,), RetryPolicy())
WEBHOOK_ONLY = Route((replace(PSP, gateway="adyen", account="ady", limits=frozenset({"no_lookup"})),))
"""A PSP that cannot be queried: its webhooks are the truth."""
ORDERS = Route(
    (
        replace(
            SECOND_PSP,
            gateway="paypal",
            account="pp",
            limits=frozenset({"refund_of_capture", "disputes_show_as_refunds"}),
        ),
    )
)
WHOLE = Route(
    (replace(PSP, gateway="razorpay", account="rzp", limits=frozenset({"full_capture", "no_void"})),)
)
COMMAND_ID = UUID("c0ffee00-0000-4000-8000-000000000001")


def create_payment(**other: Any) -> CreatePayment:
    fields: dict[str, Any] = {
        "command_id": COMMAND_ID,
        "merchant_id": "demo",
        "idempotency_key": "order-1",
        "amount_minor": 1099,
        "currency": "EUR",
        "payment_method": "pm_card_visa",
        "customer_id": "customer-1",
        "expires_at": NOW + timedelta(hours=1),
    } | other
    fields.setdefault("payment_id", payment_id(fields["merchant_id"], fields["idempotency_key"]))
    return CreatePayment(**fields)


def word(
    payment: Payment, state: DisputeState = "opened", amount_minor: int = 1099, **other: Any
) -> DisputeReport:
    """A PSP's report of a dispute of the payment's first operation."""
    fields: dict[str, Any] = {
        "dispute_id": "dp_1",
        "operation_id": next(iter(payment.operations), "nothing-s9"),
        "currency": "EUR",
        "reason": "fraudulent",
        "respond_by": None,
        "reported_at": None,
        "observed_at": NOW,
    }
    return DisputeReport(state=state, amount_minor=amount_minor, **fields | other)


def cause(
    now: datetime = NOW,
    command_id: UUID = COMMAND_ID,
    *,
    fingerprint: str | None = None,
    jitter: float = 0.5,
    fees: FeeBook = NO_FEES,
) -> Cause:
    return Cause(command_id, fingerprint, "correlation-1", None, now, jitter, fees)


def payment_request(**other: Any) -> PaymentRequest:
    command = create_payment()
    fields: dict[str, Any] = {
        "merchant_id": command.merchant_id,
        "idempotency_key": command.idempotency_key,
        "amount": Money(command.amount_minor, command.currency),
        "capture": "automatic",
        "payment_method": command.payment_method,
        "stored_credential": None,
        "customer_id": command.customer_id,
        "country": None,
        "description": None,
        "statement_text": None,
        "return_page": None,
        "metadata": {},
        "expires_at": command.expires_at,
    }
    return PaymentRequest(**fields | other)


def payment(route: Route = ROUTE, *, fees: FeeBook = NO_FEES, **other: Any) -> Payment:
    """Requested, with its first attempt started."""
    command = create_payment()
    begin = cause(fingerprint=fingerprint(command), fees=fees)
    return attempts.request(command.payment_id, payment_request(**other), route, begin)


REVIEW = Verdict("velocity", "fraud", "review", 1.5, score=0.82, reason="9 payments within an hour")


def held(route: Route = ROUTE, **other: Any) -> Payment:
    """By a fraud hook, until somebody reviews it."""
    command = create_payment()
    begin = cause(fingerprint=fingerprint(command))
    return attempts.request(command.payment_id, payment_request(**other), route, begin, [REVIEW])


def authorized(route: Route = ROUTE, **other: Any) -> Payment:
    """For manual capture, and approved in full at NOW + 1 s."""
    made = payment(route, capture="manual", **other)
    outcomes.take(made, report(operation_of(made)), route, cause(NOW + timedelta(seconds=1)))
    return made


def captured(route: Route = ROUTE, **other: Any) -> Payment:
    """By one sale."""
    made = payment(route, **other)
    outcomes.take(made, report(operation_of(made)), route, cause(NOW + timedelta(seconds=1)))
    return made


def operation_of(payment: Payment) -> str:
    """The id of its newest operation."""
    return list(payment.operations)[-1]


def report(operation_id: str, state: OperationState = OperationState.APPROVED, **other: Any) -> Report:
    fields: dict[str, Any] = {
        "operation_id": operation_id,
        "step": "1",
        "state": state,
        "psp_id": "pi_1",
        "amount_minor": 1099,
        "currency": "EUR",
        "code": None,
        "detail": None,
        "hint": None,
        "action_url": None,
        "repeat_is_useless": False,
        "source": "call",
        "tries": 1,
        "first_try_at": NOW,
        "observed_at": NOW + timedelta(seconds=1),
        "call_ms": 20.0,
    }
    return Report(**fields | other)


def record_outcome(payment: Payment, **outcome: Any) -> RecordOutcome:
    fields: dict[str, Any] = {"kind": "APPROVED", "psp_id": "pi_1", "amount_minor": 1099, "currency": "EUR"}
    return RecordOutcome(
        command_id=UUID("c0ffee00-0000-4000-8000-000000000002"),
        payment_id=payment.id,
        operation_id=operation_of(payment),
        step="1",
        gateway=PSP.gateway,
        account=PSP.account,
        outcome=Outcome(**fields | outcome),
        source="call",
        tries=1,
        first_try_at=NOW,
        observed_at=NOW + timedelta(seconds=1),
        call_ms=20.0,
    )
