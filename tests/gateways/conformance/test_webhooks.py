"""Webhooks: read where they are rightly signed, by the one secret or the other, and refused where they are
not."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from commands.notices import Notice
from gateways.contract import Webhook, WebhookKeys, WebhookRefused
from tests.gateways.conformance.book import CaseBook
from tests.gateways.conformance.books import each_with_webhooks, operations
from tests.gateways.conformance.cases import Without
from tests.gateways.conformance.webhooks import NOW, Webhooks, decided


def genuine(book: CaseBook, webhooks: Webhooks) -> Webhook:
    return webhooks.signed(book.call("sale"), NOW)


def read(
    book: CaseBook, webhook: Webhook, keys: WebhookKeys, now: datetime = NOW
) -> tuple[Notice, ...] | WebhookRefused:
    return book.gateway.read_webhook(webhook, keys, now)


@each_with_webhooks
def test_a_genuine_webhook_tells_of_its_operation(book: CaseBook, webhooks: Webhooks):
    notices = read(book, genuine(book, webhooks), webhooks.keys)

    assert not isinstance(notices, WebhookRefused), notices
    (notice,) = notices
    assert notice.event_id
    call = book.call("sale")
    assert notice.reference == call.reference or notice.psp_id == book.psp_id(call.reference)
    assert notice.outcome is not None
    assert notice.outcome.kind in {"APPROVED", "UNKNOWN"}


@each_with_webhooks
def test_its_repeat_has_the_same_event_id_and_another_ones_has_another(book: CaseBook, webhooks: Webhooks):
    ids: list[str] = []
    for call in (book.call("sale"), book.call("sale"), book.another(book.call("sale"))):
        notices = read(book, webhooks.signed(call, NOW), webhooks.keys)
        assert not isinstance(notices, WebhookRefused)
        ids.append(notices[0].event_id)

    assert ids[0] == ids[1] != ids[2]


@each_with_webhooks
def test_while_secrets_are_exchanged_both_are_taken(book: CaseBook, webhooks: Webhooks):
    exchange = webhooks.exchange
    if isinstance(exchange, Without):
        return
    old, new = genuine(book, webhooks), exchange.signed_with_new(book.call("sale"), NOW)

    assert not isinstance(read(book, old, exchange.both), WebhookRefused)
    assert not isinstance(read(book, new, exchange.both), WebhookRefused)
    assert isinstance(read(book, old, exchange.only_new), WebhookRefused)
    assert isinstance(read(book, new, webhooks.keys), WebhookRefused)


@each_with_webhooks
def test_no_webhook_is_taken_without_its_signature_or_with_no_secret(book: CaseBook, webhooks: Webhooks):
    webhook = genuine(book, webhooks)

    assert isinstance(read(book, webhooks.unsigned(webhook), webhooks.keys), WebhookRefused)
    assert all(isinstance(read(book, webhook, keys), WebhookRefused) for keys in webhooks.keyless)


@each_with_webhooks
def test_what_was_changed_on_its_way_decides_nothing(book: CaseBook, webhooks: Webhooks):
    """Whatever one byte is changed: refused, or read as the same."""
    webhook = genuine(book, webhooks)
    genuine_one = read(book, webhook, webhooks.keys)
    assert not isinstance(genuine_one, WebhookRefused)
    for place in range(len(webhook.body)):
        changed = bytearray(webhook.body)
        changed[place] = changed[place] ^ 1
        notices = read(book, replace(webhook, body=bytes(changed)), webhooks.keys)

        assert isinstance(notices, WebhookRefused) or decided(notices) == decided(genuine_one), place


@each_with_webhooks
def test_a_webhook_that_is_too_old_is_stale_where_the_psp_signs_its_time(book: CaseBook, webhooks: Webhooks):
    notices = read(book, genuine(book, webhooks), webhooks.keys, NOW + timedelta(days=30))

    if webhooks.expires is True:
        assert notices == WebhookRefused("stale")
    else:
        assert not isinstance(notices, WebhookRefused)


@each_with_webhooks
@pytest.mark.parametrize("body", [b"", b"{}", b"[]", b"null", b"\xff\xfe", b"[" * 5000, b"a=1&b=2", b"<a/>"])
def test_a_webhook_that_is_none_is_refused(book: CaseBook, webhooks: Webhooks, body: bytes):
    for headers in ({}, dict(genuine(book, webhooks).headers)):
        assert isinstance(read(book, Webhook(headers, body), webhooks.keys), WebhookRefused)


@each_with_webhooks
def test_each_operation_that_a_webhook_may_tell_of_is_read_without_raising(
    book: CaseBook, webhooks: Webhooks
):
    for operation in operations(book):
        notices = read(book, webhooks.signed(book.call(operation), NOW), webhooks.keys)

        assert not isinstance(notices, WebhookRefused), operation
