"""Builds the calls that tests of an adapter read responses for, as the agent makes them, and the responses'
envelope."""

from dataclasses import replace
from typing import Any, Final, Literal

import orjson

from gateways.contract import Call, HttpResponse

PAYMENT: Final = "0f8fad5bd9cb469fa16570867728950e"
"""The payment that they are all of."""


def sale(payment_method: str, **changes: Any) -> Call:
    """Builds the first step of a sale of 10.99 USD; `changes`: fields that the PSP needs otherwise."""
    known: dict[str, Any] = {
        "reference": f"{PAYMENT}-s1",
        "step": "1",
        "kind": "sale",
        "amount_minor": 1099,
        "currency": "USD",
        "payment_method": payment_method,
        "description": "Order 7",
        "statement_text": None,
        "three_ds": False,
        "stored_credential": None,
        "target_reference": None,
        "target_psp_id": None,
        "final": False,
        "multicapture": False,
        "overcapture": False,
        "return_url": None,
        "psp_id": None,
    }
    return Call(**(known | changes))


def later(
    first: Call, kind: Literal["capture", "void", "refund"], amount_minor: int, psp_id: str, /, **changes: Any
) -> Call:
    """Builds the payment's second operation, on what its authorize, known by this id, holds or took."""
    known: dict[str, Any] = {
        "kind": kind,
        "reference": f"{PAYMENT}-{kind[0]}2",
        "amount_minor": amount_minor,
        "target_reference": f"{PAYMENT}-a1",
        "target_psp_id": psp_id,
    }
    return replace(first, **(known | changes))


def http_response(status: int, body: Any, headers: dict[str, str] | None = None) -> HttpResponse:
    """Builds a response; a body that is no bytes is written as JSON."""
    return HttpResponse(status, headers or {}, body if isinstance(body, bytes) else orjson.dumps(body))
