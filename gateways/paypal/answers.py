"""What all of PayPal's answers have in common. Nothing in an answer raises; what is not plainly said is UNKNOWN."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final, Literal

import orjson

from commands.messages import Outcome
from gateways import scrubbed
from gateways.contract import Call, HttpAnswer
from gateways.paypal import amounts, codes, names

Source = Literal["call", "query", "webhook"]
LAST_STEP: Final = "4"


def refused(call: Call, body: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    """Of any answer that is no success."""
    code = _code(body)
    if code is None:
        # Not PayPal's own words: whatever stands in between may have passed the call on.
        return unknown(answer, f"http_{answer.status}", hint=hint_of_status(answer.status))
    if code == codes.KEY_USED and 400 <= answer.status < 500:
        return unknown(answer, code, body, repeat_is_useless=True)
    match answer.status:
        case 400:
            return _not_sent(answer, code, body)
        case 403 if code == codes.CONSENT_NEEDED and _taking(call):
            return payer_has_to_act(call, body, answer, code)
        case 401 | 403:
            return _not_sent(answer, code, body, hint="CONFIG")
        case 404:
            # An order is forgotten when its payer does not come; what was authorized or captured is not.
            return _not_sent(answer, code, body, hint=None if _taking(call) else "CONFIG")
        case 422:
            return _unfit(call, code, body, answer)
        case 429:
            return _not_sent(answer, "rate_limited", body)
        case status:
            return unknown(answer, code, body, hint=hint_of_status(status))


def _unfit(call: Call, code: str, body: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    meaning = codes.of_issue(code)
    match meaning.verdict:
        case "SOFT" | "HARD":
            kind: Any = f"DECLINED_{meaning.verdict}"
            return Outcome(kind=kind, code=code, detail=detail(answer, body), hint=meaning.hint)
        case "ACTION" if _taking(call):
            return payer_has_to_act(call, body, answer, code)
        case "PENDING":
            return Outcome(kind="PENDING", code=code, detail=detail(answer, body))
        case "DUPLICATE":
            return unknown(answer, code, body, repeat_is_useless=True)
        case _:
            return _not_sent(answer, code, body, hint=meaning.hint, unlisted=not meaning.listed)


def payer_has_to_act(call: Call, body: Mapping[str, Any], answer: HttpAnswer, code: str) -> Outcome:
    """Nothing was taken. Whether the payer has agreed is asked for when they are back, which they may be without it:
    the order then says so, and is asked again."""
    said = detail(answer, body)
    if call.step == LAST_STEP:
        return Outcome(kind="DECLINED_SOFT", code=code, detail=said)
    known = names.read(call.psp_id)
    return Outcome(
        kind="ACTION_REQUIRED",
        psp_id=None if known is None else names.inside(known.order, "waiting", call.step),
        code=code,
        detail=said,
        action_url=None if known is None else page(body, known.order),
    )


def next_step(call: Call) -> Any:
    return {"1": "2", "2": "3", "3": "4"}.get(call.step)


def page(said: Mapping[str, Any], order_id: str) -> str | None:
    """Where the payer agrees."""
    links = said.get("links")
    for rel in ("payer-action", "approve"):
        for link in links if isinstance(links, list) else []:
            if isinstance(link, dict) and link.get("rel") == rel:
                return names.page(link.get("href"), order_id)
    return None


def not_found_out(body: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    """Of a look-up that was answered with anything but 200."""
    code = "psp_id_not_found" if answer.status == 404 else f"http_{answer.status}"
    return unknown(answer, code, body, hint=hint_of_status(answer.status))


def declined(payment: Mapping[str, Any], answer: HttpAnswer, *, source: Source, **known: Any) -> Outcome:
    """`payment`: an authorization or a capture; `known` are more fields of the outcome."""
    said = payment.get("processor_response")
    processor = said if isinstance(said, dict) else {}
    code = scrubbed.code(processor.get("response_code"))
    meaning = codes.of_processor(code, scrubbed.code(processor.get("payment_advice_code")))
    fields: dict[str, Any] = {
        "code": code or reason(payment) or "declined",
        "detail": status_text(payment, answer),
        "hint": meaning.hint,
    }
    if source == "call" and meaning.verdict == "DUPLICATE":
        return Outcome(kind="UNKNOWN", repeat_is_useless=True, **fields)
    if source == "call" and meaning.verdict == "CONFIG":
        return Outcome(kind="NOT_SENT", **fields)
    # A look-up is where both end: it has found that this was refused.
    soft = meaning.verdict == "SOFT"
    return Outcome(
        kind="DECLINED_SOFT" if soft else "DECLINED_HARD", unlisted=not meaning.listed, **fields, **known
    )


def unknown(
    answer: HttpAnswer,
    code: str,
    body: Mapping[str, Any] | None = None,
    *,
    about: str | None = None,
    hint: codes.Hint | None = None,
    **known: Any,
) -> Outcome:
    """`about`: what goes before PayPal's words; `known`: more fields of the outcome."""
    said = detail(answer, body or {})
    text = scrubbed.text("; ".join(part for part in (about, said) if part))
    return Outcome(kind="UNKNOWN", code=code, detail=text, hint=hint, **known)


