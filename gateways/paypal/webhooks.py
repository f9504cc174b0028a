"""PayPal's events. Invariant: nothing is read of a body whose signature is not right.

Signed with RSA PKCS #1 v1.5 and SHA-256: transmission id, time, our webhook's id and the body's CRC-32. The algorithm is
this one, whatever the message says; where the certificate comes from and what it has to be is in `certificates`.
"""

import base64
import binascii
import zlib
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256

from gateways.contract import Hook, HookKeys, HookRefused, Notice
from gateways.paypal import answers, certificates, events

CERTIFICATE_URL: Final = "paypal-cert-url"
_ALGORITHM: Final = "SHA256withRSA"
# PayPal sends again for 3 days; its scheme itself has no tolerance.
_AGE_MAX: Final = timedelta(days=3, hours=1)


def read(hook: Hook, keys: HookKeys, now: datetime) -> tuple[Notice, ...] | HookRefused:
    said = {name: hook.headers.get(f"paypal-{name}") for name in ("transmission-id", "transmission-time")}
    signature, algorithm = hook.headers.get("paypal-transmission-sig"), hook.headers.get("paypal-auth-algo")
    if signature is None or algorithm is None or None in said.values():
        return HookRefused("unsigned")
    if algorithm != _ALGORITHM:
        return HookRefused("forged")
    key = None
    if keys.certificate is not None:
        key = certificates.key_of(keys.certificate, keys.options.get("webhook_ca"), now)
    if key is None:
        return HookRefused("certificate")
    parts = [*said.values(), keys.options.get("webhook_id"), str(zlib.crc32(hook.body))]
    try:
        raw = base64.b64decode(signature, validate=True)
        key.verify(raw, "|".join(part or "" for part in parts).encode(), PKCS1v15(), SHA256())
    except (InvalidSignature, binascii.Error, ValueError):
        return HookRefused("forged")
    sent_at = answers.moment(said["transmission-time"])
    if sent_at is None:
        return HookRefused("malformed")
    if now - sent_at > _AGE_MAX:
        return HookRefused("stale")
    return _notices(answers.json_object(hook.body))


def _notices(event: dict[str, Any]) -> tuple[Notice, ...] | HookRefused:
    event_id, kind, resource = event.get("id"), event.get("event_type"), event.get("resource")
    if not isinstance(event_id, str) or not isinstance(kind, str) or not isinstance(resource, dict):
        return HookRefused("malformed")
    if not event_id or len(event_id) > 255:
        return HookRefused("malformed")
    told = events.told(kind, resource)
    return (
        Notice(
            event_id,
            kind[:100],
            reference=told.reference,
            psp_id=told.psp_id,
            outcome=told.outcome,
            dispute=told.dispute,
            at=answers.moment(event.get("create_time")),
        ),
    )
