"""Reads and writes the tables `payments` and `operations`: a batch locks and writes many, the API reads one.

Invariant: rows are locked in the order of their ids, so that two batches wait for each other and never
deadlock.
"""

from collections.abc import Iterable, Sequence
from typing import Any, Final
from uuid import UUID

import orjson
import psycopg
from psycopg.rows import dict_row

from aggregates.operation import OperationState
from commands.sql import statements
from projections.columns import OPERATION, OPERATION_MOVES, OPERATION_NEW, PAYMENT, PAYMENT_MOVES, PAYMENT_NEW
from projections.rows import OperationRow, PaymentRow


def _read_as(types: dict[str, str]) -> str:
    return ", ".join(f"{name}::text" if kind == "uuid" else name for name, kind in types.items())


def _records(types: dict[str, str]) -> str:
    # One JSON text costs a third of an array for each column.
    return f"json_to_recordset(%s::json) AS new ({', '.join(map(' '.join, types.items()))})"


def _update(table: str, key: str, types: dict[str, str]) -> str:
    return f"""
        UPDATE {table} SET {", ".join(f"{name} = new.{name}" for name in types if name != key)}
        FROM {_records({key: PAYMENT.get(key, "text")} | types)} WHERE {table}.{key} = new.{key}
    """  # noqa: S608  # columns of ours


_SQL: Final = statements(__file__)
_LOCK: Final = f"""
    SELECT {_read_as(PAYMENT)} FROM payments WHERE payment_id = ANY(%s::uuid[])
    ORDER BY payments.payment_id FOR UPDATE
"""  # noqa: S608  # columns of ours
_OPERATIONS: Final = f"""
    SELECT {_read_as(OPERATION)} FROM operations WHERE payment_id = ANY(%s::uuid[]) ORDER BY ordinal
"""  # noqa: S608  # columns of ours
_PAYMENT_MOVED: Final = ("payment_id", *PAYMENT_MOVES)
_OPERATION_MOVED: Final = ("operation_id", *OPERATION_MOVES)
_UPDATE_NEW: Final = _update("payments", "payment_id", PAYMENT | PAYMENT_NEW)
_UPDATE: Final = _update("payments", "payment_id", PAYMENT_MOVES)
_UPDATE_OPERATIONS: Final = _update("operations", "operation_id", OPERATION_MOVES)
_INSERT_OPERATIONS: Final = f"""
    INSERT INTO operations ({", ".join(OPERATION | OPERATION_NEW)}) SELECT * FROM {_records(OPERATION | OPERATION_NEW)}
    ON CONFLICT (operation_id) DO NOTHING
"""  # noqa: S608  # columns of ours


async def lock(conn: psycopg.AsyncConnection, payment_ids: Sequence[str]) -> dict[str, PaymentRow]:
    """Returns the rows with their operations, by payment id, locked until the transaction ends; a payment
    without a row gets an empty one. `payment_ids` are sorted."""
    ids = [list(payment_ids)]
    await conn.execute(_SQL["insert"], ids)
    locked = await conn.execute(_LOCK, ids)
    operations = await conn.execute(_OPERATIONS, ids)
    rows = {row[0]: PaymentRow(*row) for row in await locked.fetchall()}
    for values in await operations.fetchall():
        operation = OperationRow(*values)
        operation.state = OperationState(operation.state)  # the driver gives plain text
        rows[operation.payment_id].operations[operation.operation_id] = operation
    return rows


async def save(
    conn: psycopg.AsyncConnection, payments: Iterable[PaymentRow], operations: Iterable[OperationRow]
) -> None:
    """Writes the rows: all columns of new ones, of others those that may have changed."""
    made: list[dict[str, Any]] = []
    moved: list[dict[str, Any]] = []
    for row in payments:
        if row.new is None:
            moved.append(_values(row, _PAYMENT_MOVED))
        else:
            made.append(_values(row, PAYMENT) | _values(row.new, PAYMENT_NEW))
    started: list[dict[str, Any]] = []
    moved_on: list[dict[str, Any]] = []
    for operation in operations:
        if operation.new is None:
            moved_on.append(_values(operation, _OPERATION_MOVED))
        else:
            started.append(_values(operation, OPERATION) | _values(operation.new, OPERATION_NEW))
    for statement, rows in (
        (_UPDATE_NEW, made),
        (_UPDATE, moved),
        (_INSERT_OPERATIONS, started),
        (_UPDATE_OPERATIONS, moved_on),
    ):
        if rows:
            await conn.execute(statement, [orjson.dumps(rows).decode()])


def _values(row: object, names: Iterable[str]) -> dict[str, Any]:
    # json_to_recordset reads a missing key as NULL.
    return {name: value for name in names if (value := getattr(row, name)) is not None}


_OF_EXPERIMENTS: Final = ("experiment_id", "experiment_definition", "policy_version", "arm", "cost_ppm")
_SHOWN: Final = ", ".join(
    f"'{name}', o.{name}"
    for name in OPERATION | OPERATION_NEW
    if name not in {"payment_id", "merchant_id", "ordinal", "authorization_life_s", *_OF_EXPERIMENTS}
)
_FIND: Final = f"""
    SELECT p.*,
        (SELECT max(originator_version) FROM payment_events WHERE originator_id = p.payment_id) AS stored_version,
        (SELECT json_agg(json_build_object({_SHOWN}) ORDER BY o.ordinal)::text
         FROM operations o WHERE o.payment_id = p.payment_id) AS operations
    FROM payments p WHERE p.payment_id = %s AND p.merchant_id = %s AND p.version > 0
"""  # noqa: S608  # columns of ours


async def find(conn: psycopg.AsyncConnection, payment_id: UUID, merchant_id: str) -> dict[str, Any] | None:
    """Returns the payment's row, with `operations` as JSON text and `stored_version`, the last version in the
    event store. None: the merchant has no such payment."""
    async with conn.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(_FIND, (payment_id, merchant_id))
        return await cursor.fetchone()


async def version(conn: psycopg.AsyncConnection, payment_id: UUID, merchant_id: str) -> int:
    """Returns the payment's version in the read model; 0 where the merchant has no such payment."""
    cursor = await conn.execute(_SQL["version"], (payment_id, merchant_id))
    row = await cursor.fetchone()
    return row[0] if row else 0
