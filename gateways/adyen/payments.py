"""A payment's answers: of /payments and of /payments/details.

Invariant: APPROVED only for our reference, amount and currency, read from an answer that says all three. An answer that
leaves one out is PENDING: the signed AUTHORISATION webhook, which has them, decides.
"""

from collections.abc import Mapping
from typing import Any, Final

from commands.messages import Outcome
from gateways import scrubbed
from gateways.adyen import answers, codes
from gateways.contract import Call, HttpAnswer

_AUTHORISED: Final = frozenset({"Authorised", "PartiallyAuthorised"})
_CHALLENGES: Final = frozenset({"RedirectShopper", "IdentifyShopper", "ChallengeShopper", "PresentToShopper"})
# The last three belong to flows that we do not ask for: nothing in them says that money is held.
_WAITING: Final = frozenset(
    {"Pending", "Received", "AuthenticationFinished", "AuthenticationNotRequired", "Success"}
)
RESULT_CODES: Final = _AUTHORISED | _CHALLENGES | _WAITING | {"Refused", "Cancelled", "Error"}


def answered(call: Call, body: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    result = body.get("resultCode")
    if not isinstance(result, str):
        return answers.unknown(answer, "unreadable_answer", body, repeat_is_useless=True)
    reference = body.get("merchantReference")
    if "merchantReference" in body and reference != call.reference:
        return answers.of_another(answer, body.get("pspReference"))
    psp_id = answers.psp_reference(body.get("pspReference"))
    known: dict[str, Any] = {"psp_id": psp_id, **answers.money(body.get("amount"))}
    if result not in RESULT_CODES:
        return _unknown(answer, "unexpected_status", body, known, unlisted=True)
    if result == "PartiallyAuthorised":
        return _part(call, body, answer, known)
    if "amount" in body and (code := answers.money_mismatch(call, body["amount"])) is not None:
        return _unknown(answer, code, body, known)
    if result in {"Refused", "Cancelled"}:
        return _declined(body, answer, known)
    if result in _CHALLENGES:
        return _challenge(call, body, answer, known)
    if result == "Error":
        # Called final, and replayed; but the issuer may have acted. Its webhook says how it ended.
        return _unknown(answer, "Error", body, known)
    if result in _WAITING:
        return Outcome(kind="PENDING", code=result, **known)
    return _authorised(call, body, answer, known)


def _authorised(call: Call, body: Mapping[str, Any], answer: HttpAnswer, known: Mapping[str, Any]) -> Outcome:
    if known["psp_id"] is None:
        return _unknown(answer, "psp_id_missing", body, known)
    if "amount" not in body or "merchantReference" not in body:
        return Outcome(kind="PENDING", code="not_echoed", detail="the webhook tells what it is", **known)
    if call.kind == "sale":
        return Outcome(kind="PENDING", code="authorised", next_step="3", **known)
    return Outcome(kind="APPROVED", **known)


def _part(call: Call, body: Mapping[str, Any], answer: HttpAnswer, known: Mapping[str, Any]) -> Outcome:
    """Of an authorization it is taken as it is. A sale's next step would capture the whole: it is cancelled."""
    minor = known.get("amount_minor")
    ours = known.get("currency") == call.currency and "merchantReference" in body
    fits = ours and minor is not None and 0 < minor < call.amount_minor
    if call.kind == "sale" or not fits or known["psp_id"] is None:
        return _unknown(answer, "partially_authorised", body, known)
    return Outcome(kind="APPROVED", code="partially_authorised", **known)


def _challenge(call: Call, body: Mapping[str, Any], answer: HttpAnswer, known: Mapping[str, Any]) -> Outcome:
    """Only a page that a plain link opens: we ask for no other. Without one nobody can go on, and it is cancelled."""
    action = body.get("action")
    page = action if isinstance(action, dict) and action.get("type") == "redirect" else {}
    url = scrubbed.address(page.get("url")) if page.get("method", "GET") == "GET" else None
    if body["resultCode"] != "RedirectShopper" or url is None or call.step != "1":
        return _unknown(answer, "challenge_not_supported", body, known)
    return Outcome(kind="ACTION_REQUIRED", code="RedirectShopper", action_url=url, next_step="2", **known)


def _declined(body: Mapping[str, Any], answer: HttpAnswer, known: Mapping[str, Any]) -> Outcome:
    code, text = scrubbed.code(body.get("refusalReasonCode")), answers.words(body.get("refusalReason"))
    return answers.declined(codes.refusal(code, text), answer, body, **known)


def _unknown(
    answer: HttpAnswer, code: str, body: Mapping[str, Any], known: Mapping[str, Any], **more: Any
) -> Outcome:
    """The stored answer says the same for ever."""
    about = f"the result is {scrubbed.code(body.get('resultCode')) or 'not readable'}"
    return answers.unknown(answer, code, body, about=about, repeat_is_useless=True, **known, **more)
