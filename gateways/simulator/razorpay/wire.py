"""Reads requests, checked as Razorpay checks them, and writes errors in Razorpay's words."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from gateways.simulator.core.psp import Refusal, Response
from gateways.simulator.razorpay.currencies import CURRENCIES, INTEGER_MAX
from gateways.simulator.razorpay.scenarios import TOKENS, Scenario

_ORDER: Final = frozenset(
    {"amount", "currency", "receipt", "notes", "payment", "payment_capture", "partial_payment"}
)
_PAYMENT: Final = frozenset(
    """amount currency order_id email contact method token customer_id notes ip user_agent referer browser
    authentication callback_url""".split()  # noqa: SIM905 - reads better as a paragraph
)
_CAPTURE: Final = frozenset({"amount", "currency"})
_REFUND: Final = frozenset({"amount", "speed", "receipt", "notes"})
_RECEIPT_MAX: Final = 40
_NOTES_MAX: Final = 15
_NOTE_MAX: Final = 256
UNCAPTURED_LIFE_MIN: Final = 5 * 24 * 60
"""The life of a hold whose order names no other, in minutes."""

Notes = dict[str, str]


@dataclass(frozen=True, slots=True)
class Order:
    """A new order that was checked. `mills`: the amount. `automatic`: its payment is captured at once."""

    wire: int
    mills: int
    currency: str
    receipt: str | None
    notes: Notes
    automatic: bool
    uncaptured_life_min: int


@dataclass(frozen=True, slots=True)
class Payment:
    """A payment of an order that was checked. `wire`: the amount as Razorpay's integer."""

    wire: int
    currency: str
    order_id: str
    email: str
    contact: str
    token: str
    scenario: Scenario
    customer_id: str | None
    notes: Notes
    callback_url: str | None


@dataclass(frozen=True, slots=True)
class Refund:
    """A refund that was checked. `wire`: the amount as Razorpay's integer; None: all that is left."""

    wire: int | None
    receipt: str | None
    notes: Notes
    speed: str


def order(raw: bytes) -> Order:
    """Reads an order. Raises `Refusal` (400)."""
    body = _body(raw, _ORDER)
    wire, currency = _amount(body), _currency(body)
    if wire % CURRENCIES.step(currency):
        raise invalid("The amount is invalid", field="amount")
    capture = body.get("payment", {})
    if not isinstance(capture, dict):
        raise invalid("The payment field must be an object", field="payment")
    options = capture.get("capture_options", {})
    life = options.get("manual_expiry_period") if isinstance(options, dict) else None
    if life is not None and not (type(life) is int and 0 < life <= UNCAPTURED_LIFE_MIN * 2):
        raise invalid("The manual expiry period is invalid", field="manual_expiry_period")
    automatic = capture.get("capture") == "automatic" or body.get("payment_capture") in (1, True, "1")
    receipt = _receipt(body)
    return Order(
        wire,
        CURRENCIES.mills(wire, currency),
        currency,
        receipt,
        _notes(body),
        automatic,
        life or UNCAPTURED_LIFE_MIN,
    )


def payment(raw: bytes) -> Payment:
    """Reads a payment of an order. Raises `Refusal` (400)."""
    body = _body(raw, _PAYMENT)
    for name in ("order_id", "email", "contact", "method", "token"):
        if not isinstance(body.get(name), str) or not body[name]:
            raise invalid(f"The {name} field is required.", field=name)
    if body["method"] != "card":
        raise invalid("The method is not one of this simulator's", field="method")
    scenario = TOKENS.get(body["token"])
    if scenario is None:
        raise invalid("The id provided does not exist", field="token")
    back, customer_id = body.get("callback_url"), body.get("customer_id")
    if back is not None and not (isinstance(back, str) and back.startswith(("http://", "https://"))):
        raise invalid("The callback url format is invalid.", field="callback_url")
    return Payment(
        wire=_amount(body),
        currency=_currency(body),
        order_id=body["order_id"],
        email=body["email"],
        contact=body["contact"],
        token=body["token"],
        scenario=scenario,
        customer_id=customer_id if isinstance(customer_id, str) else None,
        notes=_notes(body),
        callback_url=back,
    )


def capture(raw: bytes) -> tuple[int, str]:
    """Reads a capture: Razorpay's integer and the currency. Raises `Refusal` (400)."""
    body = _body(raw, _CAPTURE)
    return _amount(body), _currency({"currency": "INR"} | body)


def refund(raw: bytes) -> Refund:
    """Reads a refund. Raises `Refusal` (400)."""
    body = _body(raw or b"{}", _REFUND)
    speed = body.get("speed", "normal")
    if speed not in ("normal", "optimum"):
        raise invalid("The speed is invalid", field="speed")
    wire = _amount(body) if "amount" in body else None
    return Refund(wire, _receipt(body), _notes(body), speed)


def invalid(
    description: str, *, field: str | None = None, reason: str = "input_validation_failed"
) -> Refusal:
    """A 400 as a `Refusal`: nothing was done."""
    return Refusal(error(400, description, reason=reason, field=field))


def error(
    status: int,
    description: str,
    *,
    code: str = "BAD_REQUEST_ERROR",
    reason: str = "NA",
    step: str = "NA",
    field: str | None = None,
    metadata: Mapping[str, str] | None = None,
) -> Response:
    """Razorpay's error object. `field`: of the request that is wrong."""
    value = {"code": code, "description": description, "source": "NA", "step": step, "reason": reason}
    named = {} if field is None else {"field": field}
    return Response.json(status, {"error": {**value, **named, "metadata": dict(metadata or {})}})


def _body(raw: bytes, known: frozenset[str]) -> dict[str, Any]:
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        body = None
    if not isinstance(body, dict):
        raise invalid("The request body is not valid JSON")
    if (unknown := sorted(body.keys() - known)) != []:
        raise invalid(f"{', '.join(unknown)} is/are not required and should not be sent", field=unknown[0])
    return body


def _amount(body: Mapping[str, Any]) -> int:
    amount = body.get("amount")
    # The official client sends what its caller gave it; a number in a string is one.
    if isinstance(amount, str) and amount.isascii() and amount.isdigit():
        amount = int(amount)
    if type(amount) is not int or not 0 < amount <= INTEGER_MAX:
        raise invalid("The amount must be at least 1.", field="amount")
    return amount


def _currency(body: Mapping[str, Any]) -> str:
    currency = body.get("currency")
    if not isinstance(currency, str) or currency not in CURRENCIES:
        raise invalid("Currency is not supported", field="currency")
    return currency


def _receipt(body: Mapping[str, Any]) -> str | None:
    receipt = body.get("receipt")
    if receipt is not None and not (isinstance(receipt, str) and len(receipt) <= _RECEIPT_MAX):
        raise invalid("The receipt may not be greater than 40 characters.", field="receipt")
    return receipt or None


def _notes(body: Mapping[str, Any]) -> Notes:
    notes = body.get("notes") or {}
    if not isinstance(notes, dict) or len(notes) > _NOTES_MAX:
        raise invalid("Number of fields in notes should be less than or equal to 15", field="notes")
    if any(len(str(value)) > _NOTE_MAX for value in notes.values()):
        raise invalid("notes value cannot exceed 256 characters", field="notes")
    return {str(name): str(value) for name, value in notes.items()}
