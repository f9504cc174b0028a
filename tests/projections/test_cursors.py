import base64
from datetime import UTC, datetime
from uuid import UUID

import orjson
import pytest

from projections.cursors import Cursor, CursorInvalid

TIME = datetime(2026, 3, 1, 12, tzinfo=UTC)
PAYMENT = UUID(int=7)


def encoded(*parts: object) -> str:
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode()


@pytest.mark.parametrize("cursor", [Cursor(TIME, PAYMENT), Cursor(TIME, PAYMENT, "op-s1")])
def test_a_cursor_comes_back_as_it_was_given_out(cursor):
    assert Cursor.parse(str(cursor)) == cursor


def test_a_doubt_without_an_operation_may_have_an_empty_third_part():
    assert Cursor.parse(encoded(TIME, PAYMENT, "")) == Cursor(TIME, PAYMENT)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "e30=",
        "WzEsMiwzXQ==",
        "WyIyMDI2LTAxLTAxIl0=",
        str(Cursor("never", PAYMENT)),
        encoded(TIME, PAYMENT, "op\0"),
        encoded(TIME, PAYMENT, "op-s1", "more"),
    ],
)
def test_a_cursor_that_was_not_made_here_is_refused(text):
    with pytest.raises(CursorInvalid):
        Cursor.parse(text)
