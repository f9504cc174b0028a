"""docs/gateways.md, from the adapters' declarations. `python -m infra.gateways [--check]`"""

import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from gateways.contract import Facts
from infra.adapters import ADAPTERS

FILE: Final = Path(__file__).parent.parent / "docs" / "gateways.md"

_HEAD: Final = """\
# The PSPs

What each adapter declares, printed by `make docs`. The router and the handlers know it before anything starts: a
payment is tried only at accounts that take its currency, and what a PSP cannot do is refused with its reason.
"""
_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR


def text() -> str:
    facts = [gateway.facts for gateway in ADAPTERS.values()]
    return "\n".join((_HEAD, *_table(facts), "", *_currencies(facts), *_accounts(facts))) + "\n"


def _table(facts: list[Facts]) -> Iterator[str]:
    yield _row("", (one.title for one in facts))
    yield _row("---", ("---" for _ in facts))
    for name, cell in _ROWS:
        yield _row(name, (cell(one) for one in facts))


def _currencies(facts: list[Facts]) -> Iterator[str]:
    yield "## Currencies\n"
    yield from (f"- {one.title}: {' '.join(sorted(one.currencies))}" for one in facts)


def _accounts(facts: list[Facts]) -> Iterator[str]:
    yield "\n## What an account needs\n"
    for one in facts:
        yield f'### {one.title} (`gateway = "{one.name}"`)\n'
        yield f"- `payment_method`: `{one.name}:` and then {one.payment_method}"
        yield f"- `secret_file`: {one.credential}"
        yield f"- `webhook_secret_files`: {one.signed_by}"
        for name, meaning in one.options.items():
            need = "" if name in one.required else ", may be left out"
            yield f"- `options.{name}`: {meaning}{need}"
        yield ""


def _row(name: str, cells: Iterable[str]) -> str:
    return f"| {' | '.join((name, *(cell.replace('|', '&#124;') for cell in cells)))} |"


def _has(facts: Facts, kind: str) -> str:
    return "yes" if kind in facts.kinds else "no"


def _capture(facts: Facts) -> str:
    if not facts.partial_capture:
        return "all of it, once"
    return (
        "full and partial, several where the account may" if facts.multicapture else "full or partial, once"
    )


def _life(seconds: int) -> str:
    return f"{seconds // _DAY} days" if seconds % _DAY == 0 and seconds > _DAY else f"{seconds // _HOUR} h"


_ROWS: Final[tuple[tuple[str, Callable[[Facts], str]], ...]] = (
    ("interface", lambda facts: facts.documents),
    ("authorize", lambda facts: _has(facts, "authorize")),
    ("sale", lambda facts: _has(facts, "sale")),
    ("capture", _capture),
    ("void", lambda facts: _has(facts, "void")),
    (
        "refund",
        lambda facts: f"full and partial, of a {facts.refunds_of}" if "refund" in facts.kinds else "no",
    ),
    ("an authorization lapses after", lambda facts: _life(facts.authorization_life_s)),
    ("challenge", lambda facts: facts.challenge),
    ("its last call is made by", lambda facts: "us" if facts.completed_by == "us" else "the PSP"),
    ("idempotency", lambda facts: facts.idempotency),
    ("longest life of a key", lambda facts: _life(facts.key_life_s)),
    ("look-up", lambda facts: facts.lookup if facts.looks_up else f"none: {facts.lookup}"),
    ("webhooks are signed by", lambda facts: facts.webhook),
    ("comes by webhook only", lambda facts: facts.only_by_webhook),
)


def main() -> int:
    if "--check" not in sys.argv[1:]:
        FILE.write_text(text())
        return 0
    if FILE.exists() and FILE.read_text() == text():
        return 0
    sys.stderr.write(
        "docs/gateways.md is not what the adapters declare: run `python -m infra.gateways` and commit it\n"
    )
    return 1


if __name__ == "__main__":
    sys.exit(main())
