"""Webhooks: read where they are rightly signed, by the one secret or the other, and refused where they are not."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from gateways.contract import Hook, HookKeys, HookRefused, Notice
from tests.gateways.conformance.book import CaseBook
from tests.gateways.conformance.books import each_hooked, operations
from tests.gateways.conformance.cases import Without
from tests.gateways.conformance.hooked import Hooks

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)


def genuine(book: CaseBook, hooks: Hooks) -> Hook:
    return hooks.signed(book.call("sale"), NOW)


def read(book: CaseBook, hook: Hook, keys: HookKeys, now: datetime = NOW) -> tuple[Notice, ...] | HookRefused:
    return book.gateway.read_hook(hook, keys, now)


@each_hooked
def test_a_genuine_webhook_tells_of_its_operation(book: CaseBook, hooks: Hooks):
    said = read(book, genuine(book, hooks), hooks.keys)

    assert not isinstance(said, HookRefused), said
    (notice,) = said
    assert notice.event_id
    call = book.call("sale")
    assert notice.reference == call.reference or notice.psp_id == book.psp_id(call.reference)
    assert notice.outcome is not None
    assert notice.outcome.kind in {"APPROVED", "UNKNOWN"}


@each_hooked
def test_its_repeat_has_the_same_event_id_and_another_ones_has_another(book: CaseBook, hooks: Hooks):
    ids: list[str] = []
    for call in (book.call("sale"), book.call("sale"), book.another(book.call("sale"))):
        said = read(book, hooks.signed(call, NOW), hooks.keys)
        assert not isinstance(said, HookRefused)
        ids.append(said[0].event_id)

    assert ids[0] == ids[1] != ids[2]


@each_hooked
def test_while_secrets_are_exchanged_both_are_taken(book: CaseBook, hooks: Hooks):
    exchange = hooks.exchange
    if isinstance(exchange, Without):
        return
    old, new = genuine(book, hooks), exchange.signed_with_new(book.call("sale"), NOW)

    assert not isinstance(read(book, old, exchange.both), HookRefused)
    assert not isinstance(read(book, new, exchange.both), HookRefused)
    assert isinstance(read(book, old, exchange.only_new), HookRefused)
    assert isinstance(read(book, new, hooks.keys), HookRefused)


@each_hooked
def test_no_webhook_is_taken_without_its_signature_or_with_no_secret(book: CaseBook, hooks: Hooks):
    hook = genuine(book, hooks)

    assert isinstance(read(book, hooks.unsigned(hook), hooks.keys), HookRefused)
    assert all(isinstance(read(book, hook, keys), HookRefused) for keys in hooks.keyless)


@each_hooked
def test_what_was_changed_on_its_way_decides_nothing(book: CaseBook, hooks: Hooks):
    """Whatever one byte is changed: refused, or what it says is the same."""
    hook = genuine(book, hooks)
    genuine_one = read(book, hook, hooks.keys)
    assert not isinstance(genuine_one, HookRefused)
    for place in range(len(hook.body)):
        changed = bytearray(hook.body)
        changed[place] = changed[place] ^ 1
        said = read(book, replace(hook, body=bytes(changed)), hooks.keys)

        assert isinstance(said, HookRefused) or _decided(said) == _decided(genuine_one), place


def _decided(notices: tuple[Notice, ...]) -> list[Any]:
    return [
        (one.reference, one.psp_id, one.dispute, one.outcome and (one.outcome.kind, one.outcome.amount_minor))
        for one in notices
    ]


@each_hooked
def test_a_webhook_that_is_too_old_is_stale_where_the_psp_signs_its_time(book: CaseBook, hooks: Hooks):
    said = read(book, genuine(book, hooks), hooks.keys, NOW + timedelta(days=30))

    if hooks.expires is True:
        assert said == HookRefused("stale")
    else:
        assert not isinstance(said, HookRefused)


@each_hooked
@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 5000, b"a=1&b=2", b"<a/>"])
def test_a_webhook_that_is_none_is_refused(book: CaseBook, hooks: Hooks, body: bytes):
    for headers in ({}, dict(genuine(book, hooks).headers)):
        assert isinstance(read(book, Hook(headers, body), hooks.keys), HookRefused)


@each_hooked
def test_each_operation_that_a_webhook_may_tell_of_is_read_without_raising(book: CaseBook, hooks: Hooks):
    for operation in operations(book):
        said = read(book, hooks.signed(book.call(operation), NOW), hooks.keys)

        assert not isinstance(said, HookRefused), operation
