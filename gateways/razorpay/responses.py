"""Reads what all of Razorpay's responses have in common. Nothing raises; what a response does not plainly
state is UNKNOWN."""

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeGuard

from commands.messages import Outcome
from gateways.contract import Call, HttpResponse
from gateways.razorpay import amounts, codes
from gateways.wire import redaction
from gateways.wire.json import is_int, object_of
from gateways.wire.outcomes import DetailedOutcomes, Hint, Meaning, hint_of_status

Prefix = Literal["order_", "pay_", "rfnd_", "disp_"]

_OF_THE_BANK: Final = frozenset({"GATEWAY_ERROR", "SERVER_ERROR"})
_BUSY_FOR_S: Final = 5  # "wait a few seconds and retry"
_NONE: Final = frozenset({"", "NA", "null"})  # how Razorpay writes a reason that it has not


def detail(response: HttpResponse, error: Mapping[str, Any]) -> str | None:
    """Razorpay's words. It names no id under which its support would find the call."""
    return redaction.joined(
        ", ",
        redaction.code(error.get("code")),
        reason_of(error),
        redaction.code(error.get("field")),
        redaction.text(error.get("description")),
        f"HTTP {response.status}",
    )


_OUTCOMES: Final = DetailedOutcomes(detail)
unknown, not_sent, of_another = _OUTCOMES.unknown, _OUTCOMES.not_sent, _OUTCOMES.of_another


def refused(call: Call, body: Mapping[str, Any], response: HttpResponse) -> Outcome:
    """The outcome of any response but 200. Source: razorpay.com/docs/errors."""
    error = body.get("error")
    if not isinstance(error, dict):
        # Not Razorpay's own words: whatever stands in between may have passed the call on.
        return unknown(response, f"http_{response.status}", hint=hint_of_status(response.status))
    match response.status:
        case 400:
            return _bad_request(call, error, response)
        case 401 | 403 | 404:
            return not_sent(response, reason_of(error) or "refused", error, hint="CONFIG")
        case 429:
            return not_sent(response, "rate_limited", error)
        case status:
            reason = reason_of(error)
            new = reason is not None and codes.of_reason(reason) is None
            return unknown(
                response, reason or f"http_{status}", error, hint=hint_of_status(status), unlisted=new
            )


def not_found_out(body: Mapping[str, Any], response: HttpResponse) -> Outcome:
    """UNKNOWN, for a lookup with any status but 200."""
    error = object_of(body.get("error"))
    ours = response.status == 400 and codes.of_words(error.get("description")) == codes.CONFIG
    hint: Hint | None = "CONFIG" if ours else hint_of_status(response.status)
    return unknown(response, f"http_{response.status}", error, hint=hint)


def _bad_request(call: Call, error: Mapping[str, Any], response: HttpResponse) -> Outcome:
    reason, code = reason_of(error), redaction.code(error.get("code")) or "unreadable_response"
    plain = codes.of_plain_words(error.get("description"), refund=call.kind == "refund")
    meaning = plain or codes.of_reason(reason)
    if meaning is None and code in _OF_THE_BANK:
        return unknown(response, reason or code, error, unlisted=reason is not None)
    named = _names_payment(error)
    if meaning is None and named and _pays(call):
        return Outcome(
            kind="DECLINED_SOFT",
            psp_id=call.psp_id,
            code=reason or code,
            detail=detail(response, error),
            unlisted=True,
        )
    meaning = _of_a_capture(call, error) or meaning or codes.of_words(error.get("description"))
    if meaning is None and reason is None and not named and code == "BAD_REQUEST_ERROR":
        meaning = codes.REFUSED
    if meaning is None:
        return unknown(response, reason or code, error, unlisted=True)
    return _meant(call, meaning, reason or code, error, response)


def _meant(
    call: Call, meaning: Meaning, code: str, error: Mapping[str, Any], response: HttpResponse
) -> Outcome:
    psp_id = call.psp_id if _pays(call) else None
    match meaning.verdict:
        case "SOFT" | "HARD":
            return declined(meaning, code, detail(response, error), psp_id)
        case "CONFIG":
            return not_sent(response, code, error, hint="CONFIG")
        case "BUSY" if call.is_charge_attempt:
            return unknown(response, "operation_in_progress", error)
        case "BUSY":
            busy = not_sent(response, "operation_in_progress", error)
            return busy.model_copy(update={"again_after_s": _BUSY_FOR_S})
        case "BLOCKED":
            return not_sent(response, "blocked_by_dispute", error)
        case "REFUSED" if _captures(call):
            # Money is held, and may have been taken: it is read, rather than taken for untouched.
            return unknown(response, "invalid_request", error, repeat_is_useless=True)
        case "REFUSED":
            return not_sent(response, "invalid_request", error)
        case "PENDING":
            return Outcome(kind="PENDING", psp_id=psp_id, code=code, detail=detail(response, error))
        case "DUPLICATE":
            return unknown(response, code, error, repeat_is_useless=True)
        case _:  # UNDECIDED: the bank may still respond
            return unknown(response, code, error)


