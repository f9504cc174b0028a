"""Reads captures, cancels and refunds: Adyen receives them, and reports by webhook how they ended.

Invariant: a response never ends one. It is PENDING where it confirms that exactly our request was received.
"""

from collections.abc import Mapping
from typing import Any

from commands.messages import Outcome
from gateways.adyen import responses
from gateways.contract import Call, HttpResponse
from gateways.wire.outcomes import hint_of_status


def read_response(call: Call, body: Mapping[str, Any], response: HttpResponse) -> Outcome:
    """The outcome of a capture, a void or a refund. A sale's own capture is the last step of its
    authorisation, whose id stays the sale's. Source: the OpenAPI description of Checkout v72,
    `PaymentCaptureResponse` and its siblings."""
    captures_sale = call.kind == "sale"
    target = call.psp_id if captures_sale else call.target_psp_id
    own = responses.psp_reference(body.get("pspReference"))
    if own is None:
        return responses.unknown(response, "unreadable_response", body, repeat_is_useless=True)
    known: dict[str, Any] = {
        "psp_id": target if captures_sale else own,
        "known_as": (own,) if captures_sale else (),
        **responses.money(body.get("amount")),
    }
    if (code := _mismatch(call, body, target)) is not None:
        return responses.unknown(
            response, code, body, repeat_is_useless=True, **(known | {"psp_id": call.psp_id})
        )
    if body.get("status") != "received":
        return responses.unknown(
            response, "unexpected_status", body, repeat_is_useless=True, unlisted=True, **known
        )
    return Outcome(kind="PENDING", code="received", **known)


def _mismatch(call: Call, body: Mapping[str, Any], target: str | None) -> str | None:
    if target is None or body.get("paymentPspReference") != target:
        return "target_mismatch"
    if "reference" in body and body["reference"] != call.reference:
        return "reference_mismatch"
    return None if call.kind == "void" else responses.money_mismatch(call, body.get("amount"))


def cancel_received(call: Call, body: Mapping[str, Any], response: HttpResponse) -> Outcome:
    """UNKNOWN: only the webhook TECHNICAL_CANCEL reports whether the technical cancel ended anything."""
    if response.status == 201 and body.get("status") == "received":
        return responses.unknown(response, "cancel_received", body)
    code = responses.error_code(body)
    refused = code is not None and 400 <= response.status < 500 and code != "704"
    return responses.unknown(
        response,
        "cancel_refused" if refused else f"http_{response.status}",
        body,
        hint=hint_of_status(response.status),
    )
