"""Reads orders, and the payment inside them, as an authorization or a sale of ours.

Invariant: APPROVED only for our reference, amount and currency, read from the authorization or the capture
inside the order; that the order is COMPLETED proves nothing.
"""

from collections.abc import Mapping
from typing import Any, Final, Literal

from commands.balances import Balances, Move
from commands.messages import Outcome
from gateways.contract import Call, HttpResponse
from gateways.paypal import names, requests, responses
from gateways.wire import redaction
from gateways.wire.json import text
from gateways.wire.outcomes import balances as of_money
from gateways.wire.outcomes import move

_AUTHORIZED: Final = frozenset({"CREATED", "PARTIALLY_CAPTURED", "CAPTURED"})
_PARTS: Final[tuple[names.Part, ...]] = ("authorizations", "captures", "refunds")
_PART_OF: Final[Mapping[str, names.Part]] = {"capture": "captures", "refund": "refunds"}
_FAILED: Final = frozenset({"DENIED", "DECLINED", "FAILED"})
_NOT_AGREED: Final = frozenset({"CREATED", "SAVED", "PAYER_ACTION_REQUIRED"})


def read_response(call: Call, body: Mapping[str, Any], response: HttpResponse) -> Outcome:
    """The outcome in the order that a call returned."""
    found = _of_order(call, body, response, source="call")
    return found or responses.unknown(response, "not_done", about=responses.status_text(body, response))


refused = responses.refused


def looked_up(call: Call, body: Mapping[str, Any], response: HttpResponse) -> Outcome | None:
    """The outcome in an order that was read. None: the step did not arrive, and nothing moves without it."""
    return _of_order(call, body, response, source="query")


def _of_order(
    call: Call, order: Mapping[str, Any], response: HttpResponse, *, source: responses.Source
) -> Outcome | None:
    order_id, unit = names.identifier(order.get("id")), responses.only_unit(order)
    if order_id is None or unit is None:
        return responses.unknown(response, "unreadable_response")
    if (known := names.read(call.psp_id)) is not None and known.order != order_id:
        return responses.unknown(response, "psp_id_mismatch", repeat_is_useless=True)
    if responses.reference(unit) != call.reference:
        return responses.of_another(response, "the order")
    part: names.Part = "authorizations" if call.kind == "authorize" else "captures"
    rows = responses.payments(unit, part)
    if rows is None or not isinstance(order.get("status"), str):
        return responses.unknown(response, "unreadable_response")
    if rows:
        alive = [row for row in rows if text(row.get("status")) not in _FAILED or responses.was_captured(row)]
        if len(alive) > 1:
            return responses.unknown(response, "found_twice", repeat_is_useless=True)
        found = of_payment(call, order_id, (alive or rows)[-1], response, source=source)
        return found if source == "call" else _with_balances(found, unit, order_id)
    # Money that is held or taken would be so for the order's amount.
    if (code := responses.mismatch(call, unit.get("amount"))) is not None:
        return responses.unknown(response, code, repeat_is_useless=True)
    return _without_payment(call, order, order_id, response, source=source)


def _with_balances(found: Outcome, unit: Mapping[str, Any], order_id: str) -> Outcome:
    """Adds what was captured and refunded inside the order, by whomever. An authorization that was voided
    after a partial capture was approved all the same."""
    moved = balances(unit, order_id)
    if moved is not None and found.kind == "EXPIRED" and moved.captured_minor:
        return found.model_copy(update={"kind": "APPROVED", "balances": moved})
    return found.model_copy(update={"balances": moved}) if found.kind == "APPROVED" else found


def balances(unit: Mapping[str, Any], order_id: str) -> Balances | None:
    """The money of a purchase unit, whoever moved it. None: it cannot be read. Source: OpenAPI of Orders
    2.13, `payment_collection`."""
    listed = [responses.payments(unit, part) for part in _PARTS]
    authorizations, captures, refunds = (rows if rows is not None else [] for rows in listed)
    taken = [row for row in captures if responses.was_captured(row)]
    given = [row for row in refunds if row.get("status") == "COMPLETED"]
    held = [row for row in authorizations if row.get("status") in ("CREATED", "PARTIALLY_CAPTURED")]
    sums = [[_minor(row) for row in rows] for rows in (taken, given, held)]
    if None in listed or any(None in each for each in sums):
        return None
    captured, refunded, authorized = (sum(filter(None, each)) for each in sums)
    moves = [one for row in taken for one in _move("capture", row, order_id)]
    moves += [one for row in given for one in _move("refund", row, order_id)]
    return of_money(captured, refunded, max(authorized - captured, 0), moves)


