"""Says in words what one policy changes of another. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from aggregates.routing.policy import Policy

_SHARES: Final = frozenset({"share", "split", "explore", "guardrail", "success", "latency", "cost"})
_MISSING: Final = object()


def differences(old: Policy, new: Policy) -> list[str]:
    """Returns a sentence for each difference, in the document's order; none: both say the same. Rules are
    known by their ids, residency by its country, and commitments by account and days."""
    before, after = _named(old), _named(new)
    found = list(_between("", before, after))
    mine, its = _order_of_rules(old), _order_of_rules(new)
    if [name for name in mine if name in its] != [name for name in its if name in mine]:
        found.append(_reordered("rules", mine, its))
    return found


def _order_of_rules(policy: Policy) -> list[str]:
    return [rule.id for rule in sorted(policy.rules, key=lambda rule: rule.priority)]


def _named(policy: Policy) -> dict[str, Any]:
    """The document with names in place of lists' places."""
    document = policy.document()
    if "rules" in document:
        document["rules"] = {rule.pop("id"): rule for rule in document["rules"]}
    if "commitments" in document:
        document["commitments"] = {
            f"{one.pop('account')} from {one.pop('since')} to {one.pop('by')}": one
            for one in document["commitments"]
        }
    return document


def _between(where: str, old: Any, new: Any) -> Iterator[str]:
    if isinstance(old, dict) and isinstance(new, dict) and old.get("kind") == new.get("kind"):
        for name in [*old, *(name for name in new if name not in old)]:
            at = f"{where}.{name}" if where else name
            yield from _between(at, old.get(name, _MISSING), new.get(name, _MISSING))
    elif old is _MISSING:
        yield from _each(where, new, "is new: ")
    elif new is _MISSING:
        yield from _each(where, old, "is gone; it was ")
    elif isinstance(old, list) and isinstance(new, list) and old != new and _has_the_same(old, new):
        yield _reordered(where, old, new)
    elif old != new:
        yield f"{where}: {_shown(where, old)} becomes {_shown(where, new)}"


def _has_the_same(old: list[Any], new: list[Any]) -> bool:
    return len(old) == len(new) and all(old.count(one) == new.count(one) for one in old)


def _reordered(where: str, old: list[Any], new: list[Any]) -> str:
    return f"{where}: the order becomes {_shown(where, new)}; it was {_shown(where, old)}"


def _each(where: str, value: Any, change: str) -> Iterator[str]:
    """Of a whole group, one sentence for each of its members."""
    if where in {"rules", "residency", "commitments"}:
        yield from (f"{where}.{name} {change}{_shown(name, one)}" for name, one in value.items())
    else:
        yield f"{where} {change}{_shown(where, value)}"


def _shown(where: str, value: Any) -> str:
    parts = set(where.split(".")[-2:])
    match value:
        case bool():
            return "yes" if value else "no"
        case float() | int() if parts & _SHARES and 0 <= value <= 1:
            return f"{value:g} ({100 * value:g} %)"
        case float():
            return f"{value:g}"
        case Mapping():
            inner = (f"{name} {_shown(f'{where}.{name}', one)}" for name, one in value.items())
            return f"({', '.join(inner)})"
        case list():
            return ", ".join(_shown(where, one) for one in value)
        case _:
            return str(value)
