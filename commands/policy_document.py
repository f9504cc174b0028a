"""Reads a routing policy from YAML or JSON, and names each fault with its line and path.

Invariant: no fault quotes a value, no document is larger, nested deeper or longer in its making than the
bounds below allow, and none is read that says one thing twice. YAML is read by the core schema of YAML 1.2:
NO is Norway and 22:00 a time, which YAML 1.1 takes for a boolean and a number.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal

import yaml
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from aggregates.routing.policy import Policy
from commands import wording
from commands.card_data import printable, sensitive_path
from commands.messages import SENSITIVE

DOCUMENT_BYTES_MAX: Final = 128 * 1024
_DEPTH_MAX: Final = 30
_NODES_MAX: Final = 20_000  # PyYAML takes 40 us for one
_DIGITS_MAX: Final = 20
_WHOLE_BIN: Final = re.compile("[0-9]{6,8}")  # shorter ones may be the groups of a card number
_FAULTS_MAX: Final = 20

Form = Literal["json", "yaml"]


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing for which a document is refused. `line`: from 1; None where there is none, as in readable
    JSON. `path`: dotted, lists counted from 0."""

    code: str
    path: str | None
    line: int | None
    detail: str

    def __str__(self) -> str:
        where = ", ".join(filter(None, (f"line {self.line}" if self.line else None, self.path)))
        return f"{where}: {self.detail}" if where else self.detail


class InvalidDocument(Exception):
    """Raised for a document that is no policy. It has one fault at least."""

    def __init__(self, *faults: Fault) -> None:
        super().__init__("; ".join(map(str, faults)))
        self.faults = faults


@dataclass(frozen=True, slots=True)
class Document:
    """A policy as it was read. `lines`: by dotted path, from 1; empty for JSON."""

    policy: Policy
    lines: Mapping[str, int]

    def line_of(self, where: str) -> int | None:
        """Returns the line of a path, or of the nearest part of the document that is above it."""
        while where and where not in self.lines:
            where = where.rpartition(".")[0]
        return self.lines.get(where)


def read(raw: bytes, form: Form) -> Document:
    """Reads a document. Raises `InvalidDocument`."""
    if len(raw) > DOCUMENT_BYTES_MAX:
        text = f"a policy may have at most {DOCUMENT_BYTES_MAX // 1024} KiB"
        raise InvalidDocument(Fault("message_too_large", None, None, text))
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        raise InvalidDocument(Fault(f"not_{form}", None, None, "it is not text in UTF-8")) from None
    lines: dict[str, int] = {}
    content = None if not text.strip() else _json(text) if form == "json" else _yaml(text, lines)
    if content is None:  # a file that was cut off would else drop every rule
        empty = "it is empty: write {} for a policy without anything"
        raise InvalidDocument(Fault("not_an_object", None, None, empty))
    if not isinstance(content, dict):
        raise InvalidDocument(Fault("not_an_object", None, None, "it has to be names with their values"))
    if (path := sensitive_path(_without_bins(content))) is not None:
        detail = "looks like a card number or a security code: leave it out"
        raise InvalidDocument(Fault(SENSITIVE, path, _line(lines, path), detail))
    try:
        return Document(Policy.model_validate(content), lines)
    except ValidationError as invalid:
        errors = invalid.errors(include_url=False)[:_FAULTS_MAX]
        raise InvalidDocument(*(_fault(error, content, lines) for error in errors)) from None


def to_yaml(document: Mapping[str, Any]) -> str:
    """Returns a policy's document as YAML, which `read` reads as the same."""
    if not document:
        return "{}\n"
    return yaml.dump(dict(document), Dumper=_Written, sort_keys=False, allow_unicode=True, width=100)


def _without_bins(content: dict[str, Any]) -> dict[str, Any]:
    """Returns the document without its lists of whole BINs: joined, as the groups of one number would be,
    every eighth list of 20 passes a card's check digit. None of them can be a card number by itself."""
    rules = content.get("rules")
    if not isinstance(rules, list):
        return content
    return content | {"rules": [_rule_without_bins(rule) for rule in rules]}


def _rule_without_bins(rule: Any) -> Any:
    match rule:
        case {"when": {"bin": [*bins]}} if all(_WHOLE_BIN.fullmatch(str(one)) for one in bins):
            return {**rule, "when": {**rule["when"], "bin": []}}
    return rule


def _fault(error: ErrorDetails, content: Any, lines: Mapping[str, int]) -> Fault:
    parts = list(_steps(error, content))
    path = ".".join(printable(str(part)) for part in parts)
    last = parts[-1] if parts else ""
    match error["type"]:
        case "missing":
            code, detail = "field_missing", wording.REQUIRED
        case "extra_forbidden":
            names = wording.fields_beside(_schema(), error["loc"])
            code, detail = "field_unknown", wording.no_such_field(last, names)
        case _:
            code, detail = "field_invalid", wording.sentence(error)
    return Fault(code, path or None, _line(lines, path), detail)


def _steps(error: ErrorDetails, content: Any) -> Iterator[str | int]:
    """Yields the path in the document. Pydantic's own has a kind's name where a strategy may be of many."""
    here = content
    for part in error["loc"]:
        is_there = (
            part in here if isinstance(here, dict) else isinstance(here, list) and isinstance(part, int)
        )
        if is_there:
            here = here[part]
        elif error["type"] != "missing" or part != error["loc"][-1]:
            continue
        yield part


