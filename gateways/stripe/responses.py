"""Reads what all of Stripe's responses have in common. Nothing raises; what a response does not plainly
state is UNKNOWN."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from commands.balances import Balances, Move
from commands.messages import Outcome
from gateways.contract import Call, HttpResponse
from gateways.stripe import amounts, codes
from gateways.wire import redaction
from gateways.wire.json import is_int, object_of, text
from gateways.wire.outcomes import DetailedOutcomes, hint_of_status, move
from gateways.wire.outcomes import balances as of_money

Source = Literal["call", "query"]
Refusal = Callable[[Call, Mapping[str, Any], HttpResponse], Outcome | None]
"""Reads a card error, or a refusal of the request; None: the request was refused before anything was done."""

UNEXPECTED_STATE: Final = "payment_intent_unexpected_state"
_REFUSED_BEFORE: Final = "invalid_request"
_COUNTED: Final = frozenset({"succeeded", "pending", "requires_action"})  # of refunds


def detail(response: HttpResponse, error: Mapping[str, Any]) -> str | None:
    """Stripe's words, with the request id under which its support finds the call."""
    return redaction.joined(
        ", ",
        redaction.code(error.get("code")),
        redaction.code(error.get("param")),
        redaction.text(error.get("message")),
        f"HTTP {response.status}",
        redaction.identifier(response.headers.get("request-id")),
    )


_OUTCOMES: Final = DetailedOutcomes(detail)
not_sent, of_another = _OUTCOMES.not_sent, _OUTCOMES.of_another


def refused(call: Call, body: Mapping[str, Any], response: HttpResponse, read: Refusal) -> Outcome:
    """The outcome of any response but 200. `read`: reads a card error, or a refusal of the request. Source:
    docs.stripe.com/api/errors and docs.stripe.com/error-low-level."""
    error = body.get("error")
    if not isinstance(error, dict):
        # Not Stripe's own words: whatever stands in between may have passed the call on.
        return unknown(response, f"http_{response.status}", None, hint=hint_of_status(response.status))
    match response.status, error.get("type"):
        case 400 | 409, "idempotency_error":
            return unknown(response, "idempotency_error", error, repeat_is_useless=True)
        case (402, "card_error") | (400, "invalid_request_error"):
            return read(call, error, response) or not_sent(response, _REFUSED_BEFORE, error)
        case 401 | 403 | 404, _:
            code = redaction.code(error.get("code")) or "refused"
            return not_sent(response, code, error, hint="CONFIG")
        case 429, _ if error.get("code") != codes.LOCKED:
            return not_sent(response, "rate_limited", error)
        case status, _:
            kind = redaction.code(error.get("type"))
            new = kind is not None and kind not in codes.ERROR_TYPES
            code = (kind if new else redaction.code(error.get("code"))) or f"http_{status}"
            return unknown(response, code, error, hint=hint_of_status(status), unlisted=new)


def not_found_out(call: Call, body: Mapping[str, Any], response: HttpResponse) -> Outcome:
    """UNKNOWN, for a lookup with any status but 200."""
    missing = call.psp_id is not None and response.status == 404
    code = "psp_id_not_found" if missing else f"http_{response.status}"
    return unknown(response, code, body.get("error"), hint=hint_of_status(response.status))


def declined(error: Mapping[str, Any], response: HttpResponse, *, source: Source, **known: Any) -> Outcome:
    """The outcome that Stripe's codes mean. `known`: more fields of the outcome. Source:
    docs.stripe.com/declines/codes."""
    named = {name: redaction.code(error.get(name)) for name in ("advice_code", "decline_code", "code")}
    meaning = codes.meaning(**named)
    fields: dict[str, Any] = {
        "code": named["decline_code"] or named["code"] or "declined",
        "detail": detail(response, error),
        "hint": meaning.hint,
        "unlisted": not meaning.listed,
        **issuer(error),
        **known,
    }
    if source == "call" and not codes.LEAVE_OPEN.isdisjoint(named.values()):
        return Outcome(kind="UNKNOWN", repeat_is_useless=True, **fields | {"hint": None})
    if source == "call" and meaning.verdict == "DUPLICATE":
        # Without the id of the refused one the lookup goes by our reference, which finds the one before
        # it, too.
        return Outcome(kind="UNKNOWN", repeat_is_useless=True, **(fields | {"psp_id": None}))
    if source == "call" and meaning.verdict == "CONFIG":
        return Outcome(kind="NOT_SENT", **fields)
    # A lookup ends both: it has found that this was refused, and no other under our reference.
    soft = meaning.verdict not in {"HARD", "CONFIG", "DUPLICATE"}
    return Outcome(kind="DECLINED_SOFT" if soft else "DECLINED_HARD", **fields)


