"""Puts into words what is wrong with a value of a message, request or setting, and what to write instead.

Invariant: no sentence quotes the value.

Part of the producers' client: it imports nothing else of AegisPay.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from difflib import get_close_matches
from typing import Any, Final

REQUIRED: Final = "this field is required: add it"

KEY_OF_ANOTHER_CHANGE: Final = (
    "this idempotency key was used before, for a change of this payment with other content, which stands: read "
    "the payment, or use a new key"
)

_NAME: Final = "letters, digits and . _ : -"
_COUNTRY: Final = "an ISO 3166 country code: two capital letters, e.g. DE"
_CURRENCY: Final = "an ISO 4217 currency code: three capital letters, e.g. EUR"
_UUID: Final = "must be a UUID, e.g. 2c0a1d5e-8f3b-5a57-9f2e-6a1b7c3d4e5f"
_TIME: Final = 'write an RFC 3339 time with its offset from UTC, in quotes: e.g. "2026-03-01T12:00:00Z"'
_TIME_OF_DAY: Final = 'must be a time of day as HH:MM, e.g. "22:00"'
_DATE: Final = 'must be a day of the calendar as YYYY-MM-DD, e.g. "2026-11-30"'
_WHOLE: Final = "must be an integer: digits without quotes and without a decimal point"
_NUMBER: Final = "must be a number, e.g. 1.5"
_YES_OR_NO: Final = "must be true or false, without quotes"
_TEXT: Final = "must be a text in quotes"
_OBJECT: Final = "must be an object: names and values in { }"
_LIST: Final = "must be a list: values in [ ]"
_ADDRESS: Final = "must be a whole address, e.g. https://pay.example.com"

PATTERNS: Final[Mapping[str, str]] = {
    r"^[A-Za-z0-9._:-]+$": f"may hold {_NAME} only",
    r"^[A-Za-z0-9._:-]{1,64}$": f"must be 1 to 64 characters: {_NAME}",
    r"^[^\x00-\x1f\x7f-\x9f]*$": "may hold no control characters",
    r"^[A-Za-z0-9._-]*$": "may hold letters, digits and . _ - only",
    r"^[\x21-\x7e]+$": "may hold printable ASCII characters only, no spaces",
    r"^[\x20-\x7e]*$": "may hold printable ASCII characters only",
    r"^[A-Za-z0-9._:|/+=-]+$": "may hold letters, digits and . _ : | / + = - only: send a PSP's token",
    r"^[A-Za-z0-9._:|/+=-]*[A-Za-z0-9._|/+=-]$": (
        "may hold letters, digits and . _ : | / + = - only, and no colon at its end: send a PSP's token behind the "
        "PSP's name, e.g. stripe:pm_card_visa"
    ),
    r"^[^\x00-\x1f\x7f]+$": "may hold no line breaks and no control characters",
    r"^[^\x00-\x08\x7f]+$": "may hold no control characters",
    r"^[^\x00]*$": "may hold no NUL",
    r"^([0-9]{6}|[0-9]{8})$": "must be the card number's first 6 or 8 digits, in quotes",
    r"^[a-z][a-z_]*$": "must be small letters and _ only, e.g. visa",
    r"^[a-z][a-z0-9_]*$": "must be small letters, digits and _ only, and open with a letter, e.g. card",
    r"^[A-Z0-9]{1,4}$": "must be 1 to 4 capital letters or digits, e.g. 05",
    r"^[A-Z]{3}$": f"must be {_CURRENCY}",
    r"^[A-Z]{2}$": f"must be {_COUNTRY}",
    r"^[A-Za-z0-9 .,_+-]*[A-Za-z][A-Za-z0-9 .,_+-]*$": (
        "may hold letters, digits, spaces and . , _ + - only, and at least one letter"
    ),
    r"^(https://|http://(127\.0\.0\.1|localhost)[:/])[A-Za-z0-9.:_~/?&=%#+,;@!-]+$": (
        "must be an address that opens with https:// (http:// on this machine only)"
    ),
    r"^[a-z0-9][a-z0-9_.-]{0,40}$": "must be small letters, digits and _ . - only, at most 41",
    r"^[a-z_][a-z0-9_]{0,40}$": "must be small letters, digits and _, at most 41, and open with no digit",
    r"^[A-Z][A-Z0-9_]{0,127}$": "must be the name of an environment variable: capital letters, digits and _",
}
"""The patterns of fields, each in words."""

_SENTENCES: Final[Mapping[str, str]] = {
    "missing": REQUIRED,
    "bool_parsing": "must be true or false",
    "both_given": "payment_methods is given too: send one of the two, and leave the other out",
    "bool_type": _YES_OR_NO,
    "date_from_datetime_inexact": _DATE,
    "date_from_datetime_parsing": _DATE,
    "date_parsing": _DATE,
    "date_type": _DATE,
    "datetime_from_date_parsing": _TIME,
    "datetime_object_invalid": _TIME,
    "datetime_parsing": _TIME,
    "datetime_type": _TIME,
    "dict_type": _OBJECT,
    "extra_forbidden": "there is no such field: leave it out, or correct its name",
    "finite_number": "must be a finite number",
    "float_parsing": _NUMBER,
    "float_type": "must be a number without quotes, e.g. 1.5",
    "frozen_field": "cannot be set",
    "int_from_float": _WHOLE,
    "int_parsing": "must be a whole number: digits only",
    "int_parsing_size": "must be a smaller number",
    "int_type": _WHOLE,
    "json_invalid": "must be JSON: names and values in { }, with names and texts in double quotes",
    "list_type": _LIST,
    "model_attributes_type": _OBJECT,
    "model_type": _OBJECT,
    "none_required": "must be null, or left out",
    "path_type": "must be the path of a file",
    "string_sub_type": _TEXT,
    "string_type": _TEXT,
    "string_unicode": "must be a text in UTF-8",
    "time_parsing": _TIME_OF_DAY,
    "time_type": _TIME_OF_DAY,
    "timezone_aware": _TIME,
    "timezone_naive": _TIME,
    "url_parsing": _ADDRESS,
    "url_type": _ADDRESS,
    "uuid_parsing": _UUID,
    "uuid_type": _UUID,
}
_BOUNDS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    "enum": lambda of: f"must be {of['expected']}",
    "greater_than": lambda of: f"must be more than {_shown(of['gt'])}",
    "greater_than_equal": lambda of: f"must be {_shown(of['ge'])} or more",
    "less_than": lambda of: f"must be less than {_shown(of['lt'])}",
    "less_than_equal": lambda of: f"must be {_shown(of['le'])} or less",
    "literal_error": lambda of: f"must be {of['expected']}",
    "string_pattern_mismatch": lambda of: PATTERNS.get(of["pattern"], f"must match {of['pattern']}"),
    "string_too_long": lambda of: f"may have at most {counted(of['max_length'], 'character')}",
    "string_too_short": lambda of: f"must have at least {counted(of['min_length'], 'character')}",
    "too_long": lambda of: f"may have at most {counted(of['max_length'], 'entry', 'entries')}",
    "too_short": lambda of: f"must have at least {counted(of['min_length'], 'entry', 'entries')}",
    "union_tag_invalid": lambda of: f"must be one of {of['expected_tags']}",
    "union_tag_not_found": lambda of: f"{of['discriminator']} is missing: add it",
    "url_scheme": lambda of: f"must be an address that opens with {of['expected_schemes']}",
    "value_error": lambda of: str(of["error"]),
}


def sentence(error: Mapping[str, Any]) -> str:
    """Puts one of pydantic's `errors()` into words. It must include its context (`ctx`)."""
    kind = error["type"]
    if kind in _BOUNDS:
        return _BOUNDS[kind](error["ctx"])
    return _SENTENCES.get(kind, "is not valid: its documentation lists what it may be")


