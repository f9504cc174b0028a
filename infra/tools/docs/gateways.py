"""Generates docs/gateways.md from the adapters' declarations."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from textwrap import fill
from typing import Final

from aggregates import money
from gateways.contract import Facts
from gateways.registry import ADAPTERS
from infra.tools.docs.psp_clients import CLIENTS

FILE: Final = Path(__file__).parents[3] / "docs" / "gateways.md"

_HEAD: Final = """\
# The PSPs

What each adapter declares, printed by `make docs`. The router and the handlers know it before anything
starts: a payment is tried only at accounts that take its currency, and what a PSP cannot do is refused with
the reason.
"""
_COLUMNS: Final = 110
_HOUR: Final = 3600
_DAY: Final = 24 * _HOUR


def text() -> str:
    """Returns the page."""
    facts = [gateway.facts for gateway in ADAPTERS.values()]
    return (
        "\n".join((_HEAD, *_table(facts), "", *_tried(facts), *_currencies(facts), *_accounts(facts))) + "\n"
    )


def _table(facts: list[Facts]) -> Iterator[str]:
    yield _row("", (one.title for one in facts))
    yield _row("---", ("---" for _ in facts))
    for name, cell in _ROWS:
        yield _row(name, (cell(one) for one in facts))


def _tried(facts: list[Facts]) -> Iterator[str]:
    yield "## Clients that were tried\n"
    yield "Each pays at the simulator in the tests. How each is pointed there: [simulator.md](simulator.md).\n"
    yield _row("PSP", ("language", "client", "version", "interface that it speaks"))
    yield _row("---", ("---" for _ in range(4)))
    titles = {one.name: one.title for one in facts}
    for tried in CLIENTS:
        yield _row(titles[tried.gateway], (tried.language, tried.package, tried.version, tried.interface))
    yield ""


def _currencies(facts: list[Facts]) -> Iterator[str]:
    yield "## Currencies\n"
    gone = ", ".join(f"{code} on {of.since} ({of.successor})" for code, of in sorted(money.WITHDRAWN.items()))
    yield _prose(
        "By ISO 4217's list of 2026-01-01. No payment begins in a withdrawn currency; an existing one is captured, "
        f"voided and refunded: {gone}."
    )
    yield ""
    for one in facts:
        always = sorted(one.currencies - one.switched.keys() - money.WITHDRAWN.keys())
        switched = [f"{code} with `options.{option}`" for code, option in one.switched.items()]
        yield _prose(f"- {one.title}: {', '.join((' '.join(always), *switched))}")


def _accounts(facts: list[Facts]) -> Iterator[str]:
    yield "\n## What an account needs\n"
    for one in facts:
        yield f'### {one.title} (`gateway = "{one.name}"`)\n'
        yield _prose(f"- `payment_method`: `{one.name}:` and then {one.payment_method}")
        yield _prose(f"- `secret_file`: {one.credential}")
        yield _prose(f"- `webhook_secret_files`: {one.signed_by}")
        for name, meaning in one.options.items():
            need = "" if name in one.required else ", may be left out"
            yield _prose(f"- `options.{name}`: {meaning}{need}")
        yield ""


def _prose(text: str) -> str:
    """Returns the paragraph or item in lines of at most 110 columns."""
    indent = "  " if text.startswith("- ") else ""
    return fill(text, _COLUMNS, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)


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
    ("its last call is made by", lambda facts: "us" if facts.final_call_by == "us" else "the PSP"),
    ("idempotency", lambda facts: facts.idempotency),
    ("longest life of a key", lambda facts: _life(facts.key_life_s)),
    ("lookup", lambda facts: facts.lookup if facts.looks_up else f"none: {facts.lookup}"),
    ("webhooks are signed by", lambda facts: facts.webhook),
    ("comes by webhook only", lambda facts: facts.only_by_webhook),
)
