"""Stripe's calls. Invariant: a repeat has the same bytes, whatever was learnt since the first try.

Source: API reference 2026-08-26.dahlia (payment intents: create, capture, cancel, search; refunds).
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote, urlencode

from aggregates.operation import kind_of
from gateways.contract import Call, Credentials, HttpRequest

VERSION: Final = "2026-08-26.dahlia"
INTENTS: Final = "/v1/payment_intents"
REFUNDS: Final = "/v1/refunds"
_LIST_MAX: Final = 100
_SOME_PAYMENT: Final = "0" * 32

# docs.stripe.com/get-started/account/statement-descriptors: what may stand on a card's statement beside
# our name.
_SUFFIX: Final = re.compile(r"(?=.*[A-Za-z])[ !#-&(-)+-;=?-\[\]-~]{1,22}")


def may_stand_on_a_statement(text: str) -> bool:
    """True for a text of at most 22 of the characters that Stripe takes, one letter among them."""
    return _SUFFIX.fullmatch(text) is not None


def pay(call: Call, wire: int, credentials: Credentials) -> HttpRequest:
    """Creates and confirms an intent in one call, captured at once or when we say so."""
    manual = call.kind == "authorize"
    form = {
        "amount": str(wire),
        "currency": call.currency.lower(),
        "capture_method": "manual" if manual else "automatic",
        "confirm": "true",
        "payment_method": call.payment_method,
        "payment_method_types[]": "card",
        "metadata[order_ref]": call.reference,
    }
    if call.description is not None:
        form["description"] = call.description
    if call.statement_text is not None:
        form["statement_descriptor_suffix"] = call.statement_text
    if call.return_url is not None:
        form["return_url"] = call.return_url
    if call.three_ds:
        form["payment_method_options[card][request_three_d_secure]"] = "any"
    if manual and call.multicapture:
        form["payment_method_options[card][request_multicapture]"] = "if_available"
    if manual and call.overcapture:
        form["payment_method_options[card][request_overcapture]"] = "if_available"
    return _post(call, INTENTS, form | _stored_credential(call), credentials)


def _stored_credential(call: Call) -> dict[str, str]:
    stored = call.stored_credential
    if stored is None:
        return {}
    customer = {} if stored.customer_token is None else {"customer": stored.customer_token}
    if stored.use == "store":
        return customer | {"setup_future_usage": "off_session"}
    return customer | ({"off_session": "true"} if stored.initiator == "merchant" else {})


def capture(call: Call, intent_id: str, wire: int, credentials: Credentials) -> HttpRequest:
    """Captures an intent, and leaves the capture's amount in its metadata under `capture_tag`."""
    form = {"amount_to_capture": str(wire), f"metadata[{capture_tag(call.reference)}]": str(wire)}
    if call.multicapture:
        form["final_capture"] = "true" if call.final else "false"
    return _post(call, f"{INTENTS}/{intent_id}/capture", form, credentials)


def capture_tag(reference: str) -> str:
    """The metadata key of a capture's amount in the intent: Stripe's captures have no ids of their own."""
    return f"op_{reference.rpartition('-')[2]}"


def is_capture_tag(name: str) -> bool:
    """True for a name in an intent's metadata that `capture_tag` made."""
    whole = f"{_SOME_PAYMENT}-{name.removeprefix('op_')}"
    return name.startswith("op_") and kind_of(whole) == "capture"


def end(call: Call, intent_id: str, reason: str, credentials: Credentials) -> HttpRequest:
    """Cancels an intent: releases what is authorized and ends what is not."""
    return _post(call, f"{INTENTS}/{intent_id}/cancel", {"cancellation_reason": reason}, credentials)


def refund(call: Call, intent_id: str, wire: int, credentials: Credentials) -> HttpRequest:
    """Refunds a part or all of an intent."""
    form = {"payment_intent": intent_id, "amount": str(wire), "metadata[order_ref]": call.reference}
    return _post(call, REFUNDS, form, credentials)


def get_intent(intent_id: str, credentials: Credentials) -> HttpRequest:
    """Reads an intent with its charge and the newest of the charge's refunds."""
    expand = urlencode({"expand[]": "latest_charge.refunds"}, safe="[]")
    return _get(f"{INTENTS}/{intent_id}?{expand}", credentials)


def search_intents(reference: str, credentials: Credentials) -> HttpRequest:
    """Searches the intents with our reference (docs.stripe.com/search, query language)."""
    literal = reference.replace("\\", "\\\\").replace("'", "\\'")
    query = f"metadata['order_ref']:'{literal}'"
    return _get(f"{INTENTS}/search?query={quote(query, safe='')}", credentials)


def get_refund(refund_id: str, credentials: Credentials) -> HttpRequest:
    """Reads a refund."""
    return _get(f"{REFUNDS}/{refund_id}", credentials)


def list_refunds(intent_id: str, credentials: Credentials) -> HttpRequest:
    """Lists the newest 100 refunds of an intent."""
    return _get(f"{REFUNDS}?payment_intent={intent_id}&limit={_LIST_MAX}", credentials)


def _post(call: Call, path: str, form: Mapping[str, str], credentials: Credentials) -> HttpRequest:
    headers = {
        **_headers(credentials),
        "Idempotency-Key": call.key,
        "Content-Type": "application/x-www-form-urlencoded",
    }
    return HttpRequest("POST", path, headers, urlencode(form, safe="[]").encode())


def _get(path: str, credentials: Credentials) -> HttpRequest:
    return HttpRequest("GET", path, _headers(credentials), None)


def _headers(credentials: Credentials) -> dict[str, str]:
    return {"Authorization": f"Bearer {credentials.secret}", "Stripe-Version": VERSION}
