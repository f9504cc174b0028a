"""What the command line's output has in common."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.cli.output import in_words

INFRA = Path(__file__).parents[3] / "infra"
_FILES = [
    *sorted((INFRA / "cli").glob("*.py")),
    *sorted((INFRA / "kafka").glob("*.py")),
    *sorted((INFRA / "psp").glob("*.py")),
    INFRA / "tools" / "audit" / "store.py",
]
_PLURAL = re.compile(
    r" (?:open |waiting )?(?:times|tries|payments|orders|faults|events|operations|webhooks|partitions|records|letters"
    r"|commands|accounts|processes)\b"
)


@pytest.mark.parametrize("file", _FILES, ids=lambda file: str(file.relative_to(INFRA)))
def test_no_count_is_reported_with_a_noun_that_is_always_plural(file: Path):
    """`1 times` is no English: `commands.wording.counted` knows the singular."""
    assert list(_always_plural(file)) == []


def _always_plural(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.JoinedStr):
            for value, after in zip(node.values, node.values[1:], strict=False):
                if isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant):
                    found = _PLURAL.match(str(after.value))
                    if found:
                        yield f"{file.name}:{node.lineno}: {ast.unparse(value.value)}{found[0]}"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"a": 0.5, "b": 1 / 3}, "a 0.5, b 0.333333"),
        ({"experiment": "x", "serves": "", "stopped": [], "arm": None}, "experiment x, serves nothing"),
        (["a", "b"], "a and b"),
        ([], "nothing"),
        (True, "yes"),
    ],
)
def test_a_part_of_a_record_is_put_into_words(value, words):
    assert in_words(value) == words
