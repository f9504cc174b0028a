"""Examples of the API's responses, for the OpenAPI document."""

from typing import Any, Final

PAYMENT_ID: Final = "2c0a1d5e-8f3b-5a57-9f2e-6a1b7c3d4e5f"
OPERATION_ID: Final = "2c0a1d5e8f3b5a579f2e6a1b7c3d4e5f-s1"
_COMMAND_ID: Final = "8c5d1f3e-2b7a-4c69-8e0d-1a2b3c4d5e6f"
_NOW: Final = "2026-03-01T12:00:00.123456+00:00"
_LATER: Final = "2026-03-01T12:00:00.201811+00:00"

_SUMMARY: Final[dict[str, Any]] = {
    "payment_id": PAYMENT_ID,
    "version": 3,
    "status": "CAPTURED",
    "amount_minor": 1099,
    "currency": "EUR",
    "currency_exponent": 2,
    "capture": "automatic",
    "authorized_minor": 1099,
    "captured_minor": 1099,
    "released_minor": 0,
    "refunded_minor": 0,
    "disputed_minor": 0,
    "capturable_minor": 0,
    "refundable_minor": 1099,
    "customer_id": "customer-7",
    "description": "Order 1001",
    "statement_text": None,
    "return_page": None,
    "metadata": {"order": "1001"},
    "reason": None,
    "decision": "first attempt: the merchant's first PSP account",
    "action_url": None,
    "action_until": None,
    "authorization_expires_at": None,
    "authorization_expired": False,
    "cancel_requested": False,
    "ended": None,
    "held_since": None,
    "frozen": False,
    "contradictions": [],
    "disputes": [],
    "expires_at": "2026-03-01T13:00:00+00:00",
    "created_at": _NOW,
    "updated_at": _LATER,
}
_OPERATION: Final[dict[str, Any]] = {
    "operation_id": OPERATION_ID,
    "attempt": 1,
    "kind": "sale",
    "state": "APPROVED",
    "gateway": "stripe",
    "account": "acct_eu",
    "psp_id": "pi_3N",
    "amount_minor": 1099,
    "currency": "EUR",
    "currency_exponent": 2,
    "expected_fee_minor": 41,
    "expected_fee_currency": "EUR",
    "approved_minor": 1099,
    "approved_at": _LATER,
    "target": None,
    "final": False,
    "duplicate_charge": False,
    "may_be_disputed": False,
    "code": None,
    "detail": None,
    "queries": 0,
    "in_doubt_since": None,
    "escalated": False,
    "retry_at": None,
    "action_until": None,
    "call_ms": 41.7,
    "started_at": _NOW,
    "updated_at": _LATER,
}
PAYMENT: Final[dict[str, Any]] = _SUMMARY | {
    "country": "DE",
    "command_id": _COMMAND_ID,
    "correlation_id": "checkout-1001",
    "operations": [_OPERATION],
    "read_model": {"events_behind": 0, "lag_ms": 0.0, "stale_since": None},
}
PAYMENT_PAGE: Final[dict[str, Any]] = {
    "payments": [_SUMMARY],
    "next_cursor": None,
    "read_model": {"lag_ms": 0.0},
}
HISTORY: Final[dict[str, Any]] = {
    "payment_id": PAYMENT_ID,
    "events": [
        {
            "version": 3,
            "type": "operation.approved.v1",
            "time": _LATER,
            "command_id": _COMMAND_ID,
            "correlation_id": "checkout-1001",
            "data": {"operation_id": OPERATION_ID, "psp_id": "pi_3N"},
        }
    ],
    "next_after": None,
}
ACCEPTED: Final[dict[str, Any]] = {
    "payment_id": PAYMENT_ID,
    "command_id": _COMMAND_ID,
    "url": f"/v1/payments/{PAYMENT_ID}",
}
DECIDED: Final[dict[str, Any]] = {
    "payment_id": PAYMENT_ID,
    "command_id": _COMMAND_ID,
    "url": f"/v1/payments/{PAYMENT_ID}",
    "operation_id": "2c0a1d5e8f3b5a579f2e6a1b7c3d4e5f-r2",
    "operation_state": "STARTED",
    "status": "CAPTURED",
    "version": 4,
}
IN_DOUBT: Final[dict[str, Any]] = {
    "totals": [
        {
            "gateway": "stripe",
            "account": "acct_eu",
            "currency": "EUR",
            "currency_exponent": 2,
            "age": "under_5_min",
            "payments": 1,
            "manual": 0,
            "amount_minor": 1099,
        }
    ],
    "in_doubt": [
        {
            "payment_id": PAYMENT_ID,
            "operation_id": OPERATION_ID,
            "kind": "sale",
            "gateway": "stripe",
            "account": "acct_eu",
            "amount_minor": 1099,
            "currency": "EUR",
            "currency_exponent": 2,
            "since": _NOW,
            "code": "timeout",
            "detail": None,
            "queries": 1,
            "reason": "unknown",
            "manual": False,
            "parked": False,
            "frozen": False,
        }
    ],
    "next_cursor": None,
    "read_model": {"lag_ms": 0.0},
}
REVIEWS: Final[dict[str, Any]] = {
    "reviews": [
        {
            "payment_id": PAYMENT_ID,
            "amount_minor": 1099,
            "currency": "EUR",
            "currency_exponent": 2,
            "customer_id": "customer-7",
            "reason": "velocity (score 0.82): 9 payments within an hour",
            "held_since": _NOW,
            "expires_at": _NOW,
        }
    ],
    "next_cursor": None,
    "read_model": {"lag_ms": 0.0},
}
