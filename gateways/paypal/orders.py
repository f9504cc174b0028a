"""Orders as an authorize or a sale of ours: what they, and the payment inside, say of it.

Invariant: APPROVED only for our reference, amount and currency, read from the authorization or the capture inside the
order; that the order is COMPLETED says nothing.
"""

from collections.abc import Mapping
from typing import Any, Final

from commands.messages import Outcome
from gateways import scrubbed
from gateways.contract import Call, HttpAnswer
from gateways.paypal import answers, names, requests

_AUTHORIZED: Final = frozenset({"CREATED", "PARTIALLY_CAPTURED", "CAPTURED"})
_CAPTURED: Final = frozenset({"COMPLETED", "PARTIALLY_REFUNDED", "REFUNDED"})
_FAILED: Final = frozenset({"DENIED", "DECLINED", "FAILED"})
_NOT_AGREED: Final = frozenset({"CREATED", "SAVED", "PAYER_ACTION_REQUIRED"})


def answered(call: Call, body: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    found = _of_order(call, body, answer, source="call")
    return found or answers.unknown(answer, "not_done", about=answers.status_text(body, answer))


refused = answers.refused


def looked_up(call: Call, body: Mapping[str, Any], answer: HttpAnswer) -> Outcome | None:
    """None: nothing moves without the step that was asked about, and it did not arrive."""
    return _of_order(call, body, answer, source="query")


def _of_order(
    call: Call, order: Mapping[str, Any], answer: HttpAnswer, *, source: answers.Source
) -> Outcome | None:
    order_id, unit = names.identifier(order.get("id")), answers.only_unit(order)
    if order_id is None or unit is None:
        return answers.unknown(answer, "unreadable_answer")
    if (known := names.read(call.psp_id)) is not None and known.order != order_id:
        return answers.unknown(answer, "psp_id_mismatch", repeat_is_useless=True)
    if answers.reference(unit) != call.reference:
        return answers.of_another(answer, "order")
    part: names.Part = "authorizations" if call.kind == "authorize" else "captures"
    rows = answers.payments(unit, part)
    if rows is None or not isinstance(order.get("status"), str):
        return answers.unknown(answer, "unreadable_answer")
    if rows:
        standing = [row for row in rows if row.get("status") not in ("DENIED", "DECLINED", "FAILED")]
        if len(standing) > 1:
            return answers.unknown(answer, "found_twice", repeat_is_useless=True)
        return of_payment(call, order_id, (standing or rows)[-1], answer, source=source)
    # What is held or taken would be so for the order's amount.
    if (code := answers.mismatch(call, unit.get("amount"))) is not None:
        return answers.unknown(answer, code, repeat_is_useless=True)
    return _without_payment(call, order, order_id, answer, source=source)


def of_payment(
    call: Call, order_id: str, payment: Mapping[str, Any], answer: HttpAnswer, *, source: answers.Source
) -> Outcome:
    """Of the authorization of an authorize, or the capture of a sale."""
    part: names.Part = "authorizations" if call.kind == "authorize" else "captures"
    payment_id = names.identifier(payment.get("id"))
    if payment_id is None:
        return answers.unknown(answer, "unreadable_answer")
    if answers.reference(payment) not in {None, call.reference}:
        return answers.of_another(answer, part[:-1])
    known = {"psp_id": names.inside(order_id, part, payment_id), **answers.money(payment.get("amount"))}
    if (code := answers.mismatch(call, payment.get("amount"))) is not None:
        return answers.unknown(answer, code, repeat_is_useless=True, **known)
    took = _AUTHORIZED if call.kind == "authorize" else _CAPTURED
    match payment.get("status"):
        case str(status) if status in took:
            return Outcome(kind="APPROVED", **known)
        case "PENDING":
            return Outcome(kind="PENDING", code=answers.reason(payment) or "PENDING", **known)
        case "VOIDED" if call.kind == "authorize":
            return Outcome(kind="EXPIRED", code="voided", **known)
        case str(status) if status in _FAILED:
            return answers.declined(payment, answer, source=source, **known)
        case _:
            return answers.unlisted_status(payment, answer, **known)


def _without_payment(
    call: Call, order: Mapping[str, Any], order_id: str, answer: HttpAnswer, *, source: answers.Source
) -> Outcome | None:
    status, page = order["status"], answers.page(order, order_id)
    if status == "VOIDED":
        return Outcome(kind="EXPIRED", psp_id=names.order(order_id), code="voided")
    if status == "COMPLETED":
        return answers.unknown(answer, "completed_without_payment", repeat_is_useless=True)
    if status not in _NOT_AGREED and status != "APPROVED":
        return answers.unlisted_status(order, answer, psp_id=names.order(order_id))
    if call.step == "1":
        return _prepared(call, status, order_id, page)
    waiting = names.inside(order_id, "waiting", call.step)
    if source != "call" and call.psp_id != waiting:
        return None
    if status == "APPROVED":
        return None if source == "call" else _agreed(call, waiting)
    if source == "call" and status != "PAYER_ACTION_REQUIRED" and (page is None or _vaulted(call)):
        return None
    return answers.payer_has_to_act(call, order, answer, scrubbed.code(status) or "PAYER_ACTION_REQUIRED")


def _prepared(call: Call, status: str, order_id: str, page: str | None) -> Outcome:
    """Nothing was taken, and nothing is without the second step."""
    if status == "APPROVED" or (_vaulted(call) and status == "CREATED"):
        return _agreed(call, names.order(order_id))
    return Outcome(
        kind="ACTION_REQUIRED",
        psp_id=names.order(order_id),
        code=scrubbed.code(status),
        action_url=page,
    )


def _vaulted(call: Call) -> bool:
    source = requests.source_of(call.payment_method)
    return source is not None and source.vault_id is not None


def _agreed(call: Call, psp_id: str) -> Outcome:
    following = answers.next_step(call)
    if following is None:
        return Outcome(kind="DECLINED_SOFT", psp_id=psp_id, code="no_step_left")
    return Outcome(kind="PENDING", psp_id=psp_id, code="ready_to_take", next_step=following)
