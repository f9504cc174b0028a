"""What all of Braintree's answers have in common. Nothing in an answer raises; what is not plainly said is UNKNOWN.

An answer's status is 200 for errors, too: they are read first. A decline is no error.
"""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, TypeGuard

import orjson

from commands.messages import Outcome
from gateways import scrubbed
from gateways.braintree import amounts, codes
from gateways.contract import Call, HttpAnswer

Source = Literal["call", "query"]

CAPTURED: Final = frozenset({"SUBMITTED_FOR_SETTLEMENT", "SETTLING", "SETTLED", "SETTLEMENT_CONFIRMED"})
REFUSED: Final = frozenset({"PROCESSOR_DECLINED", "GATEWAY_REJECTED", "FAILED"})

_KEY: Final = re.compile(r"api[ _-]?request[ _-]?key", re.IGNORECASE)
_NOT_TAKEN: Final = re.compile(r"not (?:been )?defined|undefined|unknown field|field not in", re.IGNORECASE)
_RUNNING: Final = re.compile(r"progress|in[ -]flight|being processed|still|concurrent", re.IGNORECASE)
_CURRENCY: Final = re.compile(r"[A-Z]{3}")
_PRECEDENCE: Final[tuple[codes.ErrorVerdict, ...]] = ("UNKNOWN", "CONFIG", "NOT_SENT")


def json_object(body: bytes) -> dict[str, Any]:
    """Empty for what is no JSON object."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}


def fields(said: Any) -> dict[str, Any]:
    return said if isinstance(said, dict) else {}


def errors(body: Mapping[str, Any]) -> list[dict[str, Any]]:
    """As many as there are; one that cannot be read is an empty one, which says nothing of what was done."""
    said = body.get("errors")
    if said is None:
        return []
    return [fields(error) for error in said] if isinstance(said, list) else [{}]


def refused(call: Call, body: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    """Of an answer to the call itself that holds errors, and nothing that was done."""
    said = errors(body)
    if answer.status >= 500 or answer.status == 408 or 300 <= answer.status < 400:
        return unknown(answer, body, f"http_{answer.status}", hint=hint_of_status(answer.status))
    for error in said:
        if _names_the_key(error):
            return _about_the_key(error, answer, body)
    verdicts = [codes.of_error(_error_class(error)) for error in said]
    worst = min((verdict for verdict, _ in verdicts), key=_PRECEDENCE.index)
    error = next(error for error, (verdict, _) in zip(said, verdicts, strict=True) if verdict == worst)
    code = _legacy_code(error) or _error_class(error) or "error_without_a_class"
    if worst == "UNKNOWN":
        unlisted = not all(listed for _, listed in verdicts)
        return unknown(answer, body, code, unlisted=unlisted)
    if worst == "CONFIG":
        return not_sent(answer, body, code, "CONFIG")
    legacy = {_legacy_code(error) for error in said}
    if call.kind not in {"authorize", "sale"} and legacy & codes.MAY_BE_DONE:
        return unknown(answer, body, code, repeat_is_useless=True)
    if call.kind == "refund" and legacy & codes.NOT_SETTLED_YET:
        return not_sent(answer, body, "not_settled_yet")
    return not_sent(answer, body, code, "REFRESH_TOKEN" if legacy & codes.TOKEN_IS_SPENT else None)


def _names_the_key(error: Mapping[str, Any]) -> bool:
    if _error_class(error) != "VALIDATION":
        return False
    path = fields(error.get("extensions")).get("inputPath")
    words = [error.get("message"), *(path if isinstance(path, list) else [])]
    return any(isinstance(word, str) and _KEY.search(word) for word in words)


def _about_the_key(error: Mapping[str, Any], answer: HttpAnswer, body: Mapping[str, Any]) -> Outcome:
    message = error.get("message")
    words = message if isinstance(message, str) else ""
    if _NOT_TAKEN.search(words):
        return not_sent(answer, body, "api_request_key_not_taken", "CONFIG")
    if _RUNNING.search(words):
        return unknown(answer, body, "api_request_key_in_use")
    return unknown(answer, body, "api_request_key_reused", repeat_is_useless=True)


def is_config(body: Mapping[str, Any]) -> bool:
    return any(codes.of_error(_error_class(error))[0] == "CONFIG" for error in errors(body))


def declined(
    said: Mapping[str, Any], answer: HttpAnswer, body: Mapping[str, Any], *, source: Source, **known: Any
) -> Outcome:
    """Of a transaction or a refund in one of the states `REFUSED`; `known` are more fields of the outcome."""
    status, event = said["status"], _event(said)
    response = fields(event.get("processorResponse"))
    processor = scrubbed.code(response.get("legacyCode"))
    if status == "GATEWAY_REJECTED":
        reason = scrubbed.code(event.get("gatewayRejectionReason"))
        meaning, code = codes.of_rejection(reason), reason or "gateway_rejected"
    elif status == "FAILED":
        meaning, code = codes.Meaning("SOFT"), processor or "failed"
    else:
        kind = event.get("declineType")
        meaning = codes.of_processor(processor, kind if isinstance(kind, str) else None)
        code = processor or "processor_declined"
    about = "; ".join(filter(None, [status_text("payment", said), scrubbed.text(response.get("message"))]))
    if meaning.verdict == "APPROVED":
        return unknown(answer, body, "contradictory_answer", about=about, repeat_is_useless=True, **known)
    if meaning.verdict == "DUPLICATE":
        # Without the id of the refused one the look-up goes by our reference, which finds the one before it, too.
        return unknown(
            answer,
            body,
            code,
            about=about,
            repeat_is_useless=True,
            **(known | {"psp_id": _earlier(said, event)}),
        )
    if source == "call" and meaning.verdict == "CONFIG":
        return Outcome(kind="NOT_SENT", code=code, detail=detail(answer, body, about), hint="CONFIG", **known)
    return Outcome(
        kind="DECLINED_HARD" if meaning.verdict == "HARD" else "DECLINED_SOFT",
        code=code,
        detail=detail(answer, body, about),
        hint=meaning.hint,
        unlisted=meaning.unlisted,
        **known,
    )


def _event(said: Mapping[str, Any]) -> dict[str, Any]:
    """How it came into its state: the newest entry that names it."""
    history = said.get("statusHistory")
    events = [fields(event) for event in history] if isinstance(history, list) else []
    return next((event for event in events if event.get("status") == said.get("status")), {})


def _earlier(said: Mapping[str, Any], event: Mapping[str, Any]) -> str | None:
    earlier = fields(event.get("duplicateOf"))
    ours = earlier.get("orderId") == said.get("orderId")
    return earlier["id"] if ours and is_id(earlier.get("id")) else None


def not_sent(
    answer: HttpAnswer, body: Mapping[str, Any], code: str, hint: codes.Hint | None = None
) -> Outcome:
    return Outcome(kind="NOT_SENT", code=code, detail=detail(answer, body), hint=hint)


def unknown(
    answer: HttpAnswer, body: Mapping[str, Any], code: str, *, about: str | None = None, **known: Any
) -> Outcome:
    """`about`: what goes before Braintree's words; `known`: more fields of the outcome."""
    return Outcome(kind="UNKNOWN", code=code, detail=detail(answer, body, about), **known)


