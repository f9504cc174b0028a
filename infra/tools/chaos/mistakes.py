"""Words for what is wrong in a plan: the word that was written, the nearest of those that exist, and all of
them. A plan that was written for an earlier version is mended by them, without a list of earlier names."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Final

from commands import wording

_NEAREST_MAX: Final = 3
_LIKENESS_MIN: Final = 0.6  # of 1, by difflib: `crash_point` is as near as that to `failpoint`


def unknown(what: str, name: object, known: Iterable[str]) -> str:
    """Says that no `what` is called `name`, suggests the nearest of `known`, and lists them all."""
    names = sorted(set(known))
    near = get_close_matches(str(name), names, _NEAREST_MAX, _LIKENESS_MIN)
    suggested = f": did you mean {' or '.join(near)}? Known:" if near else "; known:"
    return f"no {what} is called {name}{suggested} {', '.join(names)}"


def sentence(error: Mapping[str, Any], fields: Iterable[str]) -> str:
    """Puts one of pydantic's `errors()` into words. `fields`: those that exist where it was found."""
    context = error.get("ctx", {})
    match error["type"]:
        case "extra_forbidden":
            return unknown("field", error["loc"][-1], fields)
        case "union_tag_invalid":
            return unknown("fault", context["tag"], _words(context["expected_tags"]))
        case "literal_error":
            return unknown("value", error["input"], _words(context["expected"]))
        case _:
            return wording.sentence(error)


def _words(listed: str) -> list[str]:
    """Returns the words of pydantic's "'a', 'b' or 'c'"."""
    return [word.strip("' ") for word in listed.replace("' or '", "', '").split(",")]
