"""Joins the wishes of several routing hooks about one payment."""

from aggregates.routing.facts import Hints


def joined(first: Hints, later: Hints) -> Hints:
    """Returns both: what either forbids is forbidden, and the earlier one's preferences come first."""
    never = dict.fromkeys(first.never + later.never)
    only = first.only or later.only
    if first.only and later.only:
        only = tuple(name for name in first.only if name in later.only)
        if not only:
            # Empty, `only` would forbid nothing: the two leave no account at all.
            only, never = first.only, never | dict.fromkeys(first.only)
    return Hints(only, tuple(never), tuple(dict.fromkeys(first.prefer + later.prefer)))