def _move(kind: Literal["capture", "refund"], row: Mapping[str, Any], order_id: str) -> list[Move]:
    its_id, part = names.identifier(row.get("id")), _PART_OF[kind]
    if its_id is None:
        return []
    return move(kind, names.inside(order_id, part, its_id), _minor(row), (names.alone(part, its_id),))


def _minor(row: Mapping[str, Any]) -> int | None:
    return responses.money(row.get("amount")).get("amount_minor")


def of_payment(
    call: Call, order_id: str, payment: Mapping[str, Any], response: HttpResponse, *, source: responses.Source
) -> Outcome:
    """The outcome that the status of an authorize's authorization, or of a sale's capture, means. Source:
    OpenAPI of Payments 2.5, `authorization_status` and `capture_status`."""
    part: names.Part = "authorizations" if call.kind == "authorize" else "captures"
    payment_id = names.identifier(payment.get("id"))
    if payment_id is None:
        return responses.unknown(response, "unreadable_response")
    if responses.reference(payment) not in {None, call.reference}:
        return responses.of_another(response, f"the {part[:-1]}")
    known = {**names.known(order_id, part, payment_id), **responses.money(payment.get("amount"))}
    if (code := responses.mismatch(call, payment.get("amount"))) is not None:
        return responses.unknown(response, code, repeat_is_useless=True, **known)
    authorizes = call.kind == "authorize"
    match payment.get("status"):
        case str(status) if authorizes and status in _AUTHORIZED:
            return Outcome(kind="APPROVED", **known)
        case _ if not authorizes and responses.was_captured(payment):
            return Outcome(kind="APPROVED", **known)
        case "PENDING":
            return Outcome(kind="PENDING", code=responses.reason(payment) or "PENDING", **known)
        case "VOIDED" if authorizes:
            return Outcome(kind="EXPIRED", code="voided", **known)
        case "FAILED" if source == "call":
            # An error on the way, and no refusal. A lookup shows whether it stays so.
            return responses.unknown(response, "FAILED", repeat_is_useless=True, **known)
        case str(status) if status in _FAILED:
            return responses.declined(payment, response, source=source, **known)
        case _:
            return responses.unlisted_status(payment, response, **known)


def _without_payment(
    call: Call, order: Mapping[str, Any], order_id: str, response: HttpResponse, *, source: responses.Source
) -> Outcome | None:
    status, page = order["status"], responses.page(order, order_id)
    if status == "VOIDED":
        return Outcome(kind="EXPIRED", psp_id=names.order(order_id), code="voided")
    if status == "COMPLETED":
        return responses.unknown(response, "completed_without_payment", repeat_is_useless=True)
    if status not in _NOT_AGREED and status != "APPROVED":
        return responses.unlisted_status(order, response, psp_id=names.order(order_id))
    if call.step == "1":
        return _prepared(call, status, order_id, page)
    waiting = names.inside(order_id, "waiting", call.step)
    if source != "call" and call.psp_id != waiting:
        return None
    if status == "APPROVED":
        return None if source == "call" else _agreed(call, waiting)
    if source == "call" and status != "PAYER_ACTION_REQUIRED" and (page is None or _vaulted(call)):
        return None
    return responses.payer_has_to_act(
        call, order, response, redaction.code(status) or "PAYER_ACTION_REQUIRED"
    )


def _prepared(call: Call, status: str, order_id: str, page: str | None) -> Outcome:
    """The outcome of the first step: nothing was taken, and nothing is without the second."""
    if status == "APPROVED" or (_vaulted(call) and status == "CREATED"):
        return _agreed(call, names.order(order_id))
    return Outcome(
        kind="ACTION_REQUIRED",
        psp_id=names.order(order_id),
        code=redaction.code(status),
        action_url=page,
    )


def _vaulted(call: Call) -> bool:
    source = requests.source_of(call.payment_method)
    return source is not None and source.vault_id is not None


def _agreed(call: Call, psp_id: str) -> Outcome:
    following = responses.next_step(call)
    if following is None:
        return Outcome(kind="DECLINED_SOFT", psp_id=psp_id, code="no_step_left")
    return Outcome(kind="PENDING", psp_id=psp_id, code="ready_to_take", next_step=following)
