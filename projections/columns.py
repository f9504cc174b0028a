"""The columns of the tables `payments` and `operations`, by name with their SQL types: derived from the rows'
fields, in their order, so that a new field stands in rows.py alone.
"""

from collections.abc import Iterator
from dataclasses import fields
from datetime import datetime
from enum import StrEnum
from types import NoneType, UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin, get_type_hints
from uuid import UUID

from pydantic import AwareDatetime

from projections.rows import (
    IN_MEMORY,
    KEPT,
    UUID_AS_TEXT,
    NewOperation,
    NewPayment,
    OperationRow,
    PaymentRow,
)

_TYPES: Final[dict[Any, str]] = {
    str: "text",
    int: "bigint",
    float: "double precision",
    bool: "boolean",
    UUID: "uuid",
    datetime: "timestamptz",
    AwareDatetime: "timestamptz",
    list: "jsonb",
    dict: "jsonb",
    Literal: "text",
}


def _marked(row: type) -> Iterator[tuple[str, tuple[object, ...], Any]]:
    """Yields each field's name, its marks and its type without them."""
    hints = get_type_hints(row, include_extras=True)
    for one in fields(row):
        hint = hints[one.name]
        if get_origin(hint) is Annotated:
            hint, *marks = get_args(hint)
            yield one.name, tuple(marks), hint
        else:
            yield one.name, (), hint


def _sql_type(hint: Any, marks: tuple[object, ...]) -> str:
    """Returns the SQL type of a field's type. Raises `KeyError` where it has none."""
    if UUID_AS_TEXT in marks:
        return "uuid"
    origin = get_origin(hint)
    if origin is Annotated:
        return _sql_type(get_args(hint)[0], ())
    if origin in {Union, UnionType}:
        (hint,) = (one for one in get_args(hint) if one is not NoneType)
        return _sql_type(hint, ())
    if isinstance(hint, type) and issubclass(hint, StrEnum):
        return "text"
    return _TYPES[origin or hint]


def _columns(row: type, without: str = IN_MEMORY) -> dict[str, str]:
    return {
        name: _sql_type(hint, marks)
        for name, marks, hint in _marked(row)
        if IN_MEMORY not in marks and without not in marks
    }


PAYMENT: Final = _columns(PaymentRow)
PAYMENT_MOVES: Final = _columns(PaymentRow, without=KEPT)
PAYMENT_NEW: Final = _columns(NewPayment)
OPERATION: Final = _columns(OperationRow)
OPERATION_MOVES: Final = _columns(OperationRow, without=KEPT)
OPERATION_NEW: Final = _columns(NewOperation)