def unreadable(answer: HttpAnswer, body: Mapping[str, Any]) -> Outcome:
    code = "unreadable_answer" if answer.status == 200 else f"http_{answer.status}"
    return unknown(answer, body, code, hint=hint_of_status(answer.status))


def of_another(answer: HttpAnswer, body: Mapping[str, Any], psp_id: str) -> Outcome:
    """The id stands in the detail only: a look-up by it would find the other one for ever."""
    about = f"{psp_id} belongs to another reference"
    return unknown(answer, body, "reference_mismatch", about=about, repeat_is_useless=True)


def hint_of_status(status: int) -> codes.Hint | None:
    return "CONFIG" if 300 <= status < 400 or status in {401, 403} else None


def is_id(said: Any) -> TypeGuard[str]:
    """Braintree's ids are base64, as far as one may look into them."""
    if not isinstance(said, str):
        return False
    return (
        scrubbed.identifier(said.rstrip("=").replace("+", "-").replace("/", "_")) is not None
        and len(said) <= 255
    )


def asked_wire(call: Call) -> str | None:
    """None where it cannot have been sent."""
    try:
        return amounts.to_wire(call.amount_minor, call.currency)
    except amounts.NotExpressible:
        return None


def mismatch(call: Call, amount: Any) -> str | None:
    """What is wrong with a `MonetaryAmount` that has to be the call's."""
    said = fields(amount)
    if said.get("currencyCode") != call.currency:
        return "currency_mismatch"
    minor = amounts.from_wire(said.get("value"), call.currency)
    return None if minor is not None and minor == call.amount_minor else "amount_mismatch"


def authorized_amount(said: Mapping[str, Any]) -> Any:
    """What was held before a part of it was captured."""
    history = said.get("statusHistory")
    events = [fields(event) for event in history] if isinstance(history, list) else []
    return next((event.get("amount") for event in events if event.get("status") == "AUTHORIZED"), None)


def money(amount: Any) -> dict[str, Any]:
    """What Braintree names, as fields of an outcome."""
    currency = fields(amount).get("currencyCode")
    if not isinstance(currency, str) or not _CURRENCY.fullmatch(currency):
        return {}
    return {"currency": currency, "amount_minor": amounts.from_wire(amount.get("value"), currency)}


def status_text(what: str, said: Mapping[str, Any]) -> str:
    return f"the {what}'s status is {scrubbed.code(said.get('status')) or 'not readable'}"


def detail(answer: HttpAnswer, body: Mapping[str, Any], about: str | None = None) -> str | None:
    """Braintree's words, with the id under which its support finds the call."""
    error = next(iter(errors(body)), {})
    parts = [
        about,
        _error_class(error),
        _legacy_code(error),
        scrubbed.text(error.get("message")),
        f"HTTP {answer.status}",
        scrubbed.identifier(fields(body.get("extensions")).get("requestId")),
    ]
    return scrubbed.text(", ".join(part for part in parts if part))


def _error_class(error: Mapping[str, Any]) -> str | None:
    return scrubbed.code(fields(error.get("extensions")).get("errorClass"))


def _legacy_code(error: Mapping[str, Any]) -> str | None:
    return scrubbed.code(fields(error.get("extensions")).get("legacyCode"))
