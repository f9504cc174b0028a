"""Judges the outcomes read from Adyen's responses and events, by its documents."""

import re
from collections.abc import Mapping
from typing import Any, Final

from commands.notices import Notice
from gateways.contract import Call, HttpResponse
from tests.gateways.adyen.payloads import (
    ALL,
    AUTHORIZE,
    CALL,
    MODIFICATION,
    PSP_ID,
    error,
    http_response,
    item,
    paid,
    received,
    redirected,
    refused,
)
from tests.gateways.conformance.oracle import Oracle, objects_of
from tests.gateways.conformance.webhooks import Events

LIKELY: Final[list[Any]] = [
    *("Authorised", "PartiallyAuthorised", "Refused", "received", "USD", "EUR", "", "0", "704", "101"),
    *(0, -1, 400, 1099, 2**63, 1e308, True, None, {}, [], [[]], {"": None}, "x" * 5000, "4111111111111111"),
    *(CALL.reference, AUTHORIZE.reference, PSP_ID, MODIFICATION, {"value": 400, "currency": "USD"}),
]


def _responses(call: Call) -> list[HttpResponse]:
    if call.kind in {"authorize", "sale"} and call.step != "3":
        part = paid(call, "PartiallyAuthorised", amount={"value": 400, "currency": "USD"})
        taken = (paid(call), paid(call, "Pending"), part, redirected(call), refused("12"))
        return [*(http_response(200, body) for body in taken), http_response(422, error(422, "704"))]
    return [http_response(201, received(call)), http_response(422, error(422, "167"))]


def done(call: Call, shown: Mapping[str, Any]) -> int | None:
    """A response reports only an authorization, whole or in part."""
    amount, result = shown.get("amount"), shown.get("resultCode")
    if (call.kind, shown.get("merchantReference")) != ("authorize", call.reference):
        return None
    if not isinstance(amount, dict) or amount.get("currency") != call.currency:
        return None
    minor = amount.get("value")
    whole = result == "Authorised" and minor == call.amount_minor
    part = result == "PartiallyAuthorised" and isinstance(minor, int) and 0 < minor < call.amount_minor
    return minor if whole or part else None


ORACLE: Final = Oracle(
    done=done,
    responses=[(call, _responses(call)) for call in ALL],
    likely=LIKELY,
    known_as=lambda _: PSP_ID,
    statuses={"APPROVED": {200}, "DECLINED": {200, 422}},
    is_id=lambda name: re.fullmatch("[0-9A-Z]{16}", name) is not None,
)


def approves(notice: Notice, body: bytes) -> bool:
    """True if an item reports that this operation succeeded with this amount; a void's item has the whole
    payment's."""
    outcome = notice.outcome
    assert outcome is not None
    return any(
        shown.get("merchantReference") == notice.reference
        and shown.get("success") == "true"
        and _money(shown)
        == (None if outcome.amount_minor is None else (outcome.amount_minor, outcome.currency))
        for shown in objects_of(body)
    )


def _money(shown: Mapping[str, Any]) -> Any:
    amount = shown.get("amount")
    if shown.get("eventCode") == "CANCELLATION":
        return None
    return (amount.get("value"), amount.get("currency")) if isinstance(amount, dict) else None


_DISPUTED: Final = {
    "additionalData": {"chargebackReasonCode": "4853", "defensePeriodEndsAt": "2027-01-01T03:03:07+02:00"},
    "reason": "Goods not received",
}
_DISPUTES: Final = (
    *("REQUEST_FOR_INFORMATION", "NOTIFICATION_OF_CHARGEBACK", "CHARGEBACK", "CHARGEBACK_REVERSED"),
    *("SECOND_CHARGEBACK", "PREARBITRATION_OPEN", "PREARBITRATION_WON", "PREARBITRATION_ACCEPTED"),
)
_OPERATIONS: Final = (
    "AUTHORISATION",
    "CAPTURE",
    "CAPTURE_FAILED",
    "REFUND",
    "CANCELLATION",
    "TECHNICAL_CANCEL",
    "EXPIRE",
)
EVENTS: Final = Events(
    contents=[
        {"live": "false", "notificationItems": [{"NotificationRequestItem": shown}]}
        for shown in (
            *(
                item(event, call.reference, success=success)
                for event in _OPERATIONS
                for call in ALL
                for success in (True, False)
            ),
            *(item(event, call.reference, **_DISPUTED) for event in _DISPUTES for call in (CALL, AUTHORIZE)),
            *(item(event, "Order 7", **_DISPUTED) for event in _DISPUTES),
        )
    ],
    approves=approves,
    likely=LIKELY,
)
