"""A PSP's dispute, made fit to be stored. Invariant: no field that is only for reading makes a dispute
unreadable."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, TypedDict

from pydantic import ValidationError

from commands.messages import Dispute, DisputeState

_SINCE: Final = datetime(2000, 1, 1, tzinfo=UTC)
_UNTIL: Final = datetime(2100, 1, 1, tzinfo=UTC)
_REASON_MAX: Final = 500


class Read(TypedDict):
    """The fields of a `Notice` that a dispute fills: the dispute, or the alarm that it cannot be read."""

    dispute: Dispute | None
    alarm: str | None


def dispute(
    dispute_id: str | None,
    state: DisputeState | None,
    money: Mapping[str, Any],
    reason: str | None,
    respond_by: datetime | None,
) -> Read:
    """Builds the dispute of a notice. `money`: `amount_minor` and `currency`. It alarms where the id, the
    state, the amount or the currency is missing. A long reason is cut; a deadline before 2000 or after
    2100 is dropped."""
    if respond_by is not None and not (respond_by.tzinfo is not None and _SINCE <= respond_by <= _UNTIL):
        respond_by = None
    try:
        read = Dispute.model_validate(
            {
                "dispute_id": dispute_id,
                "state": state,
                "amount_minor": money.get("amount_minor"),
                "currency": money.get("currency"),
                "reason": None if reason is None else reason[:_REASON_MAX],
                "respond_by": respond_by,
            }
        )
    except ValidationError:
        return {"dispute": None, "alarm": "dispute_unreadable"}
    return {"dispute": read, "alarm": None}
