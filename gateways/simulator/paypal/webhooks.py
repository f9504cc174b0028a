"""Signs webhooks, and verifies them for `verify-webhook-signature`. Source:
developer.paypal.com/api/rest/webhooks/rest and developer.paypal.com/docs/api/webhooks/v1."""

import json
import re
import uuid
from typing import Any, Final

import orjson

from gateways.simulator.core.accounts import Account
from gateways.simulator.core.psp import JSON, Signed
from gateways.simulator.core.rows import Webhook
from gateways.simulator.paypal.certificates import ALGORITHM, Signer
from gateways.simulator.paypal.errors import invalid
from gateways.simulator.paypal.shown import moment

CERTIFICATES: Final = "/v1/notifications/certs"
WEBHOOK_ID: Final = "SIMULATORWEBHOOK1"
EVENTS: Final = "/v1/notifications/webhooks-events/"
_EVENT: Final = re.compile(rb'"webhook_event"\s*:\s*')


def sign(webhook: Webhook, account: Account, now: float, signer: Signer, *, forged: bool) -> Signed:
    """The certificate is where the event's own link is."""
    webhook_id = account.options.get("webhook_id", WEBHOOK_ID)
    origin = orjson.loads(webhook.body)["links"][0]["href"].partition(EVENTS)[0]
    transmission, at = str(uuid.uuid4()), moment(now)
    signature = signer.sign(transmission, at, webhook_id[::-1] if forged else webhook_id, webhook.body)
    headers = {
        "Content-Type": JSON,
        "PAYPAL-TRANSMISSION-ID": transmission,
        "PAYPAL-TRANSMISSION-TIME": at,
        "PAYPAL-TRANSMISSION-SIG": signature,
        "PAYPAL-CERT-URL": f"{origin}{CERTIFICATES}/{signer.name}",
        "PAYPAL-AUTH-ALGO": ALGORITHM,
        "User-Agent": "PayPal/AUHR-214.0-56991811",
    }
    return Signed(webhook.body, headers)


def verifies(raw: bytes, signer: Signer) -> bool:
    """True if the call's signature is right. PayPal compares the event byte by byte, so it is taken as it was
    sent."""
    try:
        params: Any = orjson.loads(raw)
        text = raw.decode()
    except ValueError:
        raise invalid("/", "MALFORMED_REQUEST_JSON") from None
    names = (
        "transmission_sig",
        "transmission_id",
        "transmission_time",
        "webhook_id",
        "auth_algo",
        "cert_url",
    )
    found = _EVENT.search(raw)
    if not isinstance(params, dict) or found is None:
        raise invalid("/webhook_event", "MISSING_REQUIRED_PARAMETER")
    for name in names:
        if not isinstance(params.get(name), str):
            raise invalid(f"/{name}", "MISSING_REQUIRED_PARAMETER")
    start = len(raw[: found.end()].decode())
    _, end = json.JSONDecoder().raw_decode(text, start)
    if params["auth_algo"] != ALGORITHM or not params["cert_url"].endswith(f"{CERTIFICATES}/{signer.name}"):
        return False
    signature, transmission, at, webhook_id = (params[name] for name in names[:4])
    return signer.verifies(signature, transmission, at, webhook_id, text[start:end].encode())
