"""Any message that its JSON schema allows: the bounds are read from the real models, so a new field or a
wider one is tried without a change here."""

import re
from datetime import UTC, datetime, timedelta, timezone
from functools import cache
from typing import Any, Final

from hypothesis import strategies as st
from pydantic import BaseModel

_LONGEST: Final = 8000
_FROM, _UNTIL = datetime(2000, 1, 2), datetime(2099, 12, 30)  # noqa: DTZ001  # Hypothesis adds the zone
_ZONES: Final = (UTC, timezone(timedelta(hours=-11, minutes=-30)), timezone(timedelta(hours=14)))


@cache
def fields_of(model: type[BaseModel]) -> st.SearchStrategy[dict[str, Any]]:
    """The fields of a message of this kind, as they stand in its JSON."""
    schema = model.model_json_schema()
    return _any_of(schema, schema.get("$defs", {}))


def _any_of(schema: dict[str, Any], named: dict[str, Any]) -> st.SearchStrategy[Any]:
    if "$ref" in schema:
        return _any_of(named[schema["$ref"].rpartition("/")[2]], named)
    if "anyOf" in schema:
        return st.one_of([_any_of(one, named) for one in schema["anyOf"]])
    if "const" in schema or "enum" in schema:
        return st.sampled_from(schema.get("enum") or [schema["const"]])
    match schema["type"]:
        case "null":
            return st.none()
        case "boolean":
            return st.booleans()
        case "number":
            return st.floats(0, 1e6)
        case "integer":
            return st.integers(
                schema.get("minimum", schema.get("exclusiveMinimum", 0) + 1), schema.get("maximum", 2**53)
            )
        case "array":
            return st.lists(_any_of(schema["items"], named), max_size=3)
        case "object":
            return _object(schema, named)
        case "string":
            return _text(schema)
        case _:
            raise AssertionError(schema)


def _object(schema: dict[str, Any], named: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    if "patternProperties" in schema:
        [(pattern, value)] = schema["patternProperties"].items()
        names = _text({"pattern": pattern} | schema["propertyNames"])
        return st.dictionaries(names, _any_of(value, named), max_size=min(schema["maxProperties"], 3))
    one_of = {name: _any_of(value, named) for name, value in schema["properties"].items()}
    required = {name: one_of.pop(name) for name in schema.get("required", [])}
    return st.fixed_dictionaries(required, optional=one_of)


def _text(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    match schema.get("format"):
        case "uuid":
            return st.uuids().map(str)
        case "date-time":
            return st.datetimes(_FROM, _UNTIL, timezones=st.sampled_from(_ZONES)).map(
                lambda at: at.isoformat()
            )
        case _:
            pattern, most = schema.get("pattern", r"^[^\x00]*$"), schema.get("maxLength", _LONGEST)
    allowed = re.compile(pattern)
    each = "".join(chr(code) for code in range(0x180) if allowed.search(chr(code)))
    written = st.from_regex(allowed, fullmatch=True, alphabet=st.characters(codec="utf-8"))
    if not each:
        return written
    sizes = st.sampled_from([schema.get("minLength", 0), most]) | st.integers(
        schema.get("minLength", 0), min(most, 40)
    )
    long = sizes.flatmap(lambda size: st.text(each, min_size=size, max_size=size))
    return (written | long).filter(lambda text: len(text) <= most and allowed.search(text) is not None)
