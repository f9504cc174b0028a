"""Translates the messages that report something of a PSP into the reports that the aggregates take. Pure."""

from dataclasses import fields
from operator import attrgetter
from typing import Final

from aggregates.disputes import DisputeReport
from aggregates.operation import Balances, Move, OperationState, Report
from commands.balances import Balances as ReportedBalances
from commands.messages import Outcome, RecordDispute, RecordOutcome

# Fields that a message and a record of the aggregate have under one name are passed on by that name.
_REPORT: Final = {one.name for one in fields(Report)} - {"state", "balances"}
OF_THE_OUTCOME: Final = tuple(sorted(_REPORT & Outcome.model_fields.keys()))
OF_THE_MESSAGE: Final = tuple(sorted(_REPORT & RecordOutcome.model_fields.keys()))
_read_outcome: Final = attrgetter(*OF_THE_OUTCOME)
_read_message: Final = attrgetter(*OF_THE_MESSAGE)


def of_outcome(message: RecordOutcome) -> Report:
    """Returns the report of an operation."""
    outcome = message.outcome
    return Report(
        **dict(zip(OF_THE_MESSAGE, _read_message(message), strict=True)),
        **dict(zip(OF_THE_OUTCOME, _read_outcome(outcome), strict=True)),
        state=OperationState(outcome.kind),
        balances=_balances(outcome.balances),
    )


def _balances(message: ReportedBalances | None) -> Balances | None:
    if message is None:
        return None
    moves = tuple(Move(one.kind, one.psp_id, one.amount_minor) for one in message.moves)
    return Balances(message.captured_minor, message.refunded_minor, message.held_minor, moves)


def of_dispute(message: RecordDispute) -> DisputeReport:
    """Returns the report of a dispute."""
    dispute = message.dispute
    return DisputeReport(
        dispute_id=dispute.dispute_id,
        operation_id=message.operation_id,
        state=dispute.state,
        amount_minor=dispute.amount_minor,
        currency=dispute.currency,
        reason=dispute.reason,
        respond_by=dispute.respond_by.isoformat() if dispute.respond_by else None,
        reported_at=message.reported_at,
        observed_at=message.observed_at,
        signed_before=message.signed_before,
    )
