"""Page cursors: where the next page of a list begins. Opaque to clients.

Invariant: a cursor holds the last row's place in the list's own order, so that no page repeats or misses a
row when others come in.
"""

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

import orjson


class CursorInvalid(ValueError):
    """The text is not a cursor of this API."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """The place of a page's last row. `time` is "infinity" or "-infinity" before the first page;
    `operation_id` is empty where the list has one row per payment, or the row has no operation."""

    time: datetime | str
    payment_id: UUID
    operation_id: str = ""

    @classmethod
    def parse(cls, text: str) -> "Cursor":
        """Reads what `str` of a cursor wrote. Raises `CursorInvalid`."""
        try:
            time, payment_id, *operation = orjson.loads(base64.b64decode(text, altchars=b"-_", validate=True))
            (operation_id,) = operation or ("",)
            if not isinstance(operation_id, str) or "\0" in operation_id:
                raise CursorInvalid
            return cls(datetime.fromisoformat(time).astimezone(UTC), UUID(payment_id), operation_id)
        except (binascii.Error, ValueError, TypeError, AttributeError, OverflowError):
            raise CursorInvalid from None

    def __str__(self) -> str:
        parts = [self.time, self.payment_id] + ([self.operation_id] if self.operation_id else [])
        return base64.urlsafe_b64encode(orjson.dumps(parts)).decode()
