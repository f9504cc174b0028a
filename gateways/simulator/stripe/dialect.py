"""Writes Stripe's objects and errors as JSON."""

from collections.abc import Sequence
from typing import Any, Final, assert_never

import orjson

from gateways.simulator.core import ids
from gateways.simulator.core.psp import ErrorKind, Refusal, Response
from gateways.simulator.stripe.scenarios import DECLINES, Decline
from gateways.simulator.stripe.tables import Intent, Refund

REFUNDS_SHOWN: Final = 10
"""The number of refunds that a charge shows when it is read with them."""


def new_id(prefix: str, now: float) -> str:
    """A new id: the prefix, and letters that grow with time."""
    return f"{prefix}_3{ids.letters(now)}"


def api_error(status: int, error: dict[str, Any]) -> Response:
    """A response whose body is this error object."""
    return Response.json(status, {"error": error})


def invalid(
    message: str, *, param: str | None = None, code: str | None = None, status: int = 400, **more: Any
) -> Refusal:
    """An `invalid_request_error` as a `Refusal`. `code`: one of Stripe's error codes; `more`: other fields of
    the error."""
    error: dict[str, Any] = {"type": "invalid_request_error", "message": message, **more}
    if code is not None:
        error |= {"code": code, "doc_url": f"https://stripe.com/docs/error-codes/{code.replace('_', '-')}"}
    if param is not None:
        error["param"] = param
    return Refusal(api_error(status, error))


def no_such(what: str, its_id: str, param: str, status: int = 404) -> Refusal:
    """The `Refusal` for an object that the account does not have."""
    return invalid(f"No such {what}: '{its_id}'", param=param, code="resource_missing", status=status)


def card_error(decline: Decline, payment_method: str) -> dict[str, Any]:
    """The error of a declined card, as `last_payment_error` has it."""
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
    if decline.network is not None:
        error["network_decline_code"] = decline.network
    return error


