"""What all of Razorpay's answers have in common. Nothing in an answer raises; what is not plainly said is UNKNOWN."""

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeGuard

import orjson

from commands.messages import Outcome
from gateways import scrubbed
from gateways.contract import Call, HttpAnswer
from gateways.razorpay import amounts, codes

Prefix = Literal["order_", "pay_", "rfnd_", "disp_"]

_OF_THE_BANK: Final = frozenset({"GATEWAY_ERROR", "SERVER_ERROR"})
_NONE: Final = frozenset({"", "NA", "null"})  # how Razorpay writes a reason that it has not


def refused(call: Call, body: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    """Of any answer but 200."""
    error = body.get("error")
    if not isinstance(error, dict):
        # Not Razorpay's own words: whatever stands in between may have passed the call on.
        return unknown(answer, f"http_{answer.status}", hint=hint_of_status(answer.status))
    match answer.status:
        case 400:
            return _bad_request(call, error, answer)
        case 401 | 403 | 404:
            return not_sent(answer, reason_of(error) or "refused", error, hint="CONFIG")
        case 429:
            return not_sent(answer, "rate_limited", error)
        case status:
            code = reason_of(error) or f"http_{status}"
            return unknown(answer, code, error, hint=hint_of_status(status))


def not_found_out(body: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    """Of a look-up that was answered with anything but 200."""
    said = body.get("error")
    error = said if isinstance(said, dict) else {}
    ours = answer.status == 400 and codes.of_words(error.get("description")) == codes.CONFIG
    hint: codes.Hint | None = "CONFIG" if ours else hint_of_status(answer.status)
    return unknown(answer, f"http_{answer.status}", error, hint=hint)


def _bad_request(call: Call, error: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    reason, code = reason_of(error), scrubbed.code(error.get("code")) or "unreadable_answer"
    meaning = codes.of_reason(reason)
    if meaning is None and code in _OF_THE_BANK:
        return unknown(answer, reason or code, error, unlisted=reason is not None)
    named = _names_payment(error)
    if meaning is None and named and _pays(call):
        return Outcome(
            kind="DECLINED_SOFT",
            psp_id=call.psp_id,
            code=reason or code,
            detail=detail(answer, error),
            unlisted=True,
        )
    meaning = _of_a_capture(call, error) or meaning or codes.of_words(error.get("description"))
    if meaning is None and reason is None and not named and code == "BAD_REQUEST_ERROR":
        meaning = codes.INVALID
    if meaning is None:
        return unknown(answer, reason or code, error, unlisted=True)
    return _meant(call, meaning, reason or code, error, answer)


def _meant(
    call: Call, meaning: codes.Meaning, code: str, error: Mapping[str, Any], answer: HttpAnswer
) -> Outcome:
    psp_id = call.psp_id if _pays(call) else None
    match meaning.verdict:
        case "SOFT" | "HARD":
            return declined(meaning, code, detail(answer, error), psp_id)
        case "CONFIG":
            return not_sent(answer, code, error, hint="CONFIG")
        case "INVALID" if _captures(call):
            # Money is held, and may have been taken: it is read, rather than taken for untouched.
            return unknown(answer, "invalid_request", error, repeat_is_useless=True)
        case "INVALID":
            return not_sent(answer, "invalid_request", error)
        case "PENDING":
            return Outcome(kind="PENDING", psp_id=psp_id, code=code, detail=detail(answer, error))
        case "DUPLICATE":
            return unknown(answer, code, error, repeat_is_useless=True)
        case "UNDECIDED":
            return unknown(answer, code, error)


def declined(meaning: codes.Meaning, code: str, text: str | None, psp_id: str | None) -> Outcome:
    hard = meaning.verdict != "SOFT"
    return Outcome(
        kind="DECLINED_HARD" if hard else "DECLINED_SOFT",
        psp_id=psp_id,
        code=code,
        detail=text,
        hint=meaning.hint,
    )


def _pays(call: Call) -> bool:
    """Whether a refusal that names a payment is that payment's: a capture's and a refund's names their target."""
    return call.kind in {"authorize", "sale"} and call.step == "2"


def _of_a_capture(call: Call, error: Mapping[str, Any]) -> codes.Meaning | None:
    """ "Already captured", and "only authorized ones can be captured": an earlier one may have been executed."""
    said = error.get("description")
    if _captures(call) and isinstance(said, str) and "captured" in said.lower():
        return codes.Meaning("DUPLICATE")
    return None


def _captures(call: Call) -> bool:
    return call.kind == "capture" or (call.kind == "sale" and call.step == "3")


def _names_payment(error: Mapping[str, Any]) -> bool:
    metadata = error.get("metadata")
    return isinstance(metadata, dict) and is_id(metadata.get("payment_id"), "pay_")


def reason_of(error: Mapping[str, Any]) -> str | None:
    reason = scrubbed.code(error.get("reason"))
    return None if reason in _NONE else reason


def not_sent(
    answer: HttpAnswer, code: str, error: Mapping[str, Any], hint: codes.Hint | None = None
) -> Outcome:
    return Outcome(kind="NOT_SENT", code=code, detail=detail(answer, error), hint=hint)


def unknown(
    answer: HttpAnswer,
    code: str,
    error: Mapping[str, Any] | None = None,
    *,
    about: str | None = None,
    **known: Any,
) -> Outcome:
    """`about`: what goes before Razorpay's words; `known`: more fields of the outcome."""
    said = detail(answer, error or {})
    text = scrubbed.text("; ".join(part for part in (about, said) if part))
    return Outcome(kind="UNKNOWN", code=code, detail=text, **known)


def of_another(answer: HttpAnswer, entity: Mapping[str, Any]) -> Outcome:
    """The id stands in the detail only: a look-up by it would find the other one for ever."""
    about = f"{scrubbed.identifier(entity.get('id'))} belongs to another reference"
    return unknown(answer, "reference_mismatch", about=about, repeat_is_useless=True)


def hint_of_status(status: int) -> codes.Hint | None:
    return "CONFIG" if 300 <= status < 400 or status in {401, 403} else None


def json_object(body: bytes) -> dict[str, Any]:
    """Empty for what is no JSON object."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}


def items(collection: Any) -> list[Any] | None:
    """None for what is no list, or not the whole of it."""
    if not isinstance(collection, dict) or collection.get("entity") != "collection":
        return None
    listed, count = collection.get("items"), collection.get("count")
    return listed if isinstance(listed, list) and is_int(count) and count == len(listed) else None


def is_id(psp_id: Any, prefix: Prefix) -> TypeGuard[str]:
    return isinstance(psp_id, str) and psp_id.startswith(prefix) and scrubbed.identifier(psp_id) is not None


def entity_id(entity: Any, name: str, prefix: Prefix) -> str | None:
    if not isinstance(entity, dict) or entity.get("entity") != name:
        return None
    return entity["id"] if is_id(entity.get("id"), prefix) else None


def is_of(entity: Mapping[str, Any], reference: str | None) -> bool:
    """Our reference stands in the notes, of an order and a refund also as the receipt: none may say another."""
    notes = entity.get("notes")
    said = [notes.get("order_ref") if isinstance(notes, dict) else None, entity.get("receipt")]
    return reference is not None and any(said) and all(one in (None, reference) for one in said)


def is_int(said: Any) -> TypeGuard[int]:
    return type(said) is int  # True is none


def mismatch(call: Call, entity: Mapping[str, Any]) -> str | None:
    """What of it is not as it was asked for."""
    if entity.get("currency") != call.currency:
        return "currency_mismatch"
    amount = entity.get("amount")
    return None if is_int(amount) and amount == wire(call) else "amount_mismatch"


def wire(call: Call) -> int | None:
    """None where it cannot have been sent."""
    try:
        return amounts.to_wire(call.amount_minor, call.currency)
    except amounts.NotExpressible:
        return None


def money(entity: Mapping[str, Any]) -> dict[str, Any]:
    """What Razorpay names, as fields of an outcome."""
    amount, currency = entity.get("amount"), entity.get("currency")
    if not isinstance(currency, str) or currency not in amounts.CURRENCIES:
        return {}
    return {
        "currency": currency,
        "amount_minor": amounts.from_wire(amount, currency) if is_int(amount) else None,
    }


def status_text(what: str, said: Mapping[str, Any]) -> str:
    named = scrubbed.identifier(said.get("id")) or what
    return f"{named} is {scrubbed.code(said.get('status')) or 'not readable'}"


def detail(answer: HttpAnswer, error: Mapping[str, Any]) -> str | None:
    parts = [
        scrubbed.code(error.get("code")),
        reason_of(error),
        scrubbed.code(error.get("field")),
        scrubbed.text(error.get("description")),
        f"HTTP {answer.status}",
    ]
    return scrubbed.text(", ".join(part for part in parts if part))