def unlisted_status(payment: Mapping[str, Any], answer: HttpAnswer, **known: Any) -> Outcome:
    """A repeat gives the latest state, as a look-up does."""
    code = scrubbed.code(payment.get("status")) or "unreadable_answer"
    about = status_text(payment, answer)
    return unknown(answer, code, about=about, unlisted=code != "unreadable_answer", **known)


def of_another(answer: HttpAnswer, what: str) -> Outcome:
    return unknown(
        answer, "reference_mismatch", about=f"the {what} belongs to another reference", repeat_is_useless=True
    )


def mismatch(call: Call, money: Any) -> str | None:
    """Of what PayPal says was moved, with what was asked for."""
    said = amounts.from_wire(money)
    if said is None:
        return "amount_unreadable"
    if said[1] != call.currency:
        return "currency_mismatch"
    return None if said[0] == call.amount_minor else "amount_mismatch"


def money(said: Any) -> dict[str, Any]:
    """What PayPal names, as fields of an outcome."""
    read = amounts.from_wire(said)
    return {} if read is None else {"amount_minor": read[0], "currency": read[1]}


def reference(said: Mapping[str, Any]) -> str | None:
    """The id of the operation that it was done for. A capture has the authorization's `custom_id`."""
    for name in ("invoice_id", "custom_id"):
        if isinstance(known := said.get(name), str) and known:
            return known
    return None


def only_unit(order: Mapping[str, Any]) -> dict[str, Any] | None:
    units = order.get("purchase_units")
    if not isinstance(units, list) or len(units) != 1 or not isinstance(units[0], dict):
        return None
    return units[0]


def payments(unit: Mapping[str, Any], part: names.Part) -> list[dict[str, Any]] | None:
    """Of a purchase unit; None where they cannot be read."""
    collection = unit.get("payments", {})
    rows = collection.get(part, []) if isinstance(collection, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return None
    return rows


def related(said: Mapping[str, Any], name: str) -> Any:
    """An id that PayPal names beside an object: of its order, its authorization or its capture."""
    data = said.get("supplementary_data")
    ids = data.get("related_ids") if isinstance(data, dict) else None
    return ids.get(name) if isinstance(ids, dict) else None


def moment(said: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(said)
    except (TypeError, ValueError):
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=UTC)


def reason(said: Mapping[str, Any]) -> str | None:
    details = said.get("status_details")
    return scrubbed.code(details.get("reason")) if isinstance(details, dict) else None


def status_text(said: Mapping[str, Any], answer: HttpAnswer) -> str | None:
    status = scrubbed.code(said.get("status")) or "not readable"
    return scrubbed.text(
        ", ".join(filter(None, [f"the status is {status}", reason(said), _debug({}, answer)]))
    )


def json_object(body: bytes) -> dict[str, Any]:
    """Empty for what is no JSON object."""
    try:
        content = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return content if isinstance(content, dict) else {}


def hint_of_status(status: int) -> codes.Hint | None:
    return "CONFIG" if 300 <= status < 400 or status in {401, 403} else None


def detail(answer: HttpAnswer, body: Mapping[str, Any]) -> str | None:
    """PayPal's words, with the id under which its support finds the call."""
    first = _first(body)
    parts = [
        _code(body),
        scrubbed.text(first.get("field")),
        scrubbed.text(first.get("description") or body.get("message") or body.get("error_description")),
        f"HTTP {answer.status}",
        _debug(body, answer),
    ]
    return scrubbed.text(", ".join(part for part in parts if part))


def _debug(body: Mapping[str, Any], answer: HttpAnswer) -> str | None:
    return scrubbed.identifier(body.get("debug_id")) or scrubbed.identifier(
        answer.headers.get("paypal-debug-id")
    )


def _code(body: Mapping[str, Any]) -> str | None:
    said = _first(body).get("issue"), body.get("name"), body.get("error")
    return next(filter(None, map(scrubbed.code, said)), None)


def _first(body: Mapping[str, Any]) -> dict[str, Any]:
    details = body.get("details")
    return details[0] if isinstance(details, list) and details and isinstance(details[0], dict) else {}


def _taking(call: Call) -> bool:
    return call.kind in {"authorize", "sale"}


def _not_sent(
    answer: HttpAnswer,
    code: str,
    body: Mapping[str, Any],
    *,
    hint: codes.Hint | None = None,
    unlisted: bool = False,
) -> Outcome:
    return Outcome(kind="NOT_SENT", code=code, detail=detail(answer, body), hint=hint, unlisted=unlisted)