def intent_object(intent: Intent, charge: dict[str, Any] | None = None) -> dict[str, Any]:
    """A payment intent. `charge`: its charge, where that is expanded."""
    failed = intent.failure is not None and intent.status == "requires_payment_method"
    extras = orjson.loads(intent.extras)
    three_ds = extras.pop("request_three_d_secure", "automatic")
    return {
        "id": intent.id,
        "object": "payment_intent",
        "amount": intent.amount,
        "amount_capturable": intent.capturable,
        "amount_details": {"tip": {}},
        "amount_received": intent.received,
        "application": None,
        "application_fee_amount": None,
        "automatic_payment_methods": None,
        "canceled_at": intent.canceled_at,
        "cancellation_reason": intent.cancellation_reason,
        "capture_method": intent.capture_method,
        "client_secret": intent.client_secret,
        "confirmation_method": "automatic",
        "created": intent.created,
        "currency": intent.currency,
        "customer": None,
        "description": intent.description,
        "last_payment_error": (
            card_error(DECLINES[intent.failure], intent.payment_method) if failed and intent.failure else None
        ),
        "latest_charge": charge or intent.charge_id,
        "livemode": False,
        "metadata": orjson.loads(intent.metadata),
        "next_action": _next_action(intent) if intent.status == "requires_action" else None,
        "on_behalf_of": None,
        "payment_method": None if failed else intent.payment_method,
        "payment_method_configuration_details": None,
        "payment_method_options": {
            "card": {"installments": None, "mandate_options": None, "request_three_d_secure": three_ds}
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
        **extras,
    }


def charge_object(
    intent: Intent, *, disputed: bool = False, refunds: Sequence[dict[str, Any]] | None = None
) -> dict[str, Any]:
    """An intent's charge. `refunds`: where they are expanded, newest first, one more than are shown where
    there are more."""
    over = intent.capture_limit > intent.amount
    url = f"/v1/charges/{intent.charge_id}/refunds"
    listed = {} if refunds is None else {"refunds": _list(refunds, REFUNDS_SHOWN, url)}
    return {
        **listed,
        "id": intent.charge_id,
        "object": "charge",
        "amount": intent.amount,
        "amount_captured": intent.received,
        "amount_refunded": intent.refunded,
        "captured": intent.received > 0,
        "created": intent.created,
        "currency": intent.currency,
        "description": intent.description,
        "disputed": disputed,
        "failure_code": None,
        "livemode": False,
        "metadata": orjson.loads(intent.charge_metadata or intent.metadata),
        "paid": True,
        "payment_intent": intent.id,
        "payment_method": intent.payment_method,
        "payment_method_details": {
            "card": {
                "multicapture": {"status": "available" if intent.captures_left > 1 else "unavailable"},
                "overcapture": {
                    "maximum_amount_capturable": intent.capture_limit,
                    "status": "available" if over else "unavailable",
                },
            },
            "type": "card",
        },
        "refunded": intent.status == "succeeded" and intent.refunded == intent.received,
        "status": "succeeded",
    }


def refund_object(refund: Refund) -> dict[str, Any]:
    """A refund."""
    shown: dict[str, Any] = {
        "id": refund.id,
        "object": "refund",
        "amount": refund.amount,
        "balance_transaction": None,
        "charge": f"ch_{refund.intent[3:]}",
        "created": refund.created,
        "currency": refund.currency,
        "destination_details": {"card": {"type": "refund"}, "type": "card"},
        "metadata": orjson.loads(refund.metadata),
        "payment_intent": refund.intent,
        "reason": refund.reason,
        "receipt_number": None,
        "source_transfer_reversal": None,
        "status": refund.status,
        "transfer_reversal": None,
    }
    return shown | ({"failure_reason": "expired_or_canceled_card"} if refund.status == "failed" else {})


def error_response(kind: ErrorKind, url: str) -> Response:
    """The error that the front responds with. `url`: the method and the path, for a wrong address."""
    match kind:
        case "unauthorized":
            return invalid("Invalid API Key provided.", status=401).response
        case "not_found":
            return invalid(f"Unrecognized request URL ({url}).", status=404).response
        case "too_large":
            return invalid("Request body too large.", status=413).response
        case "rate_limited":
            return invalid("Request rate limit exceeded.", code="rate_limit", status=429).response
        case "broken":
            return api_error(500, {"type": "api_error", "message": "An unknown error occurred."})
        case "unavailable":
            return api_error(503, {"type": "api_error", "message": "Stripe is temporarily unavailable."})
        case "key_in_use":
            text = "There is currently another in-progress request using this Idempotent Key."
            return invalid(text, code="idempotency_key_in_use", status=409).response
        case "key_conflict":
            text = "Keys for idempotent requests can only be used with the same parameters they were first used with."
            return api_error(400, {"type": "idempotency_error", "message": text})
        case _:
            assert_never(kind)


def page(shown: Sequence[dict[str, Any]], limit: int, url: str, kind: str = "list") -> Response:
    """A page of a list or a search. `shown`: has one object more than `limit` where there are more."""
    body = _list(shown, limit, url, kind)
    return Response.json(200, body | ({"next_page": None} if kind == "search_result" else {}))


def _list(shown: Sequence[dict[str, Any]], limit: int, url: str, kind: str = "list") -> dict[str, Any]:
    return {"object": kind, "data": shown[:limit], "has_more": len(shown) > limit, "url": url}


def _next_action(intent: Intent) -> dict[str, Any]:
    """The next action of a challenge. Without a return_url Stripe gives no page, only data for its own script
    in the customer's browser."""
    if intent.return_url is None:
        return {"type": "use_stripe_sdk", "use_stripe_sdk": {"type": "three_d_secure_redirect"}}
    return {
        "type": "redirect_to_url",
        "redirect_to_url": {"return_url": intent.return_url, "url": intent.action_url},
    }


def _payment_method(token: str) -> dict[str, Any]:
    return {"id": token, "object": "payment_method", "type": "card", "livemode": False}
