"""Values in a PSP's JSON, each of which may be of any type. Invariant: nothing here raises for what a PSP
sends."""

import re
from datetime import UTC, datetime
from typing import Any, Final, TypeGuard

import orjson

# An escape of JSON: two halves of a surrogate pair, half of one alone, or any other.
_ESCAPE: Final = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(u[dD][89a-fA-F][0-9a-fA-F]{2})|.)",
    re.DOTALL,
)
_HALF: Final = re.compile(rb"\xed[\xa0-\xbf][\x80-\xbf]")  # half of a pair as bytes, which is no UTF-8
_YEAR_2100: Final = 4_102_444_800  # Unix seconds


def json_object(body: bytes) -> dict[str, Any]:
    """Parses a body. Empty: it is no JSON object. A PSP may cut a text within a character; the half that is
    left, which is no valid Unicode, is replaced by U+FFFD."""
    content = _parsed(body)
    if content is None:
        content = _parsed(_repaired(body))
    return object_of(content)


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        return None


def _repaired(body: bytes) -> bytes:
    escapes = _ESCAPE.sub(lambda found: rb"\ufffd" if found[1] else found[0], body)
    return _HALF.sub("\ufffd".encode(), escapes)


def object_of(value: Any) -> dict[str, Any]:
    """The value where it is an object, else an empty one."""
    return value if isinstance(value, dict) else {}


def text(value: Any) -> str | None:
    """The value where it is text: anything else may not even be hashable, and is in no table."""
    return value if isinstance(value, str) else None


def is_int(value: Any) -> TypeGuard[int]:
    """True for an integer; False for `true`, which Python counts among them."""
    return type(value) is int


def moment(value: Any) -> datetime | None:
    """The time that an ISO 8601 text names, in UTC where it has no offset. None: it is no such text."""
    try:
        at = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def moment_of_unix(value: Any) -> datetime | None:
    """The time that a number of seconds since 1970 names. None: it is no positive integer before 2100."""
    return datetime.fromtimestamp(value, UTC) if is_int(value) and 0 < value < _YEAR_2100 else None