def declined(meaning: Meaning, code: str, text: str | None, psp_id: str | None) -> Outcome:
    """DECLINED_SOFT or DECLINED_HARD. `text`: the detail."""
    hard = meaning.verdict != "SOFT"
    return Outcome(
        kind="DECLINED_HARD" if hard else "DECLINED_SOFT",
        psp_id=psp_id,
        code=code,
        detail=text,
        hint=meaning.hint,
    )


def _pays(call: Call) -> bool:
    """True where a refusal that names a payment is that payment's: a capture's and a refund's names their
    target."""
    return call.is_charge_attempt and call.step == "2"


def _of_a_capture(call: Call, error: Mapping[str, Any]) -> Meaning | None:
    """Returns DUPLICATE for "already captured", and for "only authorized ones can be captured": an earlier
    capture may have been executed."""
    words = error.get("description")
    if _captures(call) and isinstance(words, str) and "captured" in words.lower():
        return Meaning("DUPLICATE")
    return None


def _captures(call: Call) -> bool:
    return call.kind == "capture" or (call.kind == "sale" and call.step == "3")


def _names_payment(error: Mapping[str, Any]) -> bool:
    metadata = error.get("metadata")
    return isinstance(metadata, dict) and is_id(metadata.get("payment_id"), "pay_")


def reason_of(error: Mapping[str, Any]) -> str | None:
    """The reason of an error. None: it has none, which Razorpay writes in several ways."""
    reason = redaction.code(error.get("reason"))
    return None if reason in _NONE else reason


def items(collection: Any) -> list[Any] | None:
    """The items of a collection. None: it is no list, or not the whole of it."""
    if not isinstance(collection, dict) or collection.get("entity") != "collection":
        return None
    listed, count = collection.get("items"), collection.get("count")
    return listed if isinstance(listed, list) and is_int(count) and count == len(listed) else None


def is_id(psp_id: Any, prefix: Prefix) -> TypeGuard[str]:
    """True for an id of Razorpay's with this prefix."""
    return isinstance(psp_id, str) and psp_id.startswith(prefix) and redaction.identifier(psp_id) is not None


def entity_id(entity: Any, name: str, prefix: Prefix) -> str | None:
    """The id of an entity of this name. None: it is another entity, or has no readable id."""
    if not isinstance(entity, dict) or entity.get("entity") != name:
        return None
    return entity["id"] if is_id(entity.get("id"), prefix) else None


def is_of(entity: Mapping[str, Any], reference: str | None) -> bool:
    """True where the entity carries our reference. It stands in the notes, in an order and a refund also as
    the receipt: neither may say another one."""
    references = [object_of(entity.get("notes")).get("order_ref"), entity.get("receipt")]
    return reference is not None and any(references) and all(one in (None, reference) for one in references)


def mismatch(call: Call, entity: Mapping[str, Any]) -> str | None:
    """Returns the code for an entity's amount that is not the call's. None: it is the call's."""
    if entity.get("currency") != call.currency:
        return "currency_mismatch"
    amount = entity.get("amount")
    return None if is_int(amount) and amount == amounts.sent(call) else "amount_mismatch"


def money(entity: Mapping[str, Any]) -> dict[str, Any]:
    """The amount and the currency that Razorpay states, as fields of an outcome. Empty: they cannot be
    read."""
    amount, currency = entity.get("amount"), entity.get("currency")
    if not isinstance(currency, str) or currency not in amounts.CURRENCIES:
        return {}
    return {
        "currency": currency,
        "amount_minor": amounts.from_wire(amount, currency) if is_int(amount) else None,
    }


def status_text(what: str, entity: Mapping[str, Any]) -> str:
    """The status of an entity, as a phrase for the detail."""
    named = redaction.identifier(entity.get("id")) or what
    return f"{named} is {redaction.code(entity.get('status')) or 'not readable'}"
