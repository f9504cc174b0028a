"""What the lint finds in a policy."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Severity = Literal["error", "warning"]
Code = Literal[
    "arms_alike",
    "arms_differ",
    "commitment",
    "contradiction",
    "control",
    "currency",
    "empty",
    "overlap",
    "sum",
    "unknown_account",
    "unknown_value",
    "unreachable",
    "without_effect",
]
Accounts = Mapping[str, frozenset[str]]
"""A merchant's accounts, each with the currencies that it takes."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong in a policy. `where`: its dotted path in the document, lists counted from 0.
    With an error a policy cannot be activated."""

    severity: Severity
    code: Code
    where: str
    what: str
    remedy: str


def error(code: Code, where: str, what: str, remedy: str) -> Finding:
    """Returns a finding with which the policy cannot be activated."""
    return Finding("error", code, where, what, remedy)


def warning(code: Code, where: str, what: str, remedy: str) -> Finding:
    """Returns a finding that somebody may accept."""
    return Finding("warning", code, where, what, remedy)


def listed(names: Iterable[str]) -> str:
    """Joins names in words: `a, b and c`."""
    *most, last = sorted(names)
    return f"{', '.join(most)} and {last}" if most else last
