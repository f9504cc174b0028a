"""Reads captures, voids and refunds: as an authorization, a capture or a refund shows them.

Invariant: APPROVED only for our reference, amount and currency, of the order and the object that was acted
on. An order that is read shows all that was done with it, but not what is still being done.
"""

from collections.abc import Mapping
from typing import Any, Final

from commands.messages import Outcome
from gateways.contract import Call, HttpResponse
from gateways.paypal import amounts, codes, names, responses

_TARGETS: Final = {"capture": "authorizations", "void": "authorizations", "refund": "captures"}


def target(call: Call) -> names.Name | None:
    """The name of what the call acts on. None: it is not known, or of another kind."""
    known = names.read(call.target_psp_id)
    return known if known is not None and known.part == _TARGETS[call.kind] else None


def read_response(call: Call, body: Mapping[str, Any], response: HttpResponse) -> Outcome:
    """The outcome in the object that a capture, void or refund returned. A void without a body (204) is
    done."""
    known = target(call)
    if known is None:
        return responses.unknown(response, "target_unknown")
    match call.kind:
        case "capture":
            return _of_capture(call, known, body, response, source="call")
        case "refund":
            return _of_refund(call, known, body, response)
        case _:
            return _released(call) if response.status == 204 else _of_voided(call, known, body, response)


def refused(call: Call, body: Mapping[str, Any], response: HttpResponse) -> Outcome:
    """The outcome of an error. A void that was done before is APPROVED."""
    outcome = responses.refused(call, body, response)
    voided = response.status == 422 and outcome.code == codes.VOIDED_BEFORE
    return _released(call) if call.kind == "void" and voided else outcome


def looked_up(call: Call, order: Mapping[str, Any], response: HttpResponse) -> Outcome | None:
    """The outcome in the order of the target. None: the call was not executed so far."""
    known, unit = target(call), responses.only_unit(order)
    if known is None:
        return responses.unknown(response, "target_unknown")
    if unit is None:
        return responses.unknown(response, "unreadable_response")
    if order.get("id") != known.order:
        return responses.unknown(response, "psp_id_mismatch", repeat_is_useless=True)
    if call.kind == "void":
        return _void(call, known, unit, response)
    rows = responses.payments(unit, "captures" if call.kind == "capture" else "refunds")
    if rows is None:
        return responses.unknown(response, "unreadable_response")
    ours = [row for row in rows if responses.reference(row) == call.reference]
    if len(ours) > 1:
        return responses.unknown(response, "found_twice", repeat_is_useless=True)
    if not ours:
        return None
    if call.kind == "capture":
        return _of_capture(call, known, ours[0], response, source="query")
    return _of_refund(call, known, ours[0], response)


def _of_capture(
    call: Call,
    of: names.Name,
    capture: Mapping[str, Any],
    response: HttpResponse,
    *,
    source: responses.Source,
) -> Outcome:
    known = _known(call, of, "captures", capture, response)
    if isinstance(known, Outcome):
        return known
    if responses.related(capture, "authorization_id") not in (None, of.id):
        return responses.unknown(response, "target_mismatch", repeat_is_useless=True)
    match capture.get("status"):
        case _ if responses.was_captured(capture):
            return Outcome(kind="APPROVED", **known)
        case "PENDING":
            return Outcome(kind="PENDING", code=responses.reason(capture) or "PENDING", **known)
        case "DECLINED" | "FAILED":
            return responses.declined(capture, response, source=source, **known)
        case _:
            return responses.unlisted_status(capture, response, **known)


def _of_refund(call: Call, of: names.Name, refund: Mapping[str, Any], response: HttpResponse) -> Outcome:
    known = _known(call, of, "refunds", refund, response)
    if isinstance(known, Outcome):
        return known
    if responses.related(refund, "capture_id") not in (None, of.id):
        return responses.unknown(response, "target_mismatch", repeat_is_useless=True)
    match refund.get("status"):
        case "COMPLETED":
            return Outcome(kind="APPROVED", **known)
        case "PENDING":
            return Outcome(kind="PENDING", code=responses.reason(refund) or "PENDING", **known)
        case "FAILED" | "CANCELLED" as status:
            words = responses.status_text(refund, response)
            return Outcome(
                kind="DECLINED_HARD", code=responses.reason(refund) or status, detail=words, **known
            )
        case _:
            return responses.unlisted_status(refund, response, **known)


def _known(
    call: Call, of: names.Name, part: names.Part, payment: Mapping[str, Any], response: HttpResponse
) -> dict[str, Any] | Outcome:
    """The fields of an outcome for an object that is plainly ours; UNKNOWN for another."""
    payment_id = names.identifier(payment.get("id"))
    if payment_id is None:
        return responses.unknown(response, "unreadable_response")
    if responses.reference(payment) != call.reference:
        return responses.of_another(response, f"the {part[:-1]}")
    known = {**names.known(of.order, part, payment_id), **responses.money(payment.get("amount"))}
    if (code := responses.mismatch(call, payment.get("amount"))) is not None:
        return responses.unknown(response, code, repeat_is_useless=True, **known)
    return known


def _of_voided(
    call: Call, of: names.Name, authorization: Mapping[str, Any], response: HttpResponse
) -> Outcome:
    if names.identifier(authorization.get("id")) is None:
        return responses.unknown(response, "unreadable_response")
    if authorization.get("id") != of.id:
        return responses.unknown(response, "psp_id_mismatch", repeat_is_useless=True)
    if authorization.get("status") != "VOIDED":
        return responses.unlisted_status(authorization, response, repeat_is_useless=True)
    held = amounts.from_wire(authorization.get("amount"))
    if held is None or held[1] != call.currency or held[0] < call.amount_minor:
        return responses.unknown(response, "amount_mismatch", repeat_is_useless=True)
    return _released(call)


def _void(call: Call, of: names.Name, unit: Mapping[str, Any], response: HttpResponse) -> Outcome | None:
    rows, captures = responses.payments(unit, "authorizations"), responses.payments(unit, "captures")
    found = [row for row in rows or [] if row.get("id") == of.id]
    if len(found) != 1 or captures is None:
        return responses.unknown(response, "psp_id_mismatch" if rows else "unreadable_response")
    status = found[0].get("status")
    if status in ("CREATED", "PENDING", "PARTIALLY_CAPTURED", "CAPTURED"):
        return None
    if status != "VOIDED":
        return responses.unlisted_status(found[0], response)
    moved = [found[0], *(row for row in captures if row.get("status") not in ("DECLINED", "FAILED"))]
    sums = [amounts.from_wire(row.get("amount")) for row in moved]
    held, *taken = [None if amount is None or amount[1] != call.currency else amount[0] for amount in sums]
    if held is None or None in taken or held - sum(filter(None, taken)) != call.amount_minor:
        return responses.unknown(response, "amount_mismatch")
    return _released(call)


def _released(call: Call) -> Outcome:
    return Outcome(kind="APPROVED", amount_minor=call.amount_minor, currency=call.currency)
