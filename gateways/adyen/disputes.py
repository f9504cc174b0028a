"""Disputes in Adyen's webhooks. A dispute's id is the event's pspReference, the same in all its stages.

Only the stage and the amount are signed; the reason and the deadline are for reading. Money is taken with
CHARGEBACK: what comes before it only inquires. CHARGEBACK_REVERSED is a defence that the issuer may still
contest, so that it leaves the dispute open. Of an accepted pre-arbitration Adyen does not say who accepted
it.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from commands.messages import DisputeState
from gateways.adyen import responses
from gateways.wire import json, redaction
from gateways.wire.disputes import Read, dispute

STATES: Final[Mapping[str, DisputeState]] = {
    "REQUEST_FOR_INFORMATION": "inquiry",
    "NOTIFICATION_OF_CHARGEBACK": "inquiry",
    "CHARGEBACK": "opened",
    "CHARGEBACK_REVERSED": "opened",
    "PREARBITRATION_OPEN": "opened",
    "PREARBITRATION_DECLINED": "opened",
    "PREARBITRATION_ACCEPTED": "unclear",
    "SCHEME_ARBITRATION": "opened",
    "SECOND_CHARGEBACK": "lost",
    "PREARBITRATION_LOST": "lost",
    "SCHEME_ARBITRATION_LOST": "lost",
    "PREARBITRATION_WON": "won",
    "PREARBITRATION_ISSUER_WITHDRAWN": "won",
    "SCHEME_ARBITRATION_WON": "won",
    "ISSUER_RESPONSE_TIMEFRAME_EXPIRED": "won",
}
_REASON_CODES: Final = ("chargebackReasonCode", "rfiReasonCode")
_SINCE: Final = datetime(2000, 1, 1, tzinfo=UTC)
_UNTIL: Final = datetime(2100, 1, 1, tzinfo=UTC)


def read(dispute_id: str | None, event: str, money: Mapping[str, Any], item: Mapping[str, Any]) -> Read:
    """The dispute in an item of a webhook. Source:
    docs.adyen.com/risk-management/disputes-api/dispute-notifications."""
    more = json.object_of(item.get("additionalData"))
    stripped = [code.strip() for name in _REASON_CODES if isinstance(code := more.get(name), str)]
    parts = [*map(redaction.code, stripped), responses.words(item.get("reason"))]
    return dispute(
        dispute_id,
        STATES[event],
        money,
        redaction.joined(", ", *parts),
        moment(more.get("defensePeriodEndsAt")),
    )


def moment(value: Any) -> datetime | None:
    """The time that Adyen names (ISO 8601). None: it names none from 2000 to 2100."""
    at = json.moment(value)
    return at if at is not None and _SINCE <= at <= _UNTIL else None
