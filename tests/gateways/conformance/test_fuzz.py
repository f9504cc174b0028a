"""Fuzzes each adapter once: every single change of true responses, thousands of mutated responses and
webhooks, and responses made to hurt.

Always an outcome, never an exception, and APPROVED only where the PSP's documents call it that for this very
call: the book's oracle judges. Seeds are fixed: what fails once fails again.
"""

import itertools
import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, Final

import orjson
import pytest

from commands.messages import Outcome
from commands.notices import Notice
from gateways.contract import Call, HttpResponse, SignsWithCertificate, Webhook, WebhookRefused
from tests.gateways.conformance.book import CaseBook, Cell, On
from tests.gateways.conformance.books import each_book, each_judged, each_with_webhooks, operations
from tests.gateways.conformance.cases import CHARGE_ATTEMPTS, OTHERS, Operation, Other, Without
from tests.gateways.conformance.mutator import ODD, Mutator
from tests.gateways.conformance.oracle import Interpret, Oracle, each_change
from tests.gateways.conformance.webhooks import NOW, Events, Webhooks, decided
from tests.support.examples import every, examples

MUTATED: Final = examples(10_000)
ABOUT_ANOTHER_SUM: Final = examples(4_000)
WEBHOOKS: Final = examples(1_500)
STATUSES: Final = (-1, 0, 200, 201, 204, 302, 400, 401, 402, 403, 404, 408, 409, 422, 429, 500, 503, 999)
HURT: Final = (
    *(b"", b"null", b"7", b"[" * 5000, b"\xff\xfe", b"\xff" * 100, b"1e999", bytes(range(256))),
    *(b'{"errors": []}', b'{"error": []}', b'{"id": "\\ud800"}', b'{"resultCode": "\\ud800"}'),
    b'{"object": "payment_intent", "id": "\\ud800"}',
    b'{"data": {"node": {"id": "\\ud800"}}}',
    orjson.dumps({"error": {"code": "9" * 200, "decline_code": "9" * 200, "message": "4" * 100_000}}),
    orjson.dumps({"name": "X", "details": [{"issue": "9" * 5000}]}),
)
BROKEN_HEADERS: Final = (
    *("", "x", ",,,", "t=1,v1=", "t=1,v1=" + "0" * 64, "t=" + "9" * 400, "\u00fc", "\0" * 200, "A" * 900),
)
CARD: Final = "4111111111111111"


@each_judged
def test_no_one_change_of_a_true_response_is_taken_for_what_it_does_not_say(book: CaseBook, oracle: Oracle):
    for call, responses in oracle.responses:
        readers = oracle.readers(book.gateway, call)
        for response in responses:
            for body in itertools.islice(each_change(response.body, oracle.likely), 0, None, every()):
                changed = HttpResponse(response.status, response.headers, body)
                for requested, interpret in readers:
                    oracle.judge(interpret(requested, changed), requested, changed)


@each_judged
def test_a_response_made_to_hurt_hurts_nobody(book: CaseBook, oracle: Oracle):
    for call, _ in oracle.responses:
        for (requested, interpret), status, body in itertools.product(
            oracle.readers(book.gateway, call), STATUSES, HURT
        ):
            response = HttpResponse(status, {}, body)
            outcome = interpret(requested, response)
            oracle.judge(outcome, requested, response)
            assert outcome is None or len(outcome.detail or "") <= 500


def interpreters(book: CaseBook, operation: Operation) -> list[tuple[Call, Interpret]]:
    """Everything that reads a response, with each call that it may read it for."""
    call = book.call(operation)
    known = replace(call, psp_id=book.psp_id(call.reference))
    requested = (call, known, replace(call, psp_id=None))
    steps = (call, *(replace(call, **on.changes) for on in book.before.get(operation, ())))
    found: list[tuple[Call, Interpret]] = [(step, book.gateway.outcome) for step in steps]
    found += [(one, book.gateway.found) for one in requested]
    if operation in CHARGE_ATTEMPTS:
        found.append((replace(known, step="x"), book.gateway.cancelled))
    return found


