"""Describes a PSP's webhooks in its case book: how they are signed, and true events for the fuzz to
change."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from commands.notices import Notice
from gateways.contract import Call, Webhook, WebhookKeys
from tests.gateways.conformance.cases import Without

NOW: Final = datetime(2026, 11, 25, 12, tzinfo=UTC)
"""When webhooks are signed, and read."""

Signed = Callable[[Call, datetime], Webhook]
"""Makes the webhook that reports the approval of this call, signed at that moment."""


@dataclass(frozen=True, slots=True)
class Events:
    """True events of a PSP.

    `contents`: each event as JSON content. `approves`: judges by the PSP's documents whether an event's raw
    body shows what an APPROVED notice made of it reports. `write`: the body of an event; it raises
    `TypeError` for a lone surrogate, as orjson does. `likely`: further values that an adapter might take for
    something.
    """

    contents: Sequence[Any]
    approves: Callable[[Notice, bytes], bool]
    likely: Sequence[Any]
    write: Callable[[Any], bytes] = orjson.dumps


@dataclass(frozen=True, slots=True)
class Exchange:
    """While an endpoint's secret is replaced: `both` are known, then `only_new`."""

    both: WebhookKeys
    only_new: WebhookKeys
    signed_with_new: Signed


@dataclass(frozen=True, slots=True)
class Webhooks:
    """How a PSP signs, and what it sends.

    `sign`: a webhook of any body, signed at `NOW` with `keys`. `keyless`: keys that can verify nothing.
    `unsigned`: the same webhook without its signature. `expires`: True if a webhook is refused for its age.
    """

    keys: WebhookKeys
    signed: Signed
    sign: Callable[[bytes], Webhook]
    events: Events
    unsigned: Callable[[Webhook], Webhook]
    keyless: Sequence[WebhookKeys]
    exchange: Exchange | Without
    expires: bool | Without


def without_headers(webhook: Webhook) -> Webhook:
    """Removes the signature where it stands in a header."""
    return replace(webhook, headers={"content-type": "application/json"})


def shared_secret(
    signed: Callable[[Call, datetime, str], Webhook],
    secret: str,
    new_secret: str,
    *,
    sign: Callable[[bytes], Webhook],
    events: Events,
    expires: bool | Without,
    options: Mapping[str, str] | None = None,
    unsigned: Callable[[Webhook], Webhook] = without_headers,
) -> Webhooks:
    """Describes webhooks that are signed with a secret which both sides know. `signed` takes the secret
    last."""
    keys = WebhookKeys((secret,), options or {})
    return Webhooks(
        keys=keys,
        signed=lambda call, now: signed(call, now, secret),
        sign=sign,
        events=events,
        unsigned=unsigned,
        keyless=(replace(keys, secrets=()), replace(keys, secrets=("",))),
        exchange=Exchange(
            both=replace(keys, secrets=(new_secret, secret)),
            only_new=replace(keys, secrets=(new_secret,)),
            signed_with_new=lambda call, now: signed(call, now, new_secret),
        ),
        expires=expires,
    )


def decided(notices: tuple[Notice, ...]) -> list[Any]:
    """Everything in the notices that may change a payment."""
    return [
        (one.reference, one.psp_id, one.dispute, one.outcome and (one.outcome.kind, one.outcome.amount_minor))
        for one in notices
    ]
