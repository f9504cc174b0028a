"""Disputes, as Adyen's webhooks tell them. The dispute's id is the event's pspReference, the same in all its stages.

Only the stage and the amount are signed; the reason and the deadline are for reading. CHARGEBACK_REVERSED is a defence
that the issuer may still answer, so that it leaves the dispute open.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

from gateways import scrubbed
from gateways.adyen import answers
from gateways.contract import DisputeNotice

STATES: Final[Mapping[str, Literal["opened", "won", "lost"]]] = {
    "REQUEST_FOR_INFORMATION": "opened",
    "NOTIFICATION_OF_CHARGEBACK": "opened",
    "CHARGEBACK": "opened",
    "CHARGEBACK_REVERSED": "opened",
    "PREARBITRATION_OPEN": "opened",
    "SECOND_CHARGEBACK": "lost",
    "PREARBITRATION_LOST": "lost",
    "SCHEME_ARBITRATION_LOST": "lost",
    "PREARBITRATION_WON": "won",
    "SCHEME_ARBITRATION_WON": "won",
    "ISSUER_RESPONSE_TIMEFRAME_EXPIRED": "won",
}
_REASON_CODES: Final = ("chargebackReasonCode", "rfiReasonCode")
_SINCE: Final = datetime(2000, 1, 1, tzinfo=UTC)
_UNTIL: Final = datetime(2100, 1, 1, tzinfo=UTC)


def notice(
    dispute_id: str, event: str, amount_minor: int, currency: str, item: Mapping[str, Any]
) -> DisputeNotice:
    said = item.get("additionalData")
    more = said if isinstance(said, dict) else {}
    stripped = [code.strip() for name in _REASON_CODES if isinstance(code := more.get(name), str)]
    parts = [*map(scrubbed.code, stripped), answers.words(item.get("reason"))]
    return DisputeNotice(
        dispute_id=dispute_id,
        state=STATES[event],
        amount_minor=amount_minor,
        currency=currency,
        reason=scrubbed.text(", ".join(filter(None, parts))),
        respond_by=moment(more.get("defensePeriodEndsAt")),
    )


def moment(said: Any) -> datetime | None:
    """ISO 8601 with its offset."""
    if not isinstance(said, str):
        return None
    try:
        at = datetime.fromisoformat(said)
    except ValueError:
        return None
    return at if at.tzinfo is not None and _SINCE <= at <= _UNTIL else None
