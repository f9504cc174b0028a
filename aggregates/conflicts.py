"""The rules by which a report contradicts the record, with the reason of each: `CONFLICTS`, read from the
top. Pure.

The order matters where two hold at once: the one that names the money at stake comes before the one that
names a state. A report that no rule of the table names contradicts nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from aggregates.contradiction import Until
from aggregates.double_execution import is_second
from aggregates.operation import FOUND_TWICE, NOT_EXECUTED, OperationState
from aggregates.received import Received

S = OperationState


@dataclass(frozen=True, slots=True)
class Conflict:
    """A way in which a report contradicts the record. `reason`: for the operator who looks at it."""

    name: str
    applies: Callable[[Received], bool]
    reason: Callable[[Received], str]


def find_conflict(received: Received) -> Conflict | None:
    """Returns the first of `CONFLICTS` that applies. None: the report agrees with the record, or moves it
    on."""
    return next((one for one in CONFLICTS if one.applies(received)), None)


def until(received: Received) -> Until | None:
    """Returns what ends the contradiction by itself. None: only an operator does."""
    if is_second(received.operation, received.report):
        return "named"
    # The PSP may say later that it stands after all. Every other one of this table waits for an operator.
    gone = received.operation.state is S.APPROVED and received.report.state in NOT_EXECUTED
    return "stands" if gone else None


def is_late_approval(received: Received) -> bool:
    """True if the report approves an attempt that was not approved here: the customer may be charged for
    it."""
    # An operator decides about an approval that does not fit: `compare_charges` could not say what to give
    # back.
    approves = received.operation.is_charge_attempt and received.report.state is S.APPROVED and received.fits
    return approves and received.operation.state is not S.APPROVED


def _is_found_twice(received: Received) -> bool:
    report = received.report
    found = report.source == "query" and report.code == FOUND_TWICE
    return found and report.state is not S.APPROVED and received.operation.state is S.APPROVED


def _is_second_authorization(received: Received) -> bool:
    return received.report.state is not S.APPROVED and received.is_second_authorization


def _is_authorization_of_other_money(received: Received) -> bool:
    authorized = received.report.state is not S.APPROVED and received.report.next_step is not None
    return authorized and not received.is_of_whole_amount


def _is_authorized_after_decline(received: Received) -> bool:
    # An older report only came late: the decline ended what it reports.
    declined = received.operation.state in {S.DECLINED_SOFT, S.DECLINED_HARD}
    authorized = received.report.state is not S.APPROVED and received.report.next_step is not None
    return declined and authorized and received.is_later


def _is_under_way_after_absence(received: Received) -> bool:
    # A proof of absence was wrong, and the next attempt may have been started on the strength of it.
    absent = received.operation.state in {S.NOT_SENT, S.PROVEN_ABSENT}
    return absent and received.report.state in {S.ACTION_REQUIRED, S.PENDING} and received.is_later


def _is_approval_gone(received: Received) -> bool:
    operation, report = received.operation, received.report
    # One of two reported charges may prove to be none: resolution.compare_charges decides that.
    compared = operation.confirming and any(o.late_approval is not None for o in received.payment.attempts)
    gone = operation.state is S.APPROVED and report.source == "query" and report.state in NOT_EXECUTED
    return gone and not compared and received.is_later and not received.is_lapse_or_release


def _is_approval_of_other_money(received: Received) -> bool:
    return received.report.state is S.APPROVED and not received.fits


def _is_executed_twice(received: Received) -> bool:
    operation, report = received.operation, received.report
    approved_again = operation.state is S.APPROVED and report.state is S.APPROVED
    # No repeat of ours makes a second one: it has the key of its step, and none is sent after the key's life.
    # So the PSP failed to keep the key, or somebody else used our reference.
    return approved_again and is_second(operation, report)


def _is_approved_again_otherwise(received: Received) -> bool:
    operation, report = received.operation, received.report
    approved_again = operation.state is S.APPROVED and report.state is S.APPROVED
    # The PSP alone knows what a void released, so ours is recorded with the amount that was requested.
    return approved_again and operation.kind != "void" and report.amount_minor != operation.approved_minor


def _is_approved_after_end(received: Received) -> bool:
    operation, report = received.operation, received.report
    # The late approval is kept beside the record once, and a repeat of it adds nothing.
    approved = report.state is S.APPROVED and operation.late_approval is None
    return approved and operation.state in NOT_EXECUTED


def _is_approved_beside(received: Received) -> bool:
    operation, approved = received.operation, received.payment.approved_attempt
    # Two attempts that took the money. `Payment.start` lets none begin before every earlier one is proven not
    # executed, so a proof was wrong, or an operator's decision was.
    new = operation.state is not S.APPROVED and operation.late_approval is None
    approves = received.report.state is S.APPROVED and operation.is_charge_attempt
    return new and approves and approved is not None


def _beside(received: Received) -> str:
    approved = received.payment.approved_attempt
    assert approved is not None
    return f"approved, beside {approved.id}"


def _no_longer_approved(received: Received) -> str:
    state = received.report.state
    if state in {S.NOT_SENT, S.PROVEN_ABSENT}:
        return "the PSP no longer knows what it had approved"
    return f"{state} at the PSP, after it was approved"


CONFLICTS: Final = (
    Conflict(
        "found_twice",
        _is_found_twice,
        lambda received: "executed twice: the PSP shows more than one for one operation",
    ),
    Conflict(
        "second_authorization",
        _is_second_authorization,
        lambda received: "authorized twice: another id at the PSP for one operation",
    ),
    Conflict(
        "authorization_of_other_money",
        _is_authorization_of_other_money,
        lambda received: "authorized for another amount or currency than was requested",
    ),
    Conflict(
        "authorized_after_decline",
        _is_authorized_after_decline,
        lambda received: f"authorized at the PSP, after it was recorded as {received.operation.state}",
    ),
    Conflict(
        "under_way_after_absence",
        _is_under_way_after_absence,
        lambda received: (
            f"{received.report.state} at the PSP, after it was recorded as {received.operation.state}"
        ),
    ),
    Conflict(
        "approval_gone",
        _is_approval_gone,
        _no_longer_approved,
    ),
    Conflict(
        "approval_of_other_money",
        _is_approval_of_other_money,
        lambda received: "approved for another amount or currency than was requested",
    ),
    Conflict(
        "executed_twice",
        _is_executed_twice,
        lambda received: "executed twice: another id at the PSP for one operation",
    ),
    Conflict(
        "approved_again_otherwise",
        _is_approved_again_otherwise,
        lambda received: "approved again, for another amount",
    ),
    Conflict(
        "approved_after_end",
        _is_approved_after_end,
        lambda received: f"approved, after it was recorded as {received.operation.state}",
    ),
    Conflict("approved_beside", _is_approved_beside, _beside),
)
"""The rules, read from the top; the first that applies gives the reason. The first six are about reports that
do not approve, the others about reports that do."""
