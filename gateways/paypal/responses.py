"""Reads what all of PayPal's responses have in common. Nothing raises; what a response does not plainly
state is UNKNOWN."""

from collections.abc import Mapping
from typing import Any, Final, Literal

from commands.messages import Outcome
from gateways.contract import Call, HttpResponse
from gateways.paypal import amounts, codes, names
from gateways.wire import redaction
from gateways.wire.json import object_of
from gateways.wire.outcomes import DetailedOutcomes, hint_of_status

Source = Literal["call", "query", "webhook"]
LAST_STEP: Final = "4"


def detail(response: HttpResponse, body: Mapping[str, Any]) -> str | None:
    """PayPal's words, with the debug id under which its support finds the call."""
    first = _first(body)
    return redaction.joined(
        ", ",
        _code(body),
        redaction.text(first.get("field")),
        redaction.text(first.get("description") or body.get("message") or body.get("error_description")),
        f"HTTP {response.status}",
        _debug(body, response),
    )


_OUTCOMES: Final = DetailedOutcomes(detail)
unknown, of_another, _not_sent = _OUTCOMES.unknown, _OUTCOMES.of_another, _OUTCOMES.not_sent


def refused(call: Call, body: Mapping[str, Any], response: HttpResponse) -> Outcome:
    """The outcome of any response that is no success. Source: developer.paypal.com/api/rest/responses, and
    the errors in the OpenAPI of each call."""
    code = _code(body)
    if code is None:
        # Not PayPal's own words: whatever stands in between may have passed the call on.
        return unknown(response, f"http_{response.status}", hint=hint_of_status(response.status))
    if code == codes.KEY_USED and 400 <= response.status < 500:
        return unknown(response, code, body, repeat_is_useless=True)
    match response.status:
        case 400:
            return _not_sent(response, code, body)
        case 403 if code == codes.CONSENT_NEEDED and _taking(call):
            return payer_has_to_act(call, body, response, code)
        case 401 | 403:
            return _not_sent(response, code, body, hint="CONFIG")
        case 404:
            # An order is forgotten when its payer does not come; what was authorized or captured is not.
            return _not_sent(response, code, body, hint=None if _taking(call) else "CONFIG")
        case 422:
            return _unfit(call, code, body, response)
        case 429:
            return _not_sent(response, "rate_limited", body)
        case status:
            return unknown(response, code, body, hint=hint_of_status(status))


def _unfit(call: Call, code: str, body: Mapping[str, Any], response: HttpResponse) -> Outcome:
    meaning = codes.of_issue(code)
    match meaning.verdict:
        case "SOFT" | "HARD":
            kind: Any = f"DECLINED_{meaning.verdict}"
            return Outcome(kind=kind, code=code, detail=detail(response, body), hint=meaning.hint)
        case "ACTION" if _taking(call):
            return payer_has_to_act(call, body, response, code)
        case "PENDING":
            return Outcome(kind="PENDING", code=code, detail=detail(response, body))
        case "DUPLICATE":
            return unknown(response, code, body, repeat_is_useless=True)
        case _:
            return _not_sent(response, code, body, hint=meaning.hint, unlisted=not meaning.listed)


def payer_has_to_act(call: Call, body: Mapping[str, Any], response: HttpResponse, code: str) -> Outcome:
    """ACTION_REQUIRED: nothing was taken. Whether the payer has agreed is queried when they are back, which
    they may be without it: the order then shows it, and the payer is sent there again."""
    words = detail(response, body)
    if call.step == LAST_STEP:
        return Outcome(kind="DECLINED_SOFT", code=code, detail=words)
    known = names.read(call.psp_id)
    return Outcome(
        kind="ACTION_REQUIRED",
        psp_id=None if known is None else names.inside(known.order, "waiting", call.step),
        code=code,
        detail=words,
        action_url=None if known is None else page(body, known.order),
    )


def next_step(call: Call) -> Any:
    """The step after the call's. None: it is the last."""
    return {"1": "2", "2": "3", "3": "4"}.get(call.step)


def page(shown: Mapping[str, Any], order_id: str) -> str | None:
    """The address of the page on which the payer agrees. None: the order has none."""
    links = shown.get("links")
    for rel in ("payer-action", "approve"):
        for link in links if isinstance(links, list) else []:
            if isinstance(link, dict) and link.get("rel") == rel:
                return names.page(link.get("href"), order_id)
    return None


def not_found_out(body: Mapping[str, Any], response: HttpResponse) -> Outcome:
    """UNKNOWN, for a lookup with any status but 200."""
    code = "psp_id_not_found" if response.status == 404 else f"http_{response.status}"
    return unknown(response, code, body, hint=hint_of_status(response.status))


