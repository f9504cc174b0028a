"""10,000 mutated answers for each adapter: always an outcome, never an exception, and never APPROVED for what was not
asked. The seed is fixed: what fails once fails again."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

import orjson
import pytest

from commands.messages import Outcome
from gateways.contract import Call, Hook, HookRefused, HttpAnswer
from tests.gateways.conformance.book import CaseBook, Cell, On
from tests.gateways.conformance.books import each_book, each_hooked, operations
from tests.gateways.conformance.cases import OTHERS, TAKING, Operation, Other, Without
from tests.gateways.conformance.hooked import Hooks
from tests.gateways.conformance.mutator import ODD, Mutator

MUTATED: Final = 10_000
ABOUT_ANOTHER_SUM: Final = 4_000
NOW: Final = datetime(2026, 11, 25, 12, tzinfo=UTC)
Interpret = Callable[[Call, HttpAnswer], Outcome | None]


def interpreters(book: CaseBook, operation: Operation) -> list[tuple[Call, Interpret]]:
    """Everything that reads an answer, with each call that it may read it for."""
    call = book.call(operation)
    known = replace(call, psp_id=book.psp_id(call.reference))
    asked = (call, known, replace(call, psp_id=None))
    steps = (call, *(replace(call, **on.changes) for on in book.before.get(operation, ())))
    found: list[tuple[Call, Interpret]] = [(step, book.gateway.outcome) for step in steps]
    found += [(one, book.gateway.found) for one in asked]
    if operation in TAKING:
        found.append((replace(known, step="x"), book.gateway.cancelled))
    return found


def true_answers(book: CaseBook, operation: Operation, about: Callable[[Call], Call]) -> Iterator[HttpAnswer]:
    """What the PSP says when it goes well, and when it is asked later; to the call that `about` makes of it."""
    for result, cell in book.says[operation].items():
        if result in {"APPROVED", "PENDING", "ACTION_REQUIRED"} and not isinstance(cell, Without):
            yield _said(book, operation, cell, about)
    ways = book.looks[operation]
    for way, shows in {} if isinstance(ways, Without) else ways.items():
        if not isinstance(shows, Without):
            call = book.call(operation)
            asked = replace(call, psp_id=book.psp_id(call.reference) if way == "by_id" else None)
            yield shows(about(asked), [about(asked)])


def every_answer(book: CaseBook, operation: Operation) -> Iterator[HttpAnswer]:
    yield from true_answers(book, operation, lambda call: call)
    for cell in book.says[operation].values():
        if not isinstance(cell, Without):
            yield _said(book, operation, cell, lambda call: call)
    shows = book.twice[operation]
    if not isinstance(shows, Without):
        yield shows(book.call(operation), [book.call(operation)] * 2)
    yield from (book.error_in_200, book.too_many)


def _said(book: CaseBook, operation: Operation, cell: Cell, about: Callable[[Call], Call]) -> HttpAnswer:
    assert not isinstance(cell, Without)
    says, changes = (cell.says, cell.changes) if isinstance(cell, On) else (cell, {})
    return says(about(replace(book.call(operation), **changes)))


def _values(book: CaseBook) -> list[Any]:
    """Values that stand in true answers: the likeliest to be taken for something."""
    found: set[str | int] = set()
    for operation in operations(book):
        for answer in every_answer(book, operation):
            try:
                pending = [orjson.loads(answer.body)]
            except orjson.JSONDecodeError:
                continue
            while pending:
                match pending.pop():
                    case dict() as inner:
                        pending.extend(inner.values())
                    case list() as inner:
                        pending.extend(inner)
                    case str() | int() as leaf:
                        found.add(leaf)
    return sorted(found, key=repr)


def _check(outcome: Any, call: Call, answer: HttpAnswer) -> None:
    if outcome is None:
        return
    assert isinstance(outcome, Outcome)
    assert len(outcome.detail or "") <= 500
    assert "4111111111111111" not in outcome.model_dump_json()
    if outcome.kind == "APPROVED" and not _is_part(outcome, call):
        asked = (call.amount_minor, call.currency)
        assert (outcome.amount_minor, outcome.currency) == asked, (call, answer.status, answer.body)


def _is_part(outcome: Outcome, call: Call) -> bool:
    """Of an authorization a part may be approved, and is reported as what it is."""
    less = outcome.amount_minor is not None and 0 < outcome.amount_minor < call.amount_minor
    part = call.kind == "authorize" and outcome.code == "partially_authorised"
    return part and less and outcome.currency == call.currency


@each_book
def test_no_mutated_answer_raises_or_approves_what_was_not_asked(book: CaseBook):
    dice = random.Random(f"{book.name} 1")
    mutator = Mutator(dice, [*ODD, *_values(book)])
    there = [
        (interpreters(book, operation), list(every_answer(book, operation))) for operation in operations(book)
    ]
    for _ in range(MUTATED if there else 0):
        readers, seeds = dice.choice(there)
        mutated = mutator.answer(dice.choice(seeds))
        for call, interpret in readers:
            _check(interpret(call, mutated), call, mutated)


@pytest.mark.parametrize("what", OTHERS)
@each_book
def test_nothing_that_is_done_to_an_answer_about_another_thing_makes_it_an_approval(
    book: CaseBook, what: Other
):
    """What was asked is in no place of the answer, nor is it put there."""
    dice = random.Random(f"{book.name} {what}")
    there = []
    for operation in operations(book):
        if (operation, what) in book.unseen:
            continue
        seeds = list(true_answers(book, operation, lambda call: book.other(call, what)))
        there.append((interpreters(book, operation), seeds, Mutator(dice, _pool(book, operation, seeds))))
    for _ in range(ABOUT_ANOTHER_SUM if there else 0):
        readers, seeds, mutator = dice.choice(there)
        mutated = mutator.answer(dice.choice(seeds))
        for call, interpret in readers:
            outcome = interpret(call, mutated)
            refuses = outcome is None or outcome.kind != "APPROVED" or _is_part(outcome, call)
            assert refuses, (call, mutated.status, mutated.body)


def _pool(book: CaseBook, operation: Operation, seeds: list[HttpAnswer]) -> list[Any]:
    """Without what would make it the answer to what was asked."""
    call = book.call(operation)
    asked = {
        str(call.amount_minor),
        f"{call.amount_minor / 100:.2f}",
        "usd",
        call.reference,
        book.psp_id(call.reference),
    }
    asked |= {str(call.target_reference), str(call.target_psp_id)}
    shown = b"".join(seed.body for seed in seeds)
    likely = [
        value for value in _values(book) if str(value).lower() not in asked and orjson.dumps(value) in shown
    ]
    return [value for value in (*ODD, *likely) if str(value).lower() not in asked]


@each_hooked
def test_no_mutated_webhook_raises(book: CaseBook, hooks: Hooks):
    dice = random.Random(f"{book.name} hooks")
    mutator = Mutator(dice, list(ODD))
    hook = hooks.signed(book.call("sale"), NOW)
    for _ in range(MUTATED // 5):
        headers = {
            name: value
            if dice.random() < 0.7
            else dice.choice(["", "x", "t=1,v1=" + "0" * 64, "\u00fc", "A" * 900])
            for name, value in hook.headers.items()
        }
        mutated = Hook(headers, mutator.body(hook.body) if dice.random() < 0.8 else hook.body)
        said = book.gateway.read_hook(mutated, hooks.keys, NOW)
        assert isinstance(said, tuple | HookRefused)
        book.gateway.certificate_url(mutated, hooks.keys.options)
