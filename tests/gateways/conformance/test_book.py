"""Nothing is declared away silently: each book has every case of the list, or the reason why its PSP
cannot have it."""

from collections.abc import Iterator, Mapping
from typing import Any

from gateways.registry import ADAPTERS
from tests.gateways.conformance.book import CaseBook
from tests.gateways.conformance.books import CASEBOOKS, each_book, operations
from tests.gateways.conformance.calls import kind_of
from tests.gateways.conformance.cases import (
    AMOUNTS,
    CANCEL_CASES,
    CHARGE_ATTEMPTS,
    KEY_CASES,
    NEVER_WITHOUT,
    OPERATIONS,
    PLANTED,
    RESULTS,
    TOKENS,
    WAYS,
    Without,
)


def test_every_adapter_has_a_book():
    assert set(CASEBOOKS) >= set(ADAPTERS)
    assert all(type(CASEBOOKS[name].gateway) is type(ADAPTERS[name]) for name in ADAPTERS)


@each_book
def test_a_book_has_every_case_of_the_list_and_no_other(book: CaseBook):
    assert tuple(book.calls) == OPERATIONS
    has = set(operations(book))
    assert set(book.responses) == set(book.keys) == set(book.looks) == set(book.twice) == has
    assert set(book.amounts) == set(AMOUNTS)
    assert set(book.cancels) == set(CANCEL_CASES)
    for operation in operations(book):
        assert set(book.responses[operation]) == set(RESULTS), operation
        _is_total(book.keys[operation], KEY_CASES)
        _is_total(book.looks[operation], WAYS)


def _is_total(cells: Any, names: tuple[Any, ...]) -> None:
    assert isinstance(cells, Without) or set(cells) == set(names)


def _withouts(node: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, Without):
        yield path, node.why
    if isinstance(node, Mapping):
        for name, inner in node.items():
            yield from _withouts(inner, f"{path}/{name}")


@each_book
def test_what_a_psp_cannot_have_has_its_reason(book: CaseBook):
    fields = {name: getattr(book, name) for name in book.__dataclass_fields__}
    for path, why in _withouts(fields):
        assert len(why) > 20, f"{path}: {why!r} is no reason"
        assert "todo" not in why.lower(), path


@each_book
def test_an_operation_is_missing_only_where_the_declaration_says_so(book: CaseBook):
    facts = book.gateway.facts
    for operation in OPERATIONS:
        has = kind_of(operation) in facts.kinds and (operation != "capture_part" or facts.partial_capture)
        assert has != isinstance(book.calls[operation], Without), operation


@each_book
def test_what_every_psp_can_say_is_in_every_book(book: CaseBook):
    for operation in operations(book):
        there = {name for name, cell in book.responses[operation].items() if not isinstance(cell, Without)}
        assert there >= NEVER_WITHOUT, operation
        assert there & {"APPROVED", "PENDING"}, operation
        assert "APPROVED" in there or book.gateway.facts.looks_up or not isinstance(book.webhooks, Without)
        if operation in CHARGE_ATTEMPTS:
            assert there >= {"DECLINED_SOFT", "DECLINED_HARD"}, operation


@each_book
def test_lookups_and_keys_are_missing_only_where_the_declaration_says_so(book: CaseBook):
    for operation in operations(book):
        ways = book.looks[operation]
        none = isinstance(ways, Without) or all(isinstance(way, Without) for way in ways.values())
        assert none != book.gateway.facts.looks_up, operation
        has_key = book.gateway.key_life_s(book.call(operation), book.credentials) > 0
        assert has_key != isinstance(book.keys[operation], Without), operation


@each_book
def test_secrets_are_planted_so_that_they_can_be_found(book: CaseBook):
    assert PLANTED in book.credentials.secret
    needed = book.gateway.facts.required - book.credentials.options.keys()
    assert not needed


@each_book
def test_a_simulator_plays_every_class(book: CaseBook):
    if not isinstance(book.simulator, Without):
        assert set(book.simulator.tokens) == set(TOKENS)
        assert book.simulator.psp.name == book.name
        assert book.simulator.account.secret == book.credentials.secret
