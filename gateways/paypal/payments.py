"""Captures, voids and refunds: what an authorization, a capture or a refund says of them.

Invariant: APPROVED only for our reference, amount and currency, of the order and the object that was acted on. Reading
an order shows all that was done with it, but not what is still being done.
"""

from collections.abc import Mapping
from typing import Any, Final

from commands.messages import Outcome
from gateways.contract import Call, HttpAnswer
from gateways.paypal import amounts, answers, codes, names

_CAPTURED: Final = frozenset({"COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"})
_TARGETS: Final = {"capture": "authorizations", "void": "authorizations", "refund": "captures"}


def target(call: Call) -> names.Name | None:
    """With its id; None where it is not known, or of another kind."""
    known = names.read(call.target_psp_id)
    return known if known is not None and known.part == _TARGETS[call.kind] else None


def answered(call: Call, body: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    known = target(call)
    if known is None:
        return answers.unknown(answer, "target_unknown")
    match call.kind:
        case "capture":
            return _of_capture(call, known, body, answer, source="call")
        case "refund":
            return _of_refund(call, known, body, answer)
        case _:
            return _released(call) if answer.status == 204 else _of_voided(call, known, body, answer)


def refused(call: Call, body: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    outcome = answers.refused(call, body, answer)
    voided = answer.status == 422 and outcome.code == codes.VOIDED_BEFORE
    return _released(call) if call.kind == "void" and voided else outcome


def looked_up(call: Call, order: Mapping[str, Any], answer: HttpAnswer) -> Outcome | None:
    """None: it was not executed so far."""
    known, unit = target(call), answers.only_unit(order)
    if known is None:
        return answers.unknown(answer, "target_unknown")
    if unit is None:
        return answers.unknown(answer, "unreadable_answer")
    if order.get("id") != known.order:
        return answers.unknown(answer, "psp_id_mismatch", repeat_is_useless=True)
    if call.kind == "void":
        return _void(call, known, unit, answer)
    rows = answers.payments(unit, "captures" if call.kind == "capture" else "refunds")
    if rows is None:
        return answers.unknown(answer, "unreadable_answer")
    ours = [row for row in rows if answers.reference(row) == call.reference]
    if len(ours) > 1:
        return answers.unknown(answer, "found_twice", repeat_is_useless=True)
    if not ours:
        return None
    if call.kind == "capture":
        return _of_capture(call, known, ours[0], answer, source="query")
    return _of_refund(call, known, ours[0], answer)


def _of_capture(
    call: Call, of: names.Name, capture: Mapping[str, Any], answer: HttpAnswer, *, source: answers.Source
) -> Outcome:
    known = _known(call, of, "captures", capture, answer)
    if isinstance(known, Outcome):
        return known
    if answers.related(capture, "authorization_id") not in (None, of.id):
        return answers.unknown(answer, "target_mismatch", repeat_is_useless=True)
    match capture.get("status"):
        case str(status) if status in _CAPTURED:
            return Outcome(kind="APPROVED", **known)
        case "PENDING":
            return Outcome(kind="PENDING", code=answers.reason(capture) or "PENDING", **known)
        case "DECLINED" | "FAILED":
            return answers.declined(capture, answer, source=source, **known)
        case _:
            return answers.unlisted_status(capture, answer, **known)


def _of_refund(call: Call, of: names.Name, refund: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    known = _known(call, of, "refunds", refund, answer)
    if isinstance(known, Outcome):
        return known
    if answers.related(refund, "capture_id") not in (None, of.id):
        return answers.unknown(answer, "target_mismatch", repeat_is_useless=True)
    match refund.get("status"):
        case "COMPLETED":
            return Outcome(kind="APPROVED", **known)
        case "PENDING":
            return Outcome(kind="PENDING", code=answers.reason(refund) or "PENDING", **known)
        case "FAILED" | "CANCELLED" as status:
            said = answers.status_text(refund, answer)
            return Outcome(kind="DECLINED_HARD", code=answers.reason(refund) or status, detail=said, **known)
        case _:
            return answers.unlisted_status(refund, answer, **known)


def _known(
    call: Call, of: names.Name, part: names.Part, payment: Mapping[str, Any], answer: HttpAnswer
) -> dict[str, Any] | Outcome:
    """What is plainly ours, as fields of an outcome; UNKNOWN where it is not."""
    payment_id = names.identifier(payment.get("id"))
    if payment_id is None:
        return answers.unknown(answer, "unreadable_answer")
    if answers.reference(payment) != call.reference:
        return answers.of_another(answer, part[:-1])
    known = {"psp_id": names.inside(of.order, part, payment_id), **answers.money(payment.get("amount"))}
    if (code := answers.mismatch(call, payment.get("amount"))) is not None:
        return answers.unknown(answer, code, repeat_is_useless=True, **known)
    return known


def _of_voided(call: Call, of: names.Name, authorization: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    if names.identifier(authorization.get("id")) is None:
        return answers.unknown(answer, "unreadable_answer")
    if authorization.get("id") != of.id:
        return answers.unknown(answer, "psp_id_mismatch", repeat_is_useless=True)
    if authorization.get("status") != "VOIDED":
        return answers.unlisted_status(authorization, answer, repeat_is_useless=True)
    held = amounts.from_wire(authorization.get("amount"))
    if held is None or held[1] != call.currency or held[0] < call.amount_minor:
        return answers.unknown(answer, "amount_mismatch", repeat_is_useless=True)
    return _released(call)


def _void(call: Call, of: names.Name, unit: Mapping[str, Any], answer: HttpAnswer) -> Outcome | None:
    rows, captures = answers.payments(unit, "authorizations"), answers.payments(unit, "captures")
    found = [row for row in rows or [] if row.get("id") == of.id]
    if len(found) != 1 or captures is None:
        return answers.unknown(answer, "psp_id_mismatch" if rows else "unreadable_answer")
    status = found[0].get("status")
    if status in ("CREATED", "PENDING", "PARTIALLY_CAPTURED", "CAPTURED"):
        return None
    if status != "VOIDED":
        return answers.unlisted_status(found[0], answer)
    moved = [found[0], *(row for row in captures if row.get("status") not in ("DECLINED", "FAILED"))]
    sums = [amounts.from_wire(row.get("amount")) for row in moved]
    held, *taken = [None if said is None or said[1] != call.currency else said[0] for said in sums]
    if held is None or None in taken or held - sum(filter(None, taken)) != call.amount_minor:
        return answers.unknown(answer, "amount_mismatch")
    return _released(call)


def _released(call: Call) -> Outcome:
    return Outcome(kind="APPROVED", amount_minor=call.amount_minor, currency=call.currency)
