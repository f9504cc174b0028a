"""PayPal's events. Invariant: nothing is read from a body whose signature is not right.

Signed with RSA PKCS #1 v1.5 and SHA-256: transmission id, time, our webhook's id and the body's CRC-32.
The algorithm is this one, whatever the message names; where the certificate comes from and what it has to
be is in `certificates`.

A checksum of 32 bits is no proof of a body: many bodies have the same one. So a transmission has one body,
and what would change a payment is read again by the event's id: GET
/v1/notifications/webhooks-events/{event_id}.
"""

import base64
import binascii
import zlib
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from commands.notices import Notice
from gateways.contract import Credentials, HttpRequest, HttpResponse, Webhook, WebhookKeys, WebhookRefused
from gateways.paypal import certificates, events, names, requests
from gateways.wire import redaction
from gateways.wire.json import json_object, moment

CERTIFICATE_URL: Final = "paypal-cert-url"
_TRANSMISSION: Final = "paypal-transmission-id"
_ALGORITHM: Final = "SHA256withRSA"
# PayPal sends again for 3 days; its scheme itself has no tolerance.
_AGE_MAX: Final = timedelta(days=3, hours=1)
_TRANSMISSION_MAX: Final = 200


def read(webhook: Webhook, keys: WebhookKeys, now: datetime) -> tuple[Notice, ...] | WebhookRefused:
    """Verifies a webhook and reads its event. Source: developer.paypal.com/api/rest/webhooks/rest
    (verification)."""
    signed = {
        name: webhook.headers.get(f"paypal-{name}") for name in ("transmission-id", "transmission-time")
    }
    signature, algorithm = (
        webhook.headers.get("paypal-transmission-sig"),
        webhook.headers.get("paypal-auth-algo"),
    )
    if signature is None or algorithm is None or None in signed.values():
        return WebhookRefused("unsigned")
    if algorithm != _ALGORITHM:
        return WebhookRefused("forged")
    key = None
    if keys.certificate is not None:
        key = certificates.key_of(keys.certificate, keys.options.get("webhook_ca"), now)
    if key is None:
        return WebhookRefused("certificate")
    parts = [*signed.values(), keys.options.get("webhook_id"), str(zlib.crc32(webhook.body))]
    try:
        raw = base64.b64decode(signature, validate=True)
        key.verify(raw, "|".join(part or "" for part in parts).encode(), PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return WebhookRefused("forged")
    sent_at = moment(signed["transmission-time"])
    if sent_at is None:
        return WebhookRefused("malformed")
    if now - sent_at > _AGE_MAX:
        return WebhookRefused("stale")
    return _notices(json_object(webhook.body))


def transmission(webhook: Webhook) -> str | None:
    """The id of the delivery. None: it has none, or a longer one than 200."""
    name = webhook.headers.get(_TRANSMISSION)
    return name if name and len(name) <= _TRANSMISSION_MAX else None


def changes(notice: Notice) -> bool:
    """Returns False for UNKNOWN about a named operation: it only leads to a query. Without a name it alerts
    an operator."""
    if notice.outcome is None:
        return notice.dispute is not None or notice.alarm is not None
    nameless = notice.reference is None and notice.psp_id is None
    return notice.outcome.kind != "UNKNOWN" or nameless


def confirm(notice: Notice, credentials: Credentials) -> HttpRequest:
    """The request that reads the event at PayPal."""
    return requests.get_event(notice.event_id, credentials)


def confirmed(notice: Notice, response: HttpResponse) -> Notice | None:
    """The notice in PayPal's copy of the event. None: PayPal shows no event of this id."""
    read = _notices(json_object(response.body)) if response.status == 200 else ()
    if isinstance(read, WebhookRefused):
        return None
    return next((one for one in read if one.event_id == notice.event_id), None)


def _notices(event: dict[str, Any]) -> tuple[Notice, ...] | WebhookRefused:
    event_id, kind = names.event(event.get("id")), redaction.code(event.get("event_type"))
    resource = event.get("resource", False)
    if event_id is None or kind is None:
        return WebhookRefused("malformed")
    if not isinstance(resource, dict | None) and kind.startswith(events.OURS):
        return WebhookRefused("malformed")
    finding = events.read(kind, resource) if isinstance(resource, dict) else events.NoticeFields()
    return (
        Notice(
            event_id,
            kind,
            reference=finding.reference,
            psp_id=finding.psp_id,
            outcome=finding.outcome,
            dispute=finding.dispute,
            alarm=finding.alarm,
            unlisted=finding.unlisted,
            at=moment(event.get("create_time")),
        ),
    )
