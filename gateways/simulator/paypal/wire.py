"""What is asked for, checked as far as this simulator knows it. No card number is kept."""

from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from gateways.paypal import amounts
from gateways.simulator.paypal.errors import invalid, mocked, unfit

_TEXT_MAX: Final = 127


@dataclass(frozen=True, slots=True)
class Source:
    """`method`: the vault id or the cardholder's name; None: a wallet whose owner is asked."""

    of: Literal["card", "paypal"]
    method: str | None
    always_3ds: bool
    return_url: str | None
    cancel_url: str | None


@dataclass(frozen=True, slots=True)
class Create:
    intent: Literal["CAPTURE", "AUTHORIZE"]
    minor: int
    currency: str
    unit: dict[str, str]
    source: Source | None

    @property
    def reference(self) -> str | None:
        return self.unit.get("custom_id") or self.unit.get("invoice_id")


@dataclass(frozen=True, slots=True)
class Money:
    """`minor` None: all that is left."""

    minor: int | None
    currency: str | None
    invoice_id: str | None
    custom_id: str | None
    final: bool


def create(raw: bytes) -> Create:
    body = _object(raw)
    intent, units = body.get("intent"), body.get("purchase_units")
    if intent not in ("CAPTURE", "AUTHORIZE"):
        raise invalid("/intent")
    if not isinstance(units, list) or len(units) != 1 or not isinstance(units[0], dict):
        raise invalid("/purchase_units")
    minor, currency = _money(units[0].get("amount"), "/purchase_units/0/amount")
    names = ("reference_id", "custom_id", "invoice_id", "description", "soft_descriptor")
    unit = {name: said for name in names if (said := _text(units[0], name)) is not None}
    return Create(intent, minor, currency, {"reference_id": "default"} | unit, _source(body))


def take(raw: bytes) -> Source | None:
    return _source(_object(raw))


def money(raw: bytes) -> Money:
    """Of a capture or a refund."""
    body = _object(raw)
    minor, currency = (None, None) if "amount" not in body else _money(body["amount"], "/amount")
    final = body.get("final_capture", False)
    if not isinstance(final, bool):
        raise invalid("/final_capture")
    return Money(minor, currency, _text(body, "invoice_id"), _text(body, "custom_id"), final)


def mock(header: str | None) -> None:
    """PayPal-Mock-Response: `{"mock_application_codes": "INSTRUMENT_DECLINED"}`. Raises what it asks for."""
    if header is None:
        return
    codes = _object(header.encode()).get("mock_application_codes")
    first = codes[0] if isinstance(codes, list) and codes else codes
    if not isinstance(first, str):
        raise invalid("PayPal-Mock-Response")
    raise mocked(first)


def _source(body: dict[str, Any]) -> Source | None:
    said = body.get("payment_source")
    if said is None:
        return None
    given = list(said.items()) if isinstance(said, dict) else []
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


def _money(said: Any, field: str) -> tuple[int, str]:
    if not isinstance(said, dict):
        raise invalid(field, "MISSING_REQUIRED_PARAMETER")
    currency, value = said.get("currency_code"), said.get("value")
    if not isinstance(currency, str) or not isinstance(value, str):
        raise invalid(field)
    if currency not in amounts.CURRENCIES:
        raise unfit("INVALID_CURRENCY_CODE")
    if value.startswith("-") or not value.strip("0."):
        raise unfit("CANNOT_BE_ZERO_OR_NEGATIVE")
    read = amounts.from_wire(said)
    if read is None:
        raise unfit("DECIMAL_PRECISION")
    if "." in value and "." not in amounts.to_wire(100, currency)["value"]:
        raise unfit("DECIMALS_NOT_SUPPORTED")
    return read


def _text(said: dict[str, Any], name: str, longest: int = _TEXT_MAX) -> str | None:
    value = said.get(name)
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
