"""Reads what all of Braintree's responses have in common. Nothing raises; what a response does not plainly
state is UNKNOWN.

A response has status 200 for errors, too: they are read first. A decline is no error.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeGuard

from commands.messages import Outcome
from gateways.braintree import amounts, codes
from gateways.contract import Call, HttpResponse
from gateways.wire import redaction
from gateways.wire.json import object_of
from gateways.wire.outcomes import DetailedOutcomes, Meaning, hint_of_status, status_text

Source = Literal["call", "query"]

CAPTURED: Final = frozenset({"SUBMITTED_FOR_SETTLEMENT", "SETTLING", "SETTLED", "SETTLEMENT_CONFIRMED"})
REFUSED: Final = frozenset({"PROCESSOR_DECLINED", "GATEWAY_REJECTED", "FAILED"})

MORE_THAN_IS_LEFT: Final = "more_than_is_left"
"""The code of a refund for which another one left too little, so that no repeat of it can succeed."""

_KEY: Final = re.compile(r"api[ _-]?request[ _-]?key", re.IGNORECASE)
_NOT_TAKEN: Final = re.compile(r"not (?:been )?defined|undefined|unknown field|field not in", re.IGNORECASE)
_RUNNING: Final = re.compile(r"progress|in[ -]flight|being processed|still|concurrent", re.IGNORECASE)
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
# A settlement is made once a day or oftener; the first question comes soon.
_SETTLES_WITHIN_S: Final = 600
_PRECEDENCE: Final[tuple[codes.ErrorVerdict, ...]] = ("UNKNOWN", "CONFIG", "NOT_SENT")


def errors(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The errors of a response, as many as there are. One that cannot be read is empty, and means nothing for
    what was done."""
    listed = body.get("errors")
    if listed is None:
        return []
    return [object_of(error) for error in listed] if isinstance(listed, list) else [{}]


def detail(response: HttpResponse, body: Mapping[str, Any], about: str | None = None) -> str | None:
    """Braintree's words, with the request id under which its support finds the call. `about`: goes before
    them."""
    error = next(iter(errors(body)), {})
    return redaction.joined(
        ", ",
        about,
        _error_class(error),
        _legacy_code(error),
        redaction.text(error.get("message")),
        f"HTTP {response.status}",
        redaction.identifier(object_of(body.get("extensions")).get("requestId")),
    )


_OUTCOMES: Final = DetailedOutcomes(detail)
unknown, not_sent, of_another = _OUTCOMES.unknown, _OUTCOMES.not_sent, _OUTCOMES.of_another


def refused(call: Call, body: Mapping[str, Any], response: HttpResponse) -> Outcome:
    """The outcome of errors without a payload. Source:
    developer.paypal.com/braintree/graphql/guides/making_api_calls."""
    listed = errors(body)
    if response.status >= 500 or response.status == 408 or 300 <= response.status < 400:
        return unknown(response, f"http_{response.status}", body, hint=hint_of_status(response.status))
    for error in listed:
        if _names_the_key(error):
            return _about_the_key(error, response, body)
    verdicts = [codes.of_error(_error_class(error)) for error in listed]
    worst = min((verdict for verdict, _ in verdicts), key=_PRECEDENCE.index)
    error = next(error for error, (verdict, _) in zip(listed, verdicts, strict=True) if verdict == worst)
    code = _legacy_code(error) or _error_class(error) or "error_without_a_class"
    if worst == "UNKNOWN":
        unlisted = not all(listed for _, listed in verdicts)
        return unknown(response, code, body, unlisted=unlisted)
    if worst == "CONFIG":
        return not_sent(response, code, body, "CONFIG")
    legacy = {_legacy_code(error) for error in listed}
    if not call.is_charge_attempt and legacy & codes.MAY_BE_DONE:
        return unknown(response, code, body, repeat_is_useless=True)
    if call.kind == "refund" and legacy & codes.NOT_SETTLED_YET:
        unsettled = not_sent(response, "not_settled_yet", body)
        return unsettled.model_copy(update={"again_after_s": _SETTLES_WITHIN_S})
    if call.kind == "refund" and codes.MORE_THAN_IS_LEFT in legacy:
        return not_sent(response, MORE_THAN_IS_LEFT, body)
    return not_sent(response, code, body, "REFRESH_TOKEN" if legacy & codes.TOKEN_IS_SPENT else None)


def _names_the_key(error: Mapping[str, Any]) -> bool:
    if _error_class(error) != "VALIDATION":
        return False
    path = object_of(error.get("extensions")).get("inputPath")
    words = [error.get("message"), *(path if isinstance(path, list) else [])]
    return any(isinstance(word, str) and _KEY.search(word) for word in words)


def _about_the_key(error: Mapping[str, Any], response: HttpResponse, body: Mapping[str, Any]) -> Outcome:
    message = error.get("message")
    words = message if isinstance(message, str) else ""
    if _NOT_TAKEN.search(words):
        return not_sent(response, "api_request_key_not_taken", body, "CONFIG")
    if _RUNNING.search(words):
        return unknown(response, "api_request_key_in_use", body)
    return unknown(response, "api_request_key_reused", body, repeat_is_useless=True)


def is_config(body: Mapping[str, Any]) -> bool:
    """True where an error blames the account's keys or permissions."""
    return any(codes.of_error(_error_class(error))[0] == "CONFIG" for error in errors(body))