def declined(payment: Mapping[str, Any], response: HttpResponse, *, source: Source, **known: Any) -> Outcome:
    """The outcome that the processor's codes mean. `payment`: an authorization or a capture; `known`: more
    fields of the outcome."""
    processor = object_of(payment.get("processor_response"))
    code = redaction.code(processor.get("response_code"))
    meaning = codes.of_processor(code, redaction.code(processor.get("payment_advice_code")))
    fields: dict[str, Any] = {
        "code": code or reason(payment) or "declined",
        "detail": status_text(payment, response),
        "hint": meaning.hint,
        # The processor's own codes, of four characters, in place of the scheme's; the advice is the scheme's.
        "issuer_code": redaction.issuer_code(code),
        "issuer_advice": redaction.issuer_code(processor.get("payment_advice_code")),
    }
    if source == "call" and meaning.verdict == "DUPLICATE":
        return Outcome(kind="UNKNOWN", repeat_is_useless=True, **fields)
    if source == "call" and meaning.verdict == "CONFIG":
        return Outcome(kind="NOT_SENT", **fields)
    # A lookup ends both: it has found that this was refused.
    soft = meaning.verdict == "SOFT"
    return Outcome(
        kind="DECLINED_SOFT" if soft else "DECLINED_HARD", unlisted=not meaning.listed, **fields, **known
    )


def unlisted_status(payment: Mapping[str, Any], response: HttpResponse, **known: Any) -> Outcome:
    """UNKNOWN, for a status that no table has. A repeat gives the latest state, as a lookup does."""
    code = redaction.code(payment.get("status")) or "unreadable_response"
    about = status_text(payment, response)
    return unknown(response, code, about=about, unlisted=code != "unreadable_response", **known)


def mismatch(call: Call, money: Any) -> str | None:
    """Returns the code for an amount of PayPal's that is not the call's. None: it is the call's."""
    moved = amounts.from_wire(money)
    if moved is None:
        return "amount_unreadable"
    if moved[1] != call.currency:
        return "currency_mismatch"
    return None if moved[0] == call.amount_minor else "amount_mismatch"


def money(value: Any) -> dict[str, Any]:
    """The amount and the currency that PayPal states, as fields of an outcome. Empty: they cannot be read."""
    read = amounts.from_wire(value)
    return {} if read is None else {"amount_minor": read[0], "currency": read[1]}


def reference(entity: Mapping[str, Any]) -> str | None:
    """The id of the operation that an object was made for. A capture has the authorization's `custom_id`."""
    for name in ("invoice_id", "custom_id"):
        if isinstance(known := entity.get(name), str) and known:
            return known
    return None


def only_unit(order: Mapping[str, Any]) -> dict[str, Any] | None:
    """The one purchase unit of an order. None: it has none, or several."""
    units = order.get("purchase_units")
    if not isinstance(units, list) or len(units) != 1 or not isinstance(units[0], dict):
        return None
    return units[0]


def payments(unit: Mapping[str, Any], part: names.Part) -> list[dict[str, Any]] | None:
    """The payments of one kind in a purchase unit. None: they cannot be read."""
    collection = unit.get("payments", {})
    rows = collection.get(part, []) if isinstance(collection, dict) else None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        return None
    return rows


def related(entity: Mapping[str, Any], name: str) -> Any:
    """An id that PayPal names beside an object: of its order, its authorization or its capture."""
    return object_of(object_of(entity.get("supplementary_data")).get("related_ids")).get(name)


def was_captured(capture: Mapping[str, Any]) -> bool:
    """True for a capture that took the money, also where the money has gone back since: by a refund, or to a
    payer who disputes it."""
    status = capture.get("status")
    if status in ("COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"):
        return True
    # PayPal documents these reasons for a capture that is then PENDING or DENIED.
    gone = reason(capture) in {"BUYER_COMPLAINT", "CHARGEBACK", "REFUNDED"}
    return gone and status in ("PENDING", "DENIED", "DECLINED")


def reason(entity: Mapping[str, Any]) -> str | None:
    """The reason of an object's status. None: it has none."""
    return redaction.code(object_of(entity.get("status_details")).get("reason"))


def status_text(entity: Mapping[str, Any], response: HttpResponse) -> str | None:
    """The status of an object and its reason, as a phrase for the detail."""
    status = redaction.code(entity.get("status")) or "not readable"
    return redaction.joined(", ", f"the status is {status}", reason(entity), _debug({}, response))


def _debug(body: Mapping[str, Any], response: HttpResponse) -> str | None:
    return redaction.identifier(body.get("debug_id")) or redaction.identifier(
        response.headers.get("paypal-debug-id")
    )


def _code(body: Mapping[str, Any]) -> str | None:
    """PayPal's issue, or the name of its error. None: it is no error of PayPal's."""
    values = _first(body).get("issue"), body.get("name"), body.get("error")
    return next(filter(None, map(redaction.code, values)), None)


def _first(body: Mapping[str, Any]) -> dict[str, Any]:
    details = body.get("details")
    return details[0] if isinstance(details, list) and details and isinstance(details[0], dict) else {}


def _taking(call: Call) -> bool:
    return call.is_charge_attempt
