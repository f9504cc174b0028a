"""What all of Stripe's answers have in common. Nothing in an answer raises; what is not plainly said is UNKNOWN."""

from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypeGuard

import orjson

from commands.messages import Outcome
from gateways import scrubbed
from gateways.contract import Call, HttpAnswer
from gateways.stripe import amounts, codes

Source = Literal["call", "query"]
Refusal = Callable[[Call, Mapping[str, Any], HttpAnswer], Outcome | None]
"""Reads a card error, or a refusal of the request; None: the request was refused before anything was done."""

UNEXPECTED_STATE: Final = "payment_intent_unexpected_state"
_REFUSED_BEFORE: Final = "invalid_request"
_MINOR_MAX: Final = 2**53  # what an outcome holds


def refused(call: Call, body: Mapping[str, Any], answer: HttpAnswer, read: Refusal) -> Outcome:
    """Of any answer but 200."""
    error = body.get("error")
    if not isinstance(error, dict):
        # Not Stripe's own words: whatever stands in between may have passed the call on.
        return unknown(answer, f"http_{answer.status}", None, hint=hint_of_status(answer.status))
    match answer.status, error.get("type"):
        case 400 | 409, "idempotency_error":
            return unknown(answer, "idempotency_error", error, repeat_is_useless=True)
        case (402, "card_error") | (400, "invalid_request_error"):
            return read(call, error, answer) or not_sent(answer, _REFUSED_BEFORE, error)
        case 401 | 403 | 404, _:
            code = scrubbed.code(error.get("code")) or "refused"
            return not_sent(answer, code, error, hint="CONFIG")
        case 429, _:
            return not_sent(answer, "rate_limited", error)
        case status, _:
            code = scrubbed.code(error.get("code")) or f"http_{status}"
            return unknown(answer, code, error, hint=hint_of_status(status))


def not_found_out(call: Call, body: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    """Of a look-up that was answered with anything but 200."""
    missing = call.psp_id is not None and answer.status == 404
    code = "psp_id_not_found" if missing else f"http_{answer.status}"
    return unknown(answer, code, body.get("error"), hint=hint_of_status(answer.status))


def declined(error: Mapping[str, Any], answer: HttpAnswer, *, source: Source, **known: Any) -> Outcome:
    """By Stripe's codes; `known` are more fields of the outcome."""
    said = {name: scrubbed.code(error.get(name)) for name in ("advice_code", "decline_code", "code")}
    meaning = codes.meaning(**said)
    fields: dict[str, Any] = {
        "code": said["decline_code"] or said["code"] or "declined",
        "detail": detail(answer, error),
        "hint": meaning.hint,
        **known,
    }
    if source == "call" and meaning.verdict == "DUPLICATE":
        # Without the id of the refused one the look-up goes by our reference, which finds the one before it, too.
        return Outcome(kind="UNKNOWN", repeat_is_useless=True, **(fields | {"psp_id": None}))
    if source == "call" and meaning.verdict == "CONFIG":
        return Outcome(kind="NOT_SENT", **fields)
    # A look-up is where both end: it has found that this was refused, and no other under our reference.
    soft = meaning.verdict not in {"HARD", "CONFIG", "DUPLICATE"}
    return Outcome(kind="DECLINED_SOFT" if soft else "DECLINED_HARD", **fields)


def not_sent(
    answer: HttpAnswer, code: str, error: Mapping[str, Any], hint: codes.Hint | None = None
) -> Outcome:
    return Outcome(kind="NOT_SENT", code=code, detail=detail(answer, error), hint=hint)


def unknown(
    answer: HttpAnswer,
    code: str,
    error: Any,
    *,
    hint: codes.Hint | None = None,
    about: str | None = None,
    repeat_is_useless: bool = False,
    **known: Any,
) -> Outcome:
    """`about`: what goes before Stripe's words; `known`: more fields of the outcome."""
    stored = (
        answer.headers.get("idempotent-replayed") == "true"
        or answer.headers.get("stripe-should-retry") == "false"
    )
    said = detail(answer, error if isinstance(error, dict) else {})
    return Outcome(
        kind="UNKNOWN",
        code=code,
        detail=scrubbed.text("; ".join(part for part in (about, said) if part)),
        hint=hint,
        repeat_is_useless=repeat_is_useless or stored,
        **known,
    )


def of_another(answer: HttpAnswer, psp_id: str | None) -> Outcome:
    """The id stands in the detail only: a look-up by it would find the other one for ever."""
    about = f"{psp_id or 'an object without a readable id'} belongs to another reference"
    return unknown(answer, "reference_mismatch", None, about=about, repeat_is_useless=True)


def hint_of_status(status: int) -> codes.Hint | None:
    return "CONFIG" if 300 <= status < 400 or status in {401, 403} else None


def json_object(body: bytes) -> dict[str, Any]:
    """Empty for what is no JSON object."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}


def is_id(psp_id: Any, prefix: Literal["pi_", "re_"]) -> bool:
    return isinstance(psp_id, str) and psp_id.startswith(prefix) and scrubbed.identifier(psp_id) is not None


def reference(said: Any) -> object:
    metadata = said.get("metadata") if isinstance(said, dict) else None
    return metadata.get("order_ref") if isinstance(metadata, dict) else None


def is_int(said: Any) -> TypeGuard[int]:
    return type(said) is int  # True is none


def is_amount(said: Any, amount: int | None) -> bool:
    return amount is not None and is_int(said) and said == amount


def wire(call: Call) -> int | None:
    """None where it cannot have been sent."""
    try:
        return amounts.to_wire(call.amount_minor, call.currency)
    except amounts.NotExpressible:
        return None


def money(amount: Any, currency: Any) -> dict[str, Any]:
    """What Stripe names, as fields of an outcome."""
    if not isinstance(currency, str) or not (
        currency.isascii() and currency.isalpha() and len(currency) == 3
    ):
        return {}
    code = currency.upper()
    minor = amounts.from_wire(amount, code) if is_int(amount) else None
    if minor is not None and abs(minor) > _MINOR_MAX:
        minor = None
    return {"currency": code, "amount_minor": minor}


def status_text(what: str, said: Mapping[str, Any]) -> str:
    return f"the {what}'s status is {scrubbed.code(said.get('status')) or 'not readable'}"


def detail(answer: HttpAnswer, error: Mapping[str, Any]) -> str | None:
    """Stripe's words, with the id under which its support finds the call."""
    request = scrubbed.identifier(answer.headers.get("request-id"))
    parts = [
        scrubbed.code(error.get("code")),
        scrubbed.code(error.get("param")),
        scrubbed.text(error.get("message")),
        f"HTTP {answer.status}",
        request,
    ]
    return scrubbed.text(", ".join(part for part in parts if part))
