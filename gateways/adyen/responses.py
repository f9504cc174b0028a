"""Reads what all of Adyen's responses have in common. Nothing raises; what a response does not plainly
state is UNKNOWN."""

import re
from collections.abc import Mapping
from typing import Any, Final

from commands.card_data import holds_pan
from commands.messages import Outcome
from gateways.adyen import amounts, codes
from gateways.contract import Call, HttpResponse
from gateways.wire import redaction
from gateways.wire.json import is_int, object_of
from gateways.wire.outcomes import DetailedOutcomes, Hint, Meaning, hint_of_status

_PSP_REFERENCE: Final = re.compile(r"[A-Za-z0-9]{16}")
_CODE: Final = re.compile(r"[A-Za-z0-9_.-]{1,40}")
# Adyen's API keys, in case a message quotes one.
_API_KEY: Final = re.compile(r"\bAQE\S{8,}|\bx-api-key\W+\S+", re.IGNORECASE)
_RAW: Final = re.compile(r"([A-Z0-9]{1,3}) ?:")
_QUOTED_MAX: Final = 2000
_USED_KEY: Final = "704"


def detail(response: HttpResponse, body: Mapping[str, Any]) -> str | None:
    """Adyen's words, with the id under which its support finds the call."""
    return redaction.joined(
        ", ",
        error_code(body),
        words(body.get("message")),
        words(body.get("refusalReason")),
        f"HTTP {response.status}",
        psp_reference(body.get("pspReference")),
    )


_OUTCOMES: Final = DetailedOutcomes(detail)
unknown, of_another = _OUTCOMES.unknown, _OUTCOMES.of_another


def refused(call: Call, body: Mapping[str, Any], response: HttpResponse) -> Outcome:
    """The outcome of any status but the one of success. Source:
    docs.adyen.com/development-resources/error-codes and
    docs.adyen.com/development-resources/response-handling."""
    code = error_code(body)
    if code is None:
        # Not Adyen's own words: whatever stands in between may have passed the call on.
        return unknown(response, f"http_{response.status}", hint=hint_of_status(response.status))
    match response.status:
        case _ if code == _USED_KEY:
            # The first try runs, or has run. Only if Adyen calls this transient does a repeat get its result.
            return unknown(response, code, body, repeat_is_useless=not is_transient(response))
        case _ if code == codes.INTERNAL_ERROR:
            # Whatever its status is. Only what is called transient is made anew by a repeat.
            return unknown(response, code, body, repeat_is_useless=not is_transient(response))
        case 401 | 403:
            return _provably_not_done(call, response, code, body, hint="CONFIG")
        case 422 if code in {"010", "10", "901"}:
            return _provably_not_done(call, response, code, body, hint="CONFIG")
        case 422 if code in codes.CARD_ERRORS and call.is_charge_attempt and call.step == "1":
            return declined(code, codes.CARD_ERRORS[code], response, body)
        case 400 | 422:
            return _provably_not_done(call, response, code, body)
        case 429:
            return _provably_not_done(call, response, "rate_limited", body)
        case status if status >= 500 and is_transient(response):
            # Adyen's own sign that nothing was done. `configuration` is the account's fault, and no absence:
            # 905, say.
            if body.get("errorType") == "configuration":
                return _provably_not_done(call, response, code, body)
            return Outcome(kind="NOT_SENT", code=code, detail=detail(response, body), unreached=True)
        case status:
            # Stored under the key unless it is called transient.
            return unknown(response, code, body, hint=hint_of_status(status), repeat_is_useless=status >= 500)


def _provably_not_done(
    call: Call, response: HttpResponse, code: str, body: Mapping[str, Any], *, hint: Hint | None = None
) -> Outcome:
    """NOT_SENT, except for the capture of a sale that may be repeated: its authorisation still holds the
    money."""
    refused = hint is None and response.status in {400, 422}
    captures_sale = call.kind == "sale" and call.step == "3"
    if captures_sale and not refused:
        return unknown(response, code, body, hint=hint, psp_id=call.psp_id)
    return Outcome(
        kind="NOT_SENT", code=code, detail=detail(response, body), hint=hint, repeat_is_useless=captures_sale
    )


def declined(
    code: str, meaning: Meaning, response: HttpResponse, body: Mapping[str, Any], **known: Any
) -> Outcome:
    """DECLINED_HARD or DECLINED_SOFT. `known`: more fields of the outcome."""
    return Outcome(
        kind="DECLINED_HARD" if meaning.verdict == "HARD" else "DECLINED_SOFT",
        code=code,
        detail=detail(response, body),
        hint=meaning.hint,
        unlisted=not meaning.listed,
        **issuer(body.get("additionalData")),
        **known,
    )


def issuer(additional_data: Any) -> dict[str, str | None]:
    """The issuer's code and Mastercard's advice, as fields of an outcome, where the account's settings show
    them. Source: docs.adyen.com/development-resources/raw-acquirer-responses."""
    shown = object_of(additional_data)
    raw = shown.get("refusalReasonRaw")
    named = _RAW.match(raw) if isinstance(raw, str) else None  # "05 : Do not honor"; others are words alone
    code = redaction.issuer_code(shown.get("refusalCodeRaw")) or (named[1] if named else None)
    advice = shown.get("merchantAdviceCode")
    if isinstance(advice, str):  # "03 : Do not try again", or the code alone
        advice = advice.partition(":")[0].strip()
    return {"issuer_code": code, "issuer_advice": redaction.issuer_code(advice)}


def is_transient(response: HttpResponse) -> bool:
    """True where Adyen marks an error as transient, which it does not store under the key
    (docs.adyen.com/development-resources/api-idempotency)."""
    return response.headers.get("transient-error", "").strip().lower() == "true"


def error_code(body: Mapping[str, Any]) -> str | None:
    """Adyen's error code. None: it is no error of Adyen's."""
    value = body.get("errorCode")
    return value if isinstance(value, str) and _CODE.fullmatch(value) and not holds_pan(value) else None


def psp_reference(value: Any) -> str | None:
    """Adyen's id of a payment or a modification: 16 characters, in older accounts 16 digits, which begin with
    7, 8 or 9. None: it is none."""
    if not isinstance(value, str) or not _PSP_REFERENCE.fullmatch(value):
        return None
    return value if value[0] in "789" or not holds_pan(value) else None


def money(amount: Any) -> dict[str, Any]:
    """The amount and the currency that Adyen states, as fields of an outcome. Empty: no amount of ours."""
    if not isinstance(amount, dict):
        return {}
    value, currency = amount.get("value"), amount.get("currency")
    if not is_int(value) or not isinstance(currency, str) or currency not in amounts.CURRENCIES:
        return {}
    minor = amounts.from_wire(value, currency)
    return {} if minor is None else {"amount_minor": minor, "currency": currency}


def money_mismatch(call: Call, amount: Any) -> str | None:
    """Returns the code for an amount of Adyen's that is not the call's. None: it is the call's."""
    if not isinstance(amount, dict) or amount.get("currency") != call.currency:
        return "currency_mismatch"
    value = amount.get("value")
    return None if is_int(value) and value == amounts.sent(call) else "amount_mismatch"


def words(value: Any) -> str | None:
    """A text of Adyen's for an operator, without what may be an API key."""
    if not isinstance(value, str):
        return None
    return redaction.text(_API_KEY.sub("[secret]", value[:_QUOTED_MAX]))