@cache
def _schema() -> dict[str, Any]:
    return Policy.model_json_schema()


def _line(lines: Mapping[str, int], path: str) -> int | None:
    while path and path not in lines:
        path = path.rpartition(".")[0]
    return lines.get(path)


def _json(text: str) -> Any:
    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in names if names.count(name) > 1)
            raise InvalidDocument(_twice(printable(twice), None))
        return found

    try:
        return json.loads(text, object_pairs_hook=once)
    except json.JSONDecodeError as error:
        where = f"it is not JSON: look at column {error.colno}"
        raise InvalidDocument(Fault("not_json", None, error.lineno, where)) from None
    except (RecursionError, ValueError):  # nested too deeply; a number of thousands of digits
        raise InvalidDocument(
            Fault("not_json", None, None, "it is nested too deeply, or has a number without end")
        ) from None


def _twice(path: str, line: int | None) -> Fault:
    return Fault("field_invalid", path, line, "this name stands there twice: leave one")


class _Core(yaml.SafeLoader):
    """Composes nodes by the core schema, within bounds, and without what makes a document larger than it
    is."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012  # PyYAML's own way
    _depth = 0
    _nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        """Composes a node and those below it."""
        line = self.peek_event().start_mark.line + 1  # type: ignore[no-untyped-call]
        if self.check_event(yaml.AliasEvent):
            raise InvalidDocument(Fault("not_yaml", None, line, "no anchors: write it out where it is meant"))
        self._depth += 1
        self._nodes += 1
        if self._depth > _DEPTH_MAX:
            raise InvalidDocument(Fault("not_yaml", None, line, "it is nested too deeply"))
        if self._nodes > _NODES_MAX:
            text = f"it has more than {_NODES_MAX} names and values"
            raise InvalidDocument(Fault("message_too_large", None, line, text))
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


_TAG: Final = "tag:yaml.org,2002:"
for _kind, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
):
    _Core.add_implicit_resolver(
        f"{_TAG}{_kind}", re.compile(rf"(?:{_pattern})\Z", re.ASCII), ["" if c == "\0" else c for c in _first]
    )


class _Written(yaml.SafeDumper):
    """Writes each text so that `_Core` reads it as the same text."""

    # What either schema takes for no text is quoted: by YAML 1.1, which others read by, 22:00 is a number.
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {  # noqa: RUF012  # PyYAML's own way
        first: [
            pair for one in (yaml.SafeDumper, _Core) for pair in one.yaml_implicit_resolvers.get(first, ())
        ]
        for first in (*yaml.SafeDumper.yaml_implicit_resolvers, *_Core.yaml_implicit_resolvers)
    }

    def represent_text(self, text: str) -> yaml.ScalarNode:
        """Returns the text's node. PyYAML would write the line breaks of Unicode plainly, and read them as
        others."""
        style = None if text.isprintable() else '"'
        return self.represent_scalar(f"{_TAG}str", text, style)


_Written.add_representer(str, _Written.represent_text)


def _yaml(text: str, lines: dict[str, int]) -> Any:
    """Fills `lines`."""
    try:
        node = _Core(text).get_single_node()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        if mark is None:
            raise InvalidDocument(Fault("not_yaml", None, None, "it is not YAML")) from None
        detail = f"it is not YAML: look at column {mark.column + 1}"
        raise InvalidDocument(Fault("not_yaml", None, mark.line + 1, detail)) from None
    except yaml.YAMLError:
        raise InvalidDocument(
            Fault("not_yaml", None, None, "it has a character that YAML may not have")
        ) from None
    return None if node is None else _value(node, "", lines)


def _value(node: yaml.Node, path: str, lines: dict[str, int]) -> Any:
    lines[path] = line = node.start_mark.line + 1
    within = f"{path}." if path else ""
    kind = node.tag.removeprefix(_TAG)
    match node:
        case yaml.MappingNode() if kind == "map":
            found: dict[str, Any] = {}
            for name, value in node.value:
                at = f"{within}{printable(str(name.value))}"
                if not isinstance(name, yaml.ScalarNode):
                    text = "a name has to be a text"
                    raise InvalidDocument(Fault("not_yaml", path or None, name.start_mark.line + 1, text))
                if name.value in found:
                    raise InvalidDocument(_twice(at, name.start_mark.line + 1))
                found[name.value] = _value(value, at, lines)
                lines[at] = name.start_mark.line + 1
            return found
        case yaml.SequenceNode() if kind == "seq":
            return [_value(one, f"{within}{place}", lines) for place, one in enumerate(node.value)]
        case yaml.ScalarNode() if (read_it := _SCALARS.get(kind)) is not None and len(node.value) <= (
            _DIGITS_MAX if kind in {"int", "float"} else DOCUMENT_BYTES_MAX
        ):
            try:
                return read_it(node.value)
            except ValueError:
                pass
    raise InvalidDocument(
        Fault("field_invalid", path or None, line, "write plain text, numbers, true or false, without !")
    )


_SCALARS: Final[Mapping[str, Callable[[str], Any]]] = {
    "str": str,
    "int": int,
    "float": float,
    "bool": lambda text: text.lower() == "true",
    "null": lambda _: None,
}
