import pytest

from projections import columns
from tests.support.event_stories import read_models_connection

_COLUMNS = """
    SELECT attname, format_type(atttypid, NULL) FROM pg_attribute
    WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped
"""
_ALIKE = {"integer": "bigint", "timestamp with time zone": "timestamptz"}


@pytest.mark.stack
@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ("payments", columns.PAYMENT | columns.PAYMENT_NEW),
        ("operations", columns.OPERATION | columns.OPERATION_NEW),
    ],
)
async def test_a_table_has_the_columns_that_its_rows_fields_give(database, table, expected):
    async with read_models_connection(database) as conn:
        stored = await (await conn.execute(_COLUMNS, (table,))).fetchall()

    assert {name: _ALIKE.get(kind, kind) for name, kind in stored} == expected


def test_a_row_is_written_without_what_never_changes():
    assert "amount_minor" in columns.PAYMENT
    assert "amount_minor" not in columns.PAYMENT_MOVES
    assert not {"new", "operations", "touched"} & columns.PAYMENT.keys()
