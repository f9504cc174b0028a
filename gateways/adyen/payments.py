"""Reads payments: the responses of /payments and of /payments/details.

Invariant: APPROVED only for our reference, amount and currency, read from a response that states all
three. A response that leaves one out is PENDING: the signed AUTHORISATION webhook, which has them,
decides.
"""

from collections.abc import Mapping
from typing import Any, Final

from aggregates.operation import FIRST_STEP
from commands.messages import Outcome
from gateways.adyen import codes, responses
from gateways.contract import Call, HttpResponse
from gateways.wire import redaction

_AUTHORISED: Final = frozenset({"Authorised", "PartiallyAuthorised"})
_CHALLENGES: Final = frozenset({"RedirectShopper", "IdentifyShopper", "ChallengeShopper", "PresentToShopper"})
# The last three belong to flows that we do not request: nothing in them proves that money is held.
_WAITING: Final = frozenset(
    {"Pending", "Received", "AuthenticationFinished", "AuthenticationNotRequired", "Success"}
)
RESULT_CODES: Final = _AUTHORISED | _CHALLENGES | _WAITING | {"Refused", "Cancelled", "Error"}


def read_response(call: Call, body: Mapping[str, Any], response: HttpResponse) -> Outcome:
    """The outcome that a payment's result code means. Source:
    docs.adyen.com/online-payments/payment-result-codes."""
    result = body.get("resultCode")
    if not isinstance(result, str):
        return responses.unknown(response, "unreadable_response", body, repeat_is_useless=True)
    reference = body.get("merchantReference")
    psp_id = responses.psp_reference(body.get("pspReference"))
    if "merchantReference" in body and reference != call.reference:
        return responses.of_another(response, psp_id or "a payment without a readable id")
    known: dict[str, Any] = {"psp_id": psp_id, **responses.money(body.get("amount"))}
    if result not in RESULT_CODES:
        return _unknown(response, "unexpected_status", body, known, unlisted=True)
    if result == "PartiallyAuthorised":
        return _part(call, body, response, known)
    if "amount" in body and (code := responses.money_mismatch(call, body["amount"])) is not None:
        return _unknown(response, code, body, known)
    if result in {"Refused", "Cancelled"}:
        if call.step != FIRST_STEP and "merchantReference" not in body:
            # The customer's browser may have brought back the result of another payment, which was declined.
            return _unknown(response, "not_echoed", body, known)
        return _declined(body, response, known)
    if result in _CHALLENGES:
        return _challenge(call, body, response, known)
    if result == "Error":
        # Adyen calls it final and replays it, but the issuer may have acted: the webhook reports how it
        # ended.
        return _unknown(response, "Error", body, known)
    if result in _WAITING:
        return Outcome(kind="PENDING", code=result, **known)
    return _authorised(call, body, response, known)


def _authorised(
    call: Call, body: Mapping[str, Any], response: HttpResponse, known: Mapping[str, Any]
) -> Outcome:
    if known["psp_id"] is None:
        return _unknown(response, "psp_id_missing", body, known)
    if "amount" not in body or "merchantReference" not in body:
        return Outcome(kind="PENDING", code="not_echoed", detail="the webhook names what it is", **known)
    if call.kind == "sale":
        return Outcome(kind="PENDING", code="authorised", next_step="3", **known)
    return Outcome(kind="APPROVED", **known)


def _part(call: Call, body: Mapping[str, Any], response: HttpResponse, known: Mapping[str, Any]) -> Outcome:
    """The outcome of a partial authorisation. An authorize takes it as it is; a sale's next step would
    capture the whole, so that it is cancelled."""
    minor = known.get("amount_minor")
    ours = known.get("currency") == call.currency and "merchantReference" in body
    fits = ours and minor is not None and 0 < minor < call.amount_minor
    if call.kind == "sale" or not fits or known["psp_id"] is None:
        return _unknown(response, "partially_authorised", body, known)
    return Outcome(kind="APPROVED", code="partially_authorised", **known)


def _challenge(
    call: Call, body: Mapping[str, Any], response: HttpResponse, known: Mapping[str, Any]
) -> Outcome:
    """The outcome of a challenge. Only a page that a plain link opens is supported, since we request no
    other; without one the customer cannot go on, and the payment is cancelled."""
    action = body.get("action")
    page = action if isinstance(action, dict) and action.get("type") == "redirect" else {}
    url = redaction.address(page.get("url")) if page.get("method", "GET") == "GET" else None
    if body["resultCode"] != "RedirectShopper" or url is None or call.step != "1":
        return _unknown(response, "challenge_not_supported", body, known)
    return Outcome(kind="ACTION_REQUIRED", code="RedirectShopper", action_url=url, next_step="2", **known)


def _declined(body: Mapping[str, Any], response: HttpResponse, known: Mapping[str, Any]) -> Outcome:
    named, text = redaction.code(body.get("refusalReasonCode")), responses.words(body.get("refusalReason"))
    code, meaning = codes.refusal(named, text)
    if code in codes.LEAVE_OPEN:
        return _unknown(response, code, body, known)
    return responses.declined(code, meaning, response, body, **known)


def _unknown(
    response: HttpResponse, code: str, body: Mapping[str, Any], known: Mapping[str, Any], **more: Any
) -> Outcome:
    """UNKNOWN. The response that Adyen stores stays the same for ever."""
    about = f"the result is {redaction.code(body.get('resultCode')) or 'not readable'}"
    return responses.unknown(response, code, body, about=about, repeat_is_useless=True, **known, **more)
