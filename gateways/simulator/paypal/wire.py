"""Reads requests, as far as this simulator knows them. No card number is kept."""

from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from gateways.simulator.paypal.currencies import read
from gateways.simulator.paypal.errors import invalid, mocked, unfit

_TEXT_MAX: Final = 127


@dataclass(frozen=True, slots=True)
class Source:
    """The payment source. `method`: the vault id or the cardholder's name; None: a wallet whose payer has to
    agree."""

    of: Literal["card", "paypal"]
    method: str | None
    always_3ds: bool
    return_url: str | None
    cancel_url: str | None


@dataclass(frozen=True, slots=True)
class Create:
    """A `POST /v2/checkout/orders` that was checked. `mills`: the amount. `unit`: the purchase unit's
    texts."""

    intent: Literal["CAPTURE", "AUTHORIZE"]
    mills: int
    currency: str
    unit: dict[str, str]
    source: Source | None

    @property
    def reference(self) -> str | None:
        """AegisPay's reference: the unit's `custom_id`, else its `invoice_id`, else None."""
        return self.unit.get("custom_id") or self.unit.get("invoice_id")


@dataclass(frozen=True, slots=True)
class Money:
    """A capture or a refund that was checked. `mills`: None: all that is left."""

    mills: int | None
    currency: str | None
    invoice_id: str | None
    custom_id: str | None
    final: bool


def create(raw: bytes) -> Create:
    """Reads an order. Raises `Refusal` (400, 422) with PayPal's issue."""
    body = _object(raw)
    intent, units = body.get("intent"), body.get("purchase_units")
    if intent not in ("CAPTURE", "AUTHORIZE"):
        raise invalid("/intent")
    if not isinstance(units, list) or len(units) != 1 or not isinstance(units[0], dict):
        raise invalid("/purchase_units")
    mills, currency = read(units[0].get("amount"), "/purchase_units/0/amount")
    names = ("reference_id", "custom_id", "invoice_id", "description", "soft_descriptor")
    unit = {name: sent for name in names if (sent := _text(units[0], name)) is not None}
    return Create(intent, mills, currency, {"reference_id": "default"} | unit, _source(body))


def take(raw: bytes) -> Source | None:
    """Reads the payment source of an authorize or a capture of an order. None: the one of the order."""
    return _source(_object(raw))


def money(raw: bytes) -> Money:
    """Reads a capture or a refund. Raises `Refusal` (400, 422)."""
    body = _object(raw)
    mills, currency = (None, None) if "amount" not in body else read(body["amount"], "/amount")
    final = body.get("final_capture", False)
    if not isinstance(final, bool):
        raise invalid("/final_capture")
    return Money(mills, currency, _text(body, "invoice_id"), _text(body, "custom_id"), final)


def mock(header: str | None) -> None:
    """Raises the error that the header `PayPal-Mock-Response` requests: `{"mock_application_codes":
    "INSTRUMENT_DECLINED"}`."""
    if header is None:
        return
    codes = _object(header.encode()).get("mock_application_codes")
    first = codes[0] if isinstance(codes, list) and codes else codes
    if not isinstance(first, str):
        raise invalid("PayPal-Mock-Response")
    raise mocked(first)


def _source(body: dict[str, Any]) -> Source | None:
    sent = body.get("payment_source")
    if sent is None:
        return None
    given = list(sent.items()) if isinstance(sent, dict) else []
    if len(given) != 1 or given[0][0] not in ("card", "paypal") or not isinstance(given[0][1], dict):
        raise invalid("/payment_source", "NOT_SUPPORTED")
    of, content = given[0]
    method = _text(content, "vault_id") or (_text(content, "name") or "sim_ok" if of == "card" else None)
    if of == "card" and "vault_id" not in content and "number" not in content:
        raise unfit("CARD_NUMBER_REQUIRED")
    pages = content.get("experience_context", {})
    checks = content.get("attributes", {})
    if not isinstance(pages, dict) or not isinstance(checks, dict):
        raise invalid(f"/payment_source/{of}")
    verification = checks.get("verification", {})
    always = isinstance(verification, dict) and verification.get("method") == "SCA_ALWAYS"
    return Source(of, method, always, _text(pages, "return_url", 4000), _text(pages, "cancel_url", 4000))


def _text(sent: dict[str, Any], name: str, longest: int = _TEXT_MAX) -> str | None:
    value = sent.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= longest:
        raise invalid(f"/{name}", "INVALID_STRING_LENGTH")
    return value


def _object(raw: bytes) -> dict[str, Any]:
    try:
        body = orjson.loads(raw) if raw else {}
    except orjson.JSONDecodeError:
        raise invalid("/", "MALFORMED_REQUEST_JSON") from None
    if not isinstance(body, dict):
        raise invalid("/", "MALFORMED_REQUEST_JSON")
    return body