def no_such_field(name: object, names: Iterable[str]) -> str:
    """Says that there is no field called `name`, and suggests the nearest of `names`, the fields that
    exist."""
    near = get_close_matches(str(name), list(names), 1)
    return (
        f"there is no such field; did you mean {near[0]}?" if near else "there is no such field: leave it out"
    )


def fields_beside(schema: Mapping[str, Any], loc: Sequence[str | int]) -> list[str]:
    """Returns the names that fields may have at the place of a field that does not exist. `schema`: the JSON
    schema of the whole. `loc`: the field's in one of pydantic's `errors()`. Empty: the place is not found."""
    here: Mapping[str, Any] = _resolved(schema, schema)
    for part in loc[:-1]:
        if part in (tags := here.get("discriminator", {}).get("mapping", {})):
            found = {"$ref": tags[part]}
        else:
            of_all = here.get("items") if isinstance(part, int) else here.get("additionalProperties")
            # Names that have to fit a pattern: one pattern for all of them.
            of_all = next(iter(here.get("patternProperties", {}).values()), of_all)
            found = here.get("properties", {}).get(part, of_all)
        if not isinstance(found, dict):
            return []
        here = _resolved(found, schema)
    return list(here.get("properties", ()))


def _resolved(part: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Follows references, and takes of what may be null the other."""
    while True:
        if "$ref" in part:
            part = schema["$defs"][part["$ref"].rpartition("/")[2]]
        elif len(others := [one for one in part.get("anyOf", ()) if one.get("type") != "null"]) == 1:
            part = others[0]
        else:
            return part


def counted(number: int, one: str, more: str | None = None) -> str:
    """Returns the number with its noun: `1 payment`, `2 payments`. `more`: the plural, where it is not
    `one` with an s."""
    return f"{number} {one if number == 1 else more or one + 's'}"


def _shown(bound: object) -> str:
    return bound.isoformat() if isinstance(bound, datetime) else str(bound)
