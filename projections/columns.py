"""The columns of the tables `payments` and `operations`, each with its type, in the order of the rows' fields.

KEPT: what the fold needs and never changes. MOVES: what it changes. NEW: what it only passes on from a row's first event,
and so never reads.
"""

from dataclasses import fields
from typing import Final

from projections.rows import NewOperation, NewPayment, OperationRow, PaymentRow

PAYMENT_KEPT: Final = {
    "payment_id": "uuid",
    "merchant_id": "text",
    "amount_minor": "bigint",
    "currency": "text",
}
PAYMENT_MOVES: Final = {
    "version": "bigint",
    "stale_since": "timestamptz",
    "status": "text",
    "authorized_minor": "bigint",
    "captured_minor": "bigint",
    "released_minor": "bigint",
    "refunded_minor": "bigint",
    "disputed_minor": "bigint",
    "capturable_minor": "bigint",
    "refundable_minor": "bigint",
    "reason": "text",
    "decision": "text",
    "action_url": "text",
    "action_until": "timestamptz",
    "authorization_expires_at": "timestamptz",
    "authorization_expired": "boolean",
    "cancel_requested": "boolean",
    "ended": "text",
    "frozen": "boolean",
    "contradictions": "jsonb",
    "disputes": "jsonb",
    "gateway": "text",
    "updated_at": "timestamptz",
}
PAYMENT_NEW: Final = {
    "customer_id": "text",
    "capture": "text",
    "country": "text",
    "description": "text",
    "statement_text": "text",
    "return_page": "text",
    "metadata": "jsonb",
    "command_id": "uuid",
    "correlation_id": "text",
    "expires_at": "timestamptz",
    "created_at": "timestamptz",
}
OPERATION_KEPT: Final = {
    "operation_id": "text",
    "payment_id": "uuid",
    "kind": "text",
    "amount_minor": "bigint",
    "currency": "text",
    "final": "boolean",
    "action_until": "timestamptz",
    "authorization_life_s": "integer",
}
OPERATION_MOVES: Final = {
    "state": "text",
    "psp_id": "text",
    "approved_minor": "bigint",
    "approved_at": "timestamptz",
    "extra": "boolean",
    "code": "text",
    "asked": "integer",
    "in_doubt_since": "timestamptz",
    "person_asked": "boolean",
    "retry_at": "timestamptz",
    "call_ms": "double precision",
    "updated_at": "timestamptz",
}
OPERATION_NEW: Final = {
    "merchant_id": "text",
    "ordinal": "integer",
    "attempt": "integer",
    "gateway": "text",
    "account": "text",
    "target": "text",
    "started_at": "timestamptz",
}
PAYMENT: Final = PAYMENT_KEPT | PAYMENT_MOVES
OPERATION: Final = OPERATION_KEPT | OPERATION_MOVES
assert list(PAYMENT) == [column.name for column in fields(PaymentRow)][:-3]
assert list(PAYMENT_NEW) == [column.name for column in fields(NewPayment)]
assert list(OPERATION) == [column.name for column in fields(OperationRow)][:-1]
assert list(OPERATION_NEW) == [column.name for column in fields(NewOperation)]
