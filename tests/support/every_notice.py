"""Yields the notices that every adapter makes of webhooks, rightly signed, whose contents are as odd as a
PSP's may be."""

from collections.abc import Iterator
from random import Random
from typing import Final

from commands.notices import Notice
from gateways.contract import WebhookRefused
from tests.gateways.conformance.books import CASEBOOKS
from tests.gateways.conformance.cases import Without
from tests.gateways.conformance.mutator import ODD, Mutator
from tests.gateways.conformance.webhooks import NOW

_UNCHANGED: Final = 0.3
"""The share of events that are read as the PSP's documents show them."""


def notices(dice: Random, count: int) -> Iterator[Notice]:
    """Yields at least so many notices, of the adapters in turn."""
    senders = [
        (book.gateway, book.webhooks, Mutator(dice, list(ODD), book.webhooks.events.write))
        for book in CASEBOOKS.values()
        if not isinstance(book.webhooks, Without)
    ]
    made = 0
    while made < count:
        for gateway, webhooks, mutator in senders:
            content = dice.choice(webhooks.events.contents)
            unchanged = dice.random() < _UNCHANGED
            body = webhooks.events.write(content) if unchanged else mutator.body_of(content)
            read = gateway.read_webhook(webhooks.sign(body), webhooks.keys, NOW)
            for notice in () if isinstance(read, WebhookRefused) else read:
                made += 1
                yield notice
