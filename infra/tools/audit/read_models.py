"""Compares the read models with the stream: status, flags, every total and every operation."""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any, Final

from aggregates.operation import Operation
from aggregates.payment import Payment
from aggregates.status import SETTLED
from infra.tools.audit.facts import Facts, Finding

COLUMNS: Final = (
    "status",
    "merchant_id",
    "customer_id",
    "amount_minor",
    "currency",
    "capture",
    "authorized_minor",
    "captured_minor",
    "released_minor",
    "refunded_minor",
    "disputed_minor",
    "disputes",
    "capturable_minor",
    "refundable_minor",
    "description",
    "ended",
    "authorization_expired",
    "cancel_requested",
    "held_since",
    "frozen",
)
"""The columns of `payments` that are compared."""

OPERATION_COLUMNS: Final = (
    "kind",
    "state",
    "account",
    "psp_id",
    "amount_minor",
    "currency",
    "approved_minor",
    "target",
    "attempt",
    "final",
    "duplicate_charge",
    "escalated",
)


_OF_A_DISPUTE: Final = ("dispute_id", "state", "amount_minor", "currency")


def as_shown(columns: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the columns with no more of a dispute than its state and amount, and of a hold only whether
    there is one."""
    disputes = [{name: one.get(name) for name in _OF_A_DISPUTE} for one in columns["disputes"] or ()]
    return dict(columns) | {"disputes": disputes, "held_since": columns["held_since"] is not None}


def judge(facts: Facts, *, goes_on: bool) -> Iterator[Finding]:
    """Yields the differences. `goes_on`: something is still due for the payment, so the read models may be
    behind."""
    recorded, shown = facts.recorded, facts.shown
    if recorded is None and shown is not None:
        text = "the read model shows a payment that the event store does not have"
        yield Finding("read_model_mismatches", text)
    if recorded is None or recorded.payment is None:
        return
    payment = recorded.payment
    goes_on |= payment.status not in SETTLED
    if shown is None or shown.version == 0:
        if not goes_on:
            yield Finding("read_model_mismatches", "the read model does not have it")
        return
    if shown.version < recorded.version and goes_on:
        return  # on its way: `unsettled` names it
    differs = [*_differences(columns(payment, recorded.customer_id), shown.columns)]
    if shown.version != recorded.version:
        differs.append(f"version is {recorded.version}, shown as {shown.version}")
    for name in sorted(payment.operations.keys() | shown.operations.keys()):
        operation = payment.operations.get(name)
        differs += _operation_differs(name, operation, shown.operations.get(name))
    if shown.stale:
        differs.append("it is marked stale")
    if differs:
        yield Finding("read_model_mismatches", "; ".join(differs))


def _operation_differs(name: str, operation: Operation | None, shown: Mapping[str, Any] | None) -> list[str]:
    if operation is None:
        return [f"{name} is shown, and there is no such operation"]
    if shown is None:
        return [f"{name} is not shown"]
    return [f"{name}: {text}" for text in _differences(operation_columns(operation), shown)]


def _differences(recorded: Mapping[str, Any], shown: Mapping[str, Any]) -> list[str]:
    return [
        f"{name} is {value!r}, shown as {shown[name]!r}"
        for name, value in recorded.items()
        if value != shown[name]
    ]


def columns(payment: Payment, customer_id: str | None) -> dict[str, Any]:
    """Returns what the payment's row should hold."""
    total = payment.totals
    return {
        "status": payment.status.value,
        "merchant_id": payment.merchant_id,
        "customer_id": customer_id,
        "amount_minor": payment.amount.minor,
        "currency": payment.amount.currency,
        "capture": payment.capture,
        "authorized_minor": total.authorized,
        "captured_minor": total.captured,
        "released_minor": total.released,
        "refunded_minor": total.refunded,
        "disputed_minor": total.disputed,
        "disputes": [
            {
                "dispute_id": name,
                "state": one.state,
                "amount_minor": one.amount_minor,
                "currency": one.currency,
            }
            for name, one in payment.disputes.items()
        ],
        "capturable_minor": total.capturable,
        "refundable_minor": total.refundable,
        "description": payment.description,
        "ended": payment.ended,
        "authorization_expired": payment.authorization_expired,
        "cancel_requested": payment.cancel_requested,
        "held_since": payment.held,
        "frozen": payment.frozen,
    }


def operation_columns(operation: Operation) -> dict[str, Any]:
    """Returns what the operation's row should hold."""
    return {name: _plain(_of_operation(operation, name)) for name in OPERATION_COLUMNS}


def _of_operation(operation: Operation, column: str) -> Any:
    match column:
        case "account":
            return operation.psp.account
        case "amount_minor":
            return operation.amount.minor
        case "currency":
            return operation.amount.currency
        case _:
            return getattr(operation, column)


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, StrEnum) else value