def true_responses(
    book: CaseBook, operation: Operation, about: Callable[[Call], Call]
) -> Iterator[HttpResponse]:
    """The PSP's responses when it goes well, and when it is queried later; to the call that `about` makes of
    it."""
    for result, cell in book.responses[operation].items():
        if result in {"APPROVED", "PENDING", "ACTION_REQUIRED"} and not isinstance(cell, Without):
            yield _response(book, operation, cell, about)
    ways = book.looks[operation]
    for way, shows in {} if isinstance(ways, Without) else ways.items():
        if not isinstance(shows, Without):
            call = book.call(operation)
            requested = replace(call, psp_id=book.psp_id(call.reference) if way == "by_id" else None)
            yield shows(about(requested), [about(requested)])


def every_response(book: CaseBook, operation: Operation) -> Iterator[HttpResponse]:
    yield from true_responses(book, operation, lambda call: call)
    for cell in book.responses[operation].values():
        if not isinstance(cell, Without):
            yield _response(book, operation, cell, lambda call: call)
    shows = book.twice[operation]
    if not isinstance(shows, Without):
        yield shows(book.call(operation), [book.call(operation)] * 2)
    yield from (book.error_in_200, book.too_many)


def _response(
    book: CaseBook, operation: Operation, cell: Cell, about: Callable[[Call], Call]
) -> HttpResponse:
    assert not isinstance(cell, Without)
    respond, changes = (cell.respond, cell.changes) if isinstance(cell, On) else (cell, {})
    return respond(about(replace(book.call(operation), **changes)))


def _values(book: CaseBook) -> list[Any]:
    """Values that stand in true responses: the likeliest to be taken for something."""
    found: set[str | int] = set()
    for operation in operations(book):
        for response in every_response(book, operation):
            try:
                pending = [orjson.loads(response.body)]
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


def _check(book: CaseBook, outcome: Any, call: Call, response: HttpResponse) -> None:
    if outcome is None:
        return
    assert isinstance(outcome, Outcome)
    if not isinstance(book.oracle, Without):
        book.oracle.judge(outcome, call, response)
    assert len(outcome.detail or "") <= 500
    assert CARD not in outcome.model_dump_json()
    if outcome.kind == "APPROVED" and not _is_part(outcome, call):
        requested = (call.amount_minor, call.currency)
        assert (outcome.amount_minor, outcome.currency) == requested, (call, response.status, response.body)


def _is_part(outcome: Outcome, call: Call) -> bool:
    """Of an authorization a part may be approved, and is reported as what it is."""
    less = outcome.amount_minor is not None and 0 < outcome.amount_minor < call.amount_minor
    part = call.kind == "authorize" and outcome.code == "partially_authorised"
    return part and less and outcome.currency == call.currency


@each_book
def test_no_mutated_response_raises_or_approves_what_was_not_requested(book: CaseBook):
    dice = random.Random(f"{book.name} 1")
    oracle = book.oracle
    pool = [*ODD, *_values(book)]
    there = [
        (interpreters(book, operation), list(every_response(book, operation)))
        for operation in operations(book)
    ]
    if not isinstance(oracle, Without):
        pool += oracle.likely
        there += [
            (oracle.readers(book.gateway, call), list(responses)) for call, responses in oracle.responses
        ]
    mutator = Mutator(dice, pool)
    for _ in range(MUTATED if there else 0):
        readers, seeds = dice.choice(there)
        mutated = mutator.response(dice.choice(seeds))
        for call, interpret in readers:
            _check(book, interpret(call, mutated), call, mutated)


