"""Reads refunds. A part is given back by a refund, which carries our reference; all of it by a reversal,
which does not.

Invariant: APPROVED only for our amount and currency, of the transaction that was named; a part only under
our own reference.

A reversal gives everything back at most once, so that one that is found stands for ours; one that failed
has given nothing, and counts as none. A partial refund that was made externally has the order id of its
transaction, as a reversal's refund has: its amount distinguishes it from a reversal. Where others left less
than our amount, ours was not made, and cannot be.
"""

from collections.abc import Mapping
from typing import Any, Final

from commands.messages import Outcome
from gateways.braintree import requests, responses, targets, transactions
from gateways.contract import Call, HttpResponse
from gateways.wire import redaction
from gateways.wire.json import object_of
from gateways.wire.outcomes import status_text

_GIVEN: Final = responses.CAPTURED
_PENDING: Final = frozenset({"AUTHORIZING", "SETTLEMENT_PENDING"})
_FAILED: Final = responses.REFUSED | {"SETTLEMENT_DECLINED", "VOIDED"}


def read_response(
    call: Call, payload: Mapping[str, Any], response: HttpResponse, body: Mapping[str, Any]
) -> Outcome:
    """The outcome in the refund or the reversal that the mutation returned."""
    if not requests.gives_all_back(call):
        return of_refund(call, object_of(payload.get("refund")), response, body, source="call")
    reversal = object_of(payload.get("reversal"))
    match reversal.get("__typename"):
        case "Refund":
            return of_refund(call, reversal, response, body, source="call")
        case "Transaction":
            wrong = targets.not_the_target(call, reversal, response, body)
            return wrong or _of_voided(call, reversal, response, body)
        case _:
            return responses.unreadable(response, body)


def looked_up(
    call: Call, node: Mapping[str, Any], response: HttpResponse, body: Mapping[str, Any]
) -> Outcome | None:
    """The outcome in the refund, or in the target's refunds. None: it was not executed so far."""
    if responses.is_id(call.psp_id):
        if node.get("id") != call.psp_id:
            return responses.unknown(response, "psp_id_mismatch", body)
        return of_refund(call, node, response, body, source="query")
    if (wrong := targets.not_the_target(call, node, response, body)) is not None:
        return wrong
    refunds = node.get("refunds")
    if not isinstance(refunds, list):
        return responses.unreadable(response, body)
    listed = [object_of(refund) for refund in refunds]
    if not all(responses.is_id(one.get("id")) and isinstance(one.get("status"), str) for one in listed):
        return responses.unreadable(response, body)
    ours = [one for one in listed if one.get("orderId") == _order_id(call)]
    if requests.gives_all_back(call):
        ours = [one for one in ours if one["status"] not in _FAILED and not _is_part(call, one)]
    if len(ours) > 1:
        ids = ", ".join(one["id"] for one in ours[:5])
        return responses.unknown(response, "found_twice", body, about=ids)
    if ours:
        found = of_refund(call, ours[0], response, body, source="query")
        return found.model_copy(update={"balances": transactions.balances(node)})
    if node["status"] == "VOIDED":
        return _of_voided(call, node, response, body)
    return _not_possible(call, node, response, body)


def _is_part(call: Call, refund: Mapping[str, Any]) -> bool:
    """True for less than a reversal gives back."""
    money = responses.money(refund.get("amount"))
    minor = money.get("amount_minor")
    return minor is not None and money["currency"] == call.currency and minor < call.amount_minor


def _not_possible(
    call: Call, node: Mapping[str, Any], response: HttpResponse, body: Mapping[str, Any]
) -> Outcome | None:
    """Returns DECLINED_HARD where too little of the transaction is left for the refund. None: enough is left,
    so that the refund may still be under way."""
    shown = transactions.balances(node)
    currency = object_of(node.get("amount")).get("currencyCode")
    if shown is None or not shown.captured_minor or not shown.refunded_minor or currency != call.currency:
        return None
    left = shown.captured_minor - shown.refunded_minor
    if call.amount_minor <= left:
        return None
    about = f"{left} of {shown.captured_minor} is left of the transaction, and no refund of it is ours"
    detail = responses.detail(response, body, about)
    return Outcome(kind="DECLINED_HARD", code=responses.MORE_THAN_IS_LEFT, detail=detail)


def of_refund(
    call: Call,
    refund: Mapping[str, Any],
    response: HttpResponse,
    body: Mapping[str, Any],
    *,
    source: responses.Source,
) -> Outcome:
    """The outcome that a refund's status means (GraphQL schema, `PaymentStatus`)."""
    psp_id, status = refund.get("id"), refund.get("status")
    if not responses.is_id(psp_id) or not isinstance(status, str):
        return responses.unreadable(response, body)
    if refund.get("orderId") != _order_id(call):
        return responses.of_another(response, psp_id, body)
    known = {**responses.known(refund), **responses.money(refund.get("amount"))}
    about = status_text("refund", refund)
    of = object_of(refund.get("refundedTransaction"))
    code = (
        "target_mismatch"
        if of.get("id") != call.target_psp_id
        else responses.mismatch(call, refund.get("amount"))
    )
    if code is not None:
        return responses.unknown(response, code, body, about=about, repeat_is_useless=True, **known)
    if status in _GIVEN:
        return Outcome(kind="APPROVED", balances=transactions.balances(of), **known)
    if status in _PENDING:
        return Outcome(kind="PENDING", code=status.lower(), detail=about, **known)
    if status in responses.REFUSED:
        return responses.declined(refund, response, body, source=source, **known)
    if status in _FAILED:
        return Outcome(kind="DECLINED_HARD", code=status.lower(), detail=about, **known)
    code = redaction.code(status) or "unexpected_status"
    return responses.unknown(
        response, code, body, about=about, repeat_is_useless=True, unlisted=True, **known
    )


def _of_voided(
    call: Call, transaction: Mapping[str, Any], response: HttpResponse, body: Mapping[str, Any]
) -> Outcome:
    """The outcome of a reversal before the settlement: nothing is left of a transaction that was voided."""
    about = status_text("target of the refund", transaction)
    whole = requests.gives_all_back(call) and transaction["status"] == "VOIDED"
    code = responses.mismatch(call, transaction.get("amount")) if whole else "unexpected_status"
    if code is not None:
        return responses.unknown(response, code, body, about=about, repeat_is_useless=True)
    return Outcome(kind="APPROVED", **responses.money(transaction.get("amount")))


def _order_id(call: Call) -> str | None:
    """The order id of the refund. A reversal's refund has that of what it reverses."""
    return call.target_reference if requests.gives_all_back(call) else call.reference
