"""How does a payment stand? The tables `payments` and `operations`: locked and written by a batch, read one by one."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import fields
from typing import Any, Final
from uuid import UUID

import orjson
import psycopg
from psycopg.rows import dict_row

from aggregates.operation import OperationState
from projections.rows import OperationRow, PaymentRow

# In the order of the row's fields.
_PAYMENT_TYPES: Final = {
    "payment_id": "uuid",
    "version": "bigint",
    "stale_since": "timestamptz",
    "merchant_id": "text",
    "customer_id": "text",
    "status": "text",
    "amount_minor": "bigint",
    "currency": "text",
    "capture": "text",
    "authorized_minor": "bigint",
    "captured_minor": "bigint",
    "released_minor": "bigint",
    "refunded_minor": "bigint",
    "disputed_minor": "bigint",
    "capturable_minor": "bigint",
    "refundable_minor": "bigint",
    "country": "text",
    "description": "text",
    "statement_text": "text",
    "return_page": "text",
    "metadata": "jsonb",
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
    "command_id": "uuid",
    "correlation_id": "text",
    "expires_at": "timestamptz",
    "created_at": "timestamptz",
    "updated_at": "timestamptz",
}
_OPERATION_TYPES: Final = {
    "operation_id": "text",
    "payment_id": "uuid",
    "merchant_id": "text",
    "ordinal": "integer",
    "attempt": "integer",
    "kind": "text",
    "state": "text",
    "gateway": "text",
    "account": "text",
    "psp_id": "text",
    "amount_minor": "bigint",
    "currency": "text",
    "approved_minor": "bigint",
    "approved_at": "timestamptz",
    "target": "text",
    "final": "boolean",
    "extra": "boolean",
    "code": "text",
    "asked": "integer",
    "in_doubt_since": "timestamptz",
    "person_asked": "boolean",
    "retry_at": "timestamptz",
    "action_until": "timestamptz",
    "authorization_life_s": "integer",
    "call_ms": "double precision",
    "started_at": "timestamptz",
    "updated_at": "timestamptz",
}
_MOVING: Final = (
    "state",
    "psp_id",
    "approved_minor",
    "approved_at",
    "extra",
    "code",
    "asked",
    "in_doubt_since",
    "person_asked",
    "retry_at",
    "call_ms",
    "updated_at",
)
"""What may change of an operation."""
assert list(_PAYMENT_TYPES) == [column.name for column in fields(PaymentRow)][:-2]
assert list(_OPERATION_TYPES) == [column.name for column in fields(OperationRow)]


def _read_as(types: dict[str, str]) -> str:
    return ", ".join(
        f"{name}::text" if kind == "uuid" and name != "command_id" else name for name, kind in types.items()
    )


def _records(types: dict[str, str]) -> str:
    # One JSON text costs a third of an array for each column.
    return f"json_to_recordset(%s::json) AS new ({', '.join(map(' '.join, types.items()))})"


_INSERT: Final = """
    INSERT INTO payments (payment_id, version) SELECT id, 0 FROM unnest(%s::uuid[]) AS new (id)
    ON CONFLICT DO NOTHING
"""
_LOCK: Final = f"""
    SELECT {_read_as(_PAYMENT_TYPES)} FROM payments WHERE payment_id = ANY(%s::uuid[])
    ORDER BY payments.payment_id FOR UPDATE
"""  # noqa: S608  # columns of ours
_OPERATIONS: Final = f"""
    SELECT {_read_as(_OPERATION_TYPES)} FROM operations WHERE payment_id = ANY(%s::uuid[]) ORDER BY ordinal
"""  # noqa: S608  # columns of ours
_UPDATE: Final = f"""
    UPDATE payments SET {", ".join(f"{name} = new.{name}" for name in _PAYMENT_TYPES if name != "payment_id")}
    FROM {_records(_PAYMENT_TYPES)}
    WHERE payments.payment_id = new.payment_id
"""  # noqa: S608  # columns of ours
_UPSERT: Final = f"""
    INSERT INTO operations ({", ".join(_OPERATION_TYPES)}) SELECT * FROM {_records(_OPERATION_TYPES)}
    ON CONFLICT (operation_id) DO UPDATE
    SET {", ".join(f"{name} = excluded.{name}" for name in _MOVING)}
"""  # noqa: S608  # columns of ours


async def lock(conn: psycopg.AsyncConnection, payment_ids: Sequence[str]) -> dict[str, PaymentRow]:
    """All of them, made where they are new, locked until the transaction ends. `payment_ids` are sorted, so that
    two batches with the same payments wait for each other instead of locking each other out."""
    ids = [list(payment_ids)]
    await conn.execute(_INSERT, ids)
    locked = await conn.execute(_LOCK, ids)
    operations = await conn.execute(_OPERATIONS, ids)
    rows = {row[0]: PaymentRow(*row) for row in await locked.fetchall()}
    for values in await operations.fetchall():
        operation = OperationRow(*values)
        operation.state = OperationState(operation.state)  # a text, as the driver gave it
        rows[operation.payment_id].operations[operation.operation_id] = operation
    return rows


async def save(
    conn: psycopg.AsyncConnection, payments: Collection[PaymentRow], operations: Iterable[OperationRow]
) -> None:
    await conn.execute(_UPDATE, [_json(payments, _PAYMENT_TYPES)])
    if operations := sorted(operations, key=lambda operation: operation.operation_id):
        await conn.execute(_UPSERT, [_json(operations, _OPERATION_TYPES)])


def _json(rows: Iterable[PaymentRow | OperationRow], types: dict[str, str]) -> str:
    return orjson.dumps([{name: getattr(row, name) for name in types} for row in rows]).decode()


_SHOWN: Final = ", ".join(
    f"'{name}', o.{name}" for name in _OPERATION_TYPES if name not in {"payment_id", "merchant_id", "ordinal"}
)
_FIND: Final = f"""
    SELECT p.*,
        (SELECT max(originator_version) FROM payment_events WHERE originator_id = p.payment_id) AS stored_version,
        (SELECT json_agg(json_build_object({_SHOWN}) ORDER BY o.ordinal)::text
         FROM operations o WHERE o.payment_id = p.payment_id) AS operations
    FROM payments p WHERE p.payment_id = %s AND p.merchant_id = %s AND p.version > 0
"""  # noqa: S608  # columns of ours


async def find(conn: psycopg.AsyncConnection, payment_id: UUID, merchant_id: str) -> dict[str, Any] | None:
    """The row, with `operations` as JSON text and `stored_version`, the last version that the event store has."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_FIND, (payment_id, merchant_id))
        return await cursor.fetchone()


async def version(conn: psycopg.AsyncConnection, payment_id: UUID, merchant_id: str) -> int:
    """0 where the merchant has no such payment."""
    cursor = await conn.execute(
        "SELECT version FROM payments WHERE payment_id = %s AND merchant_id = %s", (payment_id, merchant_id)
    )
    row = await cursor.fetchone()
    return row[0] if row else 0
