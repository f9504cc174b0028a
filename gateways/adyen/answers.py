"""What all of Adyen's answers have in common. Nothing in an answer raises; what is not plainly said is UNKNOWN."""

import re
from collections.abc import Mapping
from typing import Any, Final, TypeGuard

import orjson

from commands.messages import Outcome
from commands.sensitive import holds_pan
from gateways import scrubbed
from gateways.adyen import amounts, codes
from gateways.contract import Call, HttpAnswer

_MINOR_MAX: Final = 2**53
_PSP_REFERENCE: Final = re.compile(r"[A-Za-z0-9]{16}")
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,40}")
# Adyen's API keys, in case a message quotes one.
_API_KEY: Final = re.compile(r"\bAQE\S{8,}|\bx-api-key\W+\S+", re.IGNORECASE)
_QUOTED_MAX: Final = 2000
_USED_KEY: Final = "704"


def refused(call: Call, body: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    """Of any status but the one that says that the call was taken in."""
    code = error_code(body)
    if code is None:
        # Not Adyen's own words: whatever stands in between may have passed the call on.
        return unknown(answer, f"http_{answer.status}", hint=hint_of_status(answer.status))
    match answer.status:
        case _ if code == _USED_KEY:
            # It runs, or it ran: only Adyen's own sign says that a repeat is answered.
            return unknown(answer, code, body, repeat_is_useless=not is_transient(answer))
        case 401 | 403:
            return _provably_not_done(call, answer, code, body, hint="CONFIG")
        case 422 if code in {"010", "10", "901"}:
            return _provably_not_done(call, answer, code, body, hint="CONFIG")
        case 422 if code in codes.CARD_ERRORS and call.kind in {"authorize", "sale"} and call.step == "1":
            return declined(codes.Refusal(code, codes.CARD_ERRORS[code], unlisted=False), answer, body)
        case 400 | 422:
            return _provably_not_done(call, answer, code, body)
        case 429:
            return _provably_not_done(call, answer, "rate_limited", body)
        case status if status >= 500 and is_transient(answer):
            return _provably_not_done(call, answer, code, body)
        case status:
            # Stored under the key unless it is called transient.
            return unknown(answer, code, body, hint=hint_of_status(status), repeat_is_useless=status >= 500)


def _provably_not_done(
    call: Call, answer: HttpAnswer, code: str, body: Mapping[str, Any], *, hint: codes.Hint | None = None
) -> Outcome:
    """A sale whose capture was refused still holds the money: it is not over before that is released."""
    if call.kind == "sale" and call.step == "3":
        useless = hint is None and answer.status in {400, 422}
        return unknown(answer, code, body, hint=hint, repeat_is_useless=useless, psp_id=call.psp_id)
    return Outcome(kind="NOT_SENT", code=code, detail=detail(answer, body), hint=hint)


def declined(refusal: codes.Refusal, answer: HttpAnswer, body: Mapping[str, Any], **known: Any) -> Outcome:
    return Outcome(
        kind="DECLINED_HARD" if refusal.meaning.hard else "DECLINED_SOFT",
        code=refusal.code,
        detail=detail(answer, body),
        hint=refusal.meaning.hint,
        unlisted=refusal.unlisted,
        **known,
    )


def unknown(
    answer: HttpAnswer,
    code: str,
    body: Mapping[str, Any] | None = None,
    *,
    about: str | None = None,
    hint: codes.Hint | None = None,
    repeat_is_useless: bool = False,
    unlisted: bool = False,
    **known: Any,
) -> Outcome:
    """`about`: what goes before Adyen's words; `known`: more fields of the outcome."""
    said = detail(answer, body or {})
    return Outcome(
        kind="UNKNOWN",
        code=code,
        detail=scrubbed.text("; ".join(part for part in (about, said) if part)),
        hint=hint,
        repeat_is_useless=repeat_is_useless,
        unlisted=unlisted,
        **known,
    )


def of_another(answer: HttpAnswer, said: Any) -> Outcome:
    """The id stands in the detail only: it is the other one's."""
    about = f"{psp_reference(said) or 'a payment without a readable id'} belongs to another reference"
    return unknown(answer, "reference_mismatch", about=about, repeat_is_useless=True)


def hint_of_status(status: int) -> codes.Hint | None:
    return "CONFIG" if 300 <= status < 400 or status in {401, 403} else None


def is_transient(answer: HttpAnswer) -> bool:
    return answer.headers.get("transient-error", "").strip().lower() == "true"


def json_object(body: bytes) -> dict[str, Any]:
    """Empty for what is no JSON object."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}


def error_code(body: Mapping[str, Any]) -> str | None:
    """None for what is no error of Adyen's."""
    said = body.get("errorCode")
    return said if isinstance(said, str) and _CODE.fullmatch(said) and not holds_pan(said) else None


def psp_reference(said: Any) -> str | None:
    """Adyen's id: 16 characters, in older accounts 16 digits, which begin as no card's do."""
    right = isinstance(said, str) and _PSP_REFERENCE.fullmatch(said) and not holds_pan(said)
    return said if right else None


def is_int(said: Any) -> TypeGuard[int]:
    return type(said) is int  # True is none


def wire(call: Call) -> int | None:
    """None where it cannot have been sent."""
    try:
        return amounts.to_wire(call.amount_minor, call.currency)
    except amounts.NotExpressible:
        return None


def money(said: Any) -> dict[str, Any]:
    """What Adyen names, as fields of an outcome; empty where it is no amount of ours."""
    if not isinstance(said, dict):
        return {}
    value, currency = said.get("value"), said.get("currency")
    if not is_int(value) or not isinstance(currency, str) or not amounts.supported(currency):
        return {}
    minor = amounts.from_wire(value, currency)
    return {} if minor is None or abs(minor) > _MINOR_MAX else {"amount_minor": minor, "currency": currency}


def money_mismatch(call: Call, said: Any) -> str | None:
    """Of an amount that has to be the one that was asked for."""
    if not isinstance(said, dict) or said.get("currency") != call.currency:
        return "currency_mismatch"
    value = said.get("value")
    return None if is_int(value) and value == wire(call) else "amount_mismatch"


def words(said: Any) -> str | None:
    """For reading, without what may be an API key."""
    if not isinstance(said, str):
        return None
    return scrubbed.text(_API_KEY.sub("[secret]", said[:_QUOTED_MAX]))


def detail(answer: HttpAnswer, body: Mapping[str, Any]) -> str | None:
    """Adyen's words, with the id under which its support finds the call."""
    parts = [
        error_code(body),
        words(body.get("message")),
        words(body.get("refusalReason")),
        f"HTTP {answer.status}",
        psp_reference(body.get("pspReference")),
    ]
    return scrubbed.text(", ".join(part for part in parts if part))
