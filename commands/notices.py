"""Notices: what a webhook reports, as the inbox stores it between the API, which reads the webhook, and the
relay, which turns it into a message on `gateways.outcomes`.

Invariant: a notice that is written is read back whole, whichever of its fields are empty.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from pydantic import TypeAdapter

from commands.messages import Dispute, Outcome


@dataclass(frozen=True, slots=True)
class Notice:
    """One event of a webhook. `event_id`: the same for each repeat of the event, within the account. The
    inbox finds the payment by `reference`, the id of our operation, or by `psp_id`, which is the
    `Outcome.psp_id` or one of the `Outcome.known_as` that an adapter reports.

    `outcome`: of that operation; UNKNOWN means that something changed, and a status query finds out what. An
    outcome or a dispute whose payment is not found raises an alarm. `alarm`: the code of an event that no
    message can express: an operator looks at it, beside the payment if that is known. `unlisted`: a further
    status or code of the PSP that is in no table of the adapter.

    `signed_as`: what the signature covers, if `event_id` and `at` depend on more than that: anybody who has
    seen one such event can then send it again as a new one. None: the signature covers all of it.
    """

    event_id: str
    event_type: str
    reference: str | None = None
    psp_id: str | None = None
    outcome: Outcome | None = None
    dispute: Dispute | None = None
    alarm: str | None = None
    unlisted: str | None = None
    at: datetime | None = None  # by the PSP's clock
    signed_as: str | None = None

    @property
    def is_reportable(self) -> bool:
        """True if it has an outcome, a dispute or an alarm; any other event is ignored."""
        return self.outcome is not None or self.dispute is not None or self.alarm is not None


_CODEC: Final = TypeAdapter(Notice)


def dump(notice: Notice) -> dict[str, Any]:
    """Returns the notice as JSON values, with every field."""
    dumped: dict[str, Any] = _CODEC.dump_python(notice, mode="json")
    return dumped


def read(stored: Any) -> Notice:
    """Reads what `dump` returned. Raises pydantic's `ValidationError` for a form that this version does not
    know."""
    return _CODEC.validate_python(stored)