@pytest.mark.parametrize("what", OTHERS)
@each_book
def test_nothing_that_is_done_to_a_response_about_another_thing_makes_it_an_approval(
    book: CaseBook, what: Other
):
    """What was requested is in no place of the response, nor is it put there."""
    dice = random.Random(f"{book.name} {what}")
    there = []
    for operation in operations(book):
        if (operation, what) in book.unseen:
            continue
        seeds = list(true_responses(book, operation, lambda call: book.other(call, what)))
        there.append((interpreters(book, operation), seeds, Mutator(dice, _pool(book, operation, seeds))))
    for _ in range(ABOUT_ANOTHER_SUM if there else 0):
        readers, seeds, mutator = dice.choice(there)
        mutated = mutator.response(dice.choice(seeds))
        for call, interpret in readers:
            outcome = interpret(call, mutated)
            refuses = outcome is None or outcome.kind != "APPROVED" or _is_part(outcome, call)
            assert refuses, (call, mutated.status, mutated.body)


def _pool(book: CaseBook, operation: Operation, seeds: list[HttpResponse]) -> list[Any]:
    """Without what would make it the response to what was requested."""
    call = book.call(operation)
    requested = {
        str(call.amount_minor),
        f"{call.amount_minor / 100:.2f}",
        "usd",
        call.reference,
        book.psp_id(call.reference),
    }
    requested |= {str(call.target_reference), str(call.target_psp_id)}
    shown = b"".join(seed.body for seed in seeds)
    likely = [
        value
        for value in _values(book)
        if str(value).lower() not in requested and orjson.dumps(value) in shown
    ]
    return [value for value in (*ODD, *likely) if str(value).lower() not in requested]


@each_with_webhooks
def test_no_mutated_webhook_raises_or_approves_what_it_does_not_say(book: CaseBook, webhooks: Webhooks):
    """Most are rightly signed: what is not is refused before it is read."""
    dice, events = random.Random(f"{book.name} webhooks"), webhooks.events
    mutator = Mutator(dice, [*ODD, *events.likely], events.write)
    for _ in range(WEBHOOKS):
        body = mutator.body_of(dice.choice(events.contents))
        read = book.gateway.read_webhook(webhooks.sign(body), webhooks.keys, NOW)
        for notice in () if isinstance(read, WebhookRefused) else read:
            _check_notice(events, notice, body)


def _check_notice(events: Events, notice: Notice, body: bytes) -> None:
    assert notice.dispute is None or notice.dispute.amount_minor > 0, body
    outcome = notice.outcome
    if outcome is not None:
        assert len(outcome.detail or "") <= 500
        assert CARD not in outcome.model_dump_json(), body
        assert outcome.kind != "APPROVED" or events.approves(notice, body), (notice, body)


@each_with_webhooks
def test_a_webhook_with_a_broken_header_or_an_unsigned_change_decides_nothing_new(
    book: CaseBook, webhooks: Webhooks
):
    dice = random.Random(f"{book.name} headers")
    mutator = Mutator(dice, list(ODD))
    webhook = webhooks.signed(book.call("sale"), NOW)
    genuine_read = book.gateway.read_webhook(webhook, webhooks.keys, NOW)
    assert not isinstance(genuine_read, WebhookRefused)
    genuine = decided(genuine_read)
    for _ in range(WEBHOOKS):
        headers = {
            name: value if dice.random() < 0.7 else dice.choice([*BROKEN_HEADERS, _noise(dice)])
            for name, value in webhook.headers.items()
        }
        mutated = Webhook(headers, mutator.body(webhook.body) if dice.random() < 0.8 else webhook.body)
        read = book.gateway.read_webhook(mutated, webhooks.keys, NOW)
        assert isinstance(read, WebhookRefused) or all(one in genuine for one in decided(read))
        if isinstance(book.gateway, SignsWithCertificate):
            book.gateway.certificate_url(mutated, webhooks.keys.options)


def _noise(dice: random.Random) -> str:
    return "".join(chr(dice.randrange(0x3000)) for _ in range(dice.randrange(200)))