def issuer(error: Any, charge: Any = None) -> dict[str, str | None]:
    """The card network's code and its advice, as fields of an outcome: of a card error, or else of the charge
    that it left, where that is expanded. Source: docs.stripe.com/declines/network-codes and
    docs.stripe.com/api/errors."""
    left = object_of(object_of(charge).get("outcome"))

    def shown(name: str) -> str | None:
        return redaction.issuer_code(object_of(error).get(name)) or redaction.issuer_code(left.get(name))

    return {"issuer_code": shown("network_decline_code"), "issuer_advice": shown("network_advice_code")}


def unknown(
    response: HttpResponse, code: str, error: Any, *, repeat_is_useless: bool = False, **known: Any
) -> Outcome:
    """UNKNOWN. A repeat is useless as well where Stripe shows that it only replays what it has stored
    (headers Idempotent-Replayed and Stripe-Should-Retry, docs.stripe.com/error-low-level)."""
    stored = (
        response.headers.get("idempotent-replayed") == "true"
        or response.headers.get("stripe-should-retry") == "false"
    )
    return _OUTCOMES.unknown(response, code, error, repeat_is_useless=repeat_is_useless or stored, **known)


def is_new_status(intent: Mapping[str, Any]) -> bool:
    """True for a status that no table has: an operator has to find out what it means."""
    status = intent.get("status")
    return isinstance(status, str) and status not in codes.INTENT_STATUSES


def is_id(psp_id: Any, prefix: Literal["ch_", "pi_", "py_", "re_"]) -> bool:
    """True for an id of Stripe's with this prefix."""
    return isinstance(psp_id, str) and psp_id.startswith(prefix) and redaction.identifier(psp_id) is not None


def charge_of(value: Any, name: Literal["charge", "id", "latest_charge"]) -> tuple[str, ...]:
    """The charge's id, expanded or not. Empty: there is none."""
    charge = object_of(value).get(name)
    charge_id = charge.get("id") if isinstance(charge, dict) else charge
    if isinstance(charge_id, str) and (is_id(charge_id, "ch_") or is_id(charge_id, "py_")):
        return (charge_id,)
    return ()


def reference(value: Any) -> object:
    """Our reference in the object's metadata. None: it has none. Source: docs.stripe.com/api/metadata."""
    return object_of(object_of(value).get("metadata")).get("order_ref")


def is_amount(value: Any, amount: int | None) -> bool:
    """True for the integer `amount`."""
    return amount is not None and is_int(value) and value == amount


def money(amount: Any, currency: Any) -> dict[str, Any]:
    """The amount and the currency that Stripe states, as fields of an outcome."""
    if not isinstance(currency, str) or not (
        currency.isascii() and currency.isalpha() and len(currency) == 3
    ):
        return {}
    code = currency.upper()
    return {"currency": code, "amount_minor": amounts.from_wire(amount, code) if is_int(amount) else None}


def balances(intent: Mapping[str, Any]) -> Balances | None:
    """The money of an intent, whoever moved it: captured, refunded, still held. None: the intent does not
    state it. Refunds show only where its charge is in the response, by id where the charge's list is, too.
    Source: docs.stripe.com/api/payment_intents/object."""
    code, status = str(intent.get("currency")).upper(), intent.get("status")
    received, capturable = intent.get("amount_received"), intent.get("amount_capturable")
    charge = intent.get("latest_charge")
    refunded = charge.get("amount_refunded") if isinstance(charge, dict) else None
    if not isinstance(status, str) or not is_int(received):
        return None
    if status not in {"requires_capture", "succeeded", "canceled"}:
        return None
    held = capturable if status == "requires_capture" else 0
    return of_money(
        amounts.from_wire(received, code),
        amounts.from_wire(refunded, code) if is_int(refunded) else None,
        amounts.from_wire(held, code) if is_int(held) else None,
        _refunds(charge) if isinstance(charge, dict) else (),
    )


def _refunds(charge: Mapping[str, Any]) -> list[Move]:
    """Returns the refunds that count in `amount_refunded`; of many refunds the newest only."""
    rows = object_of(charge.get("refunds")).get("data")
    refunds = [row for row in rows if isinstance(row, dict)] if isinstance(rows, list) else []
    given = [row for row in refunds if text(row.get("status")) in _COUNTED and is_id(row.get("id"), "re_")]
    return [
        one
        for row in given
        for one in move(
            "refund", row["id"], money(row.get("amount"), row.get("currency")).get("amount_minor")
        )
    ]
