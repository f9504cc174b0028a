"""Counts what became of charges: for the arms of experiments, and for the volumes of PSP accounts.

Invariant: the counts follow from applied events alone. An operation's share of them before a batch and after
it is a function of its row, and the difference is added: so each event counts once, and a charge that is
taken back counts no more. The rows are written first, the counters last.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, date
from typing import Any, Final, Literal

import orjson
import psycopg

from aggregates.operation import CHARGE_ATTEMPTS, OperationState
from commands.sql import statements
from projections.rows import OperationRow, PaymentRow

_SQL: Final = statements(__file__)
S = OperationState
Ended = Literal["approved", "declined", "failed"]
_ENDED: Final[dict[OperationState, Ended]] = {
    S.APPROVED: "approved",
    S.DECLINED_SOFT: "declined",
    S.DECLINED_HARD: "declined",
    S.EXPIRED: "declined",  # the customer did not end the challenge
    S.NOT_SENT: "failed",
    S.PROVEN_ABSENT: "failed",
}


@dataclass(frozen=True, slots=True)
class Share:
    """What one charge adds to the counts. `ended` None: nobody knows yet. `day`: of the approval, in UTC."""

    ended: Ended | None = None
    approved_minor: int = 0
    day: date | None = None
    latency_ms: int | None = None


_NOTHING: Final = Share()


def share_of(operation: OperationRow) -> Share:
    """Returns what the charge adds to the counts."""
    ended = _ENDED.get(operation.state)
    if ended is None:
        return _NOTHING
    latency_ms = None if operation.call_ms is None else round(operation.call_ms)
    if ended != "approved":
        return Share(ended, latency_ms=latency_ms)
    approved_at = operation.approved_at or operation.updated_at
    return Share(ended, operation.approved_minor, approved_at.astimezone(UTC).date(), latency_ms)


Shares = dict[str, Share | None]
"""The shares of a payment's charges by their ids. None: the operation was not there."""


def shares_of(payment: PaymentRow) -> Shares:
    """Returns the shares of all charges of a payment, as they are now."""
    return {
        name: share_of(operation)
        for name, operation in payment.operations.items()
        if operation.kind in CHARGE_ATTEMPTS
    }


@dataclass(slots=True)
class Tally:
    """The changes of a batch, as rows for the statements that add them."""

    arms: list[dict[str, Any]] = field(default_factory=list)
    volumes: list[dict[str, Any]] = field(default_factory=list)

    def add(self, payment: PaymentRow, before: Shares) -> None:
        """Adds what has changed in the payment since `before`."""
        for name, after in shares_of(payment).items():
            earlier = before.get(name)
            if earlier == after:
                continue
            self.volumes += _volumes(name, earlier or _NOTHING, after or _NOTHING)
            operation = payment.operations[name]
            if operation.experiment_id is not None:
                self.arms.append(_arm(payment, operation, earlier, after or _NOTHING))


def _volumes(name: str, before: Share, after: Share) -> Iterable[dict[str, Any]]:
    if (before.day, before.approved_minor) == (after.day, after.approved_minor):
        return
    for one, sign in ((before, -1), (after, 1)):
        if one.day is not None:
            amount_minor = sign * one.approved_minor
            yield {"operation_id": name, "day": one.day, "payments": sign, "amount_minor": amount_minor}


def _arm(payment: PaymentRow, operation: OperationRow, before: Share | None, after: Share) -> dict[str, Any]:
    earlier = before or _NOTHING
    ends = {
        ended: (after.ended == ended) - (earlier.ended == ended)
        for ended in ("approved", "declined", "failed")
    }
    priced = ends["approved"] if operation.cost_ppm is not None else 0
    return {
        "payment_id": payment.payment_id,
        "merchant_id": payment.merchant_id,
        "experiment_id": operation.experiment_id,
        "definition": operation.experiment_definition,
        "policy_version": operation.policy_version,
        "arm": operation.arm,
        "assigned": int(before is None),
        **ends,
        "priced": priced,
        "cost_ppm": priced * (operation.cost_ppm or 0),
        "latency_ms": (after.latency_ms or 0) - (earlier.latency_ms or 0),
        "latencies": (after.latency_ms is not None) - (earlier.latency_ms is not None),
    }


async def save(conn: psycopg.AsyncConnection, tally: Tally) -> None:
    """Adds the changes to the counters. The rows of their payments and operations are already written."""
    if tally.arms:
        await conn.execute(_SQL["count_arms"], [orjson.dumps(tally.arms).decode()])
    if tally.volumes:
        await conn.execute(_SQL["count_volumes"], [orjson.dumps(tally.volumes).decode()])
