"""Stripe's objects and errors, as JSON."""

import os
from dataclasses import dataclass
from typing import Any, Final

import orjson

from gateways.simulator.ledger import Intent
from gateways.simulator.scenarios import DECLINES, Decline

# Letters only: an id must never hold a run of digits that looks like a card number.
_LETTERS: Final = bytes((b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ" * 5)[:256])
_DIGITS_AS_LETTERS: Final = str.maketrans("0123456789", "ABCDEFGHIJ")


def new_id(prefix: str, now: float) -> str:
    """In the order of time, so that the ledger's indexes grow at their end."""
    moment = f"{int(now * 1000):014d}".translate(_DIGITS_AS_LETTERS)
    return f"{prefix}_3{moment}{os.urandom(14).translate(_LETTERS).decode()}"


@dataclass
class StripeError(Exception):
    """An answer that is an error. `error` is the object inside the body."""

    status: int
    error: dict[str, Any]

    @property
    def body(self) -> bytes:
        return orjson.dumps({"error": self.error})


def invalid(
    message: str, *, param: str | None = None, code: str | None = None, status: int = 400
) -> StripeError:
    error: dict[str, Any] = {"type": "invalid_request_error", "message": message}
    if code is not None:
        error |= {"code": code, "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"}
    if param is not None:
        error["param"] = param
    return StripeError(status, error)


def no_such_intent(intent_id: str) -> StripeError:
    text = f"No such payment_intent: '{intent_id}'"
    return invalid(text, param="intent", code="resource_missing", status=404)


def card_error(decline: Decline, payment_method: str) -> dict[str, Any]:
    """As in `last_payment_error`."""
    error: dict[str, Any] = {
        "charge": None,
        "code": decline.code,
        "doc_url": f"https://stripe.com/docs/error-codes/{decline.code.replace('_', '-')}",
        "message": decline.message,
        "payment_method": _payment_method(payment_method),
        "type": "card_error",
    }
    if decline.decline_code is not None:
        error["decline_code"] = decline.decline_code
    if decline.advice_code is not None:
        error["advice_code"] = decline.advice_code
    return error


def intent_object(intent: Intent, charge_id: str | None, *, expand_charge: bool = False) -> dict[str, Any]:
    received = intent.amount if charge_id is not None else 0
    failed = intent.failure is not None and intent.status == "requires_payment_method"
    return {
        "id": intent.id,
        "object": "payment_intent",
        "amount": intent.amount,
        "amount_capturable": 0,
        "amount_details": {"tip": {}},
        "amount_received": received,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": intent.canceled_at,
        "cancellation_reason": intent.cancellation_reason,
        "capture_method": "automatic",
        "client_secret": intent.client_secret,
        "confirmation_method": "automatic",
        "created": intent.created,
        "currency": intent.currency,
        "customer": None,
        "description": intent.description,
        "last_payment_error": (
            card_error(DECLINES[intent.failure], intent.payment_method) if failed and intent.failure else None
        ),
        "latest_charge": charge_object(intent, charge_id) if expand_charge and charge_id else charge_id,
        "livemode": False,
        "metadata": orjson.loads(intent.metadata),
        "next_action": _next_action(intent) if intent.status == "requires_action" else None,
        "on_behalf_of": None,
        "payment_method": None if failed else intent.payment_method,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {"installments": None, "mandate_options": None, "request_three_d_secure": "automatic"}
        },
        "payment_method_types": ["card"],
        "processing": {"type": "card"} if intent.status == "processing" else None,
        "receipt_email": None,
        "review": None,
        "setup_future_usage": None,
        "shipping": None,
        "statement_descriptor": None,
        "statement_descriptor_suffix": None,
        "status": intent.status,
        "transfer_data": None,
        "transfer_group": None,
    }


def charge_object(intent: Intent, charge_id: str) -> dict[str, Any]:
    return {
        "id": charge_id,
        "object": "charge",
        "amount": intent.amount,
        "amount_captured": intent.amount,
        "amount_refunded": 0,
        "captured": True,
        "created": intent.created,
        "currency": intent.currency,
        "description": intent.description,
        "disputed": False,
        "failure_code": None,
        "livemode": False,
        "metadata": orjson.loads(intent.metadata),
        "paid": True,
        "payment_intent": intent.id,
        "payment_method": intent.payment_method,
        "refunded": False,
        "status": "succeeded",
    }


def _next_action(intent: Intent) -> dict[str, Any]:
    """Without a return_url Stripe gives no page, only data for its own script in the shopper's browser."""
    if intent.return_url is None:
        return {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
    return {
        "type": "redirect_to_url",
        "redirect_to_url": {"return_url": intent.return_url, "url": intent.action_url},
    }


def _payment_method(token: str) -> dict[str, Any]:
    return {"id": token, "object": "payment_method", "type": "card", "livemode": False}