def declined(
    payment: Mapping[str, Any],
    response: HttpResponse,
    body: Mapping[str, Any],
    *,
    source: Source,
    **known: Any,
) -> Outcome:
    """The outcome of a transaction or a refund in one of the states `REFUSED`. `known`: more fields of the
    outcome."""
    status, event = payment["status"], _event(payment)
    processor_response = object_of(event.get("processorResponse"))
    processor = redaction.code(processor_response.get("legacyCode"))
    if status == "GATEWAY_REJECTED":
        reason = redaction.code(event.get("gatewayRejectionReason"))
        meaning, code = codes.of_rejection(reason), reason or "gateway_rejected"
    elif status == "FAILED":
        meaning, code = Meaning("SOFT"), processor or "failed"
    else:
        kind = event.get("declineType")
        meaning = codes.of_processor(processor, kind if isinstance(kind, str) else None)
        code = processor or "processor_declined"
    about = "; ".join(
        filter(None, [status_text("payment", payment), redaction.text(processor_response.get("message"))])
    )
    if meaning.verdict == "APPROVED":
        return unknown(response, "contradictory_response", body, about=about, repeat_is_useless=True, **known)
    if meaning.verdict == "DUPLICATE":
        # Without the id of the refused one the lookup goes by our reference, which finds the one before
        # it, too.
        return unknown(
            response,
            code,
            body,
            about=about,
            repeat_is_useless=True,
            **(known | {"psp_id": _earlier(payment, event)}),
        )
    if source == "call" and meaning.verdict == "CONFIG":
        return Outcome(
            kind="NOT_SENT", code=code, detail=detail(response, body, about), hint="CONFIG", **known
        )
    return Outcome(
        kind="DECLINED_HARD" if meaning.verdict == "HARD" else "DECLINED_SOFT",
        code=code,
        detail=detail(response, body, about),
        hint=meaning.hint,
        unlisted=not meaning.listed,
        # GraphQL schema, `PaymentNetworkResponse` and `MerchantAdviceCodeResponse`.
        issuer_code=redaction.issuer_code(object_of(event.get("networkResponse")).get("code")),
        issuer_advice=redaction.issuer_code(object_of(event.get("merchantAdviceCodeResponse")).get("code")),
        **known,
    )


def _event(payment: Mapping[str, Any]) -> dict[str, Any]:
    """The entry of the history that explains the state: the newest that names it."""
    history = payment.get("statusHistory")
    events = [object_of(event) for event in history] if isinstance(history, list) else []
    return next((event for event in events if event.get("status") == payment.get("status")), {})


def _earlier(payment: Mapping[str, Any], event: Mapping[str, Any]) -> str | None:
    earlier = object_of(event.get("duplicateOf"))
    ours = earlier.get("orderId") == payment.get("orderId")
    return earlier["id"] if ours and is_id(earlier.get("id")) else None


def unreadable(response: HttpResponse, body: Mapping[str, Any]) -> Outcome:
    """UNKNOWN, for a response that is none of Braintree's."""
    code = "unreadable_response" if response.status == 200 else f"http_{response.status}"
    return unknown(response, code, body, hint=hint_of_status(response.status))


def is_id(value: Any) -> TypeGuard[str]:
    """True for an id of Braintree's: base64, as far as one may look into it."""
    if not isinstance(value, str):
        return False
    return (
        redaction.identifier(value.rstrip("=").replace("+", "-").replace("/", "_")) is not None
        and len(value) <= 255
    )


def known(entity: Mapping[str, Any]) -> dict[str, Any]:
    """The ids of a transaction or a refund, as fields of an outcome. Webhooks use the second."""
    return {"psp_id": entity["id"], "known_as": legacy(entity.get("legacyId"))}


def legacy(value: Any) -> tuple[str, ...]:
    """The id in the older interface, as a name. Empty: there is none."""
    one = redaction.identifier(value)
    return () if one is None else (f"legacy/{one}",)


def mismatch(call: Call, amount: Any) -> str | None:
    """Returns the code for a `MonetaryAmount` that is not the call's. None: it is the call's."""
    money = object_of(amount)
    if money.get("currencyCode") != call.currency:
        return "currency_mismatch"
    minor = amounts.from_wire(money.get("value"), call.currency)
    return None if minor is not None and minor == call.amount_minor else "amount_mismatch"


def authorized_amount(transaction: Mapping[str, Any]) -> Any:
    """The amount that was held before a part of it was captured."""
    history = transaction.get("statusHistory")
    events = [object_of(event) for event in history] if isinstance(history, list) else []
    return next((event.get("amount") for event in events if event.get("status") == "AUTHORIZED"), None)


def money(amount: Any) -> dict[str, Any]:
    """The amount and the currency that Braintree states, as fields of an outcome. Empty: they cannot be
    read."""
    currency = object_of(amount).get("currencyCode")
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        return {}
    return {"currency": currency, "amount_minor": amounts.from_wire(amount.get("value"), currency)}


def _error_class(error: Mapping[str, Any]) -> str | None:
    return redaction.code(object_of(error.get("extensions")).get("errorClass"))


def _legacy_code(error: Mapping[str, Any]) -> str | None:
    return redaction.code(object_of(error.get("extensions")).get("legacyCode"))
