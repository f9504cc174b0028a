"""Reads transactions as an authorization or a sale of ours.

Invariant: APPROVED only for our reference, amount and currency, with the money where it was requested to be.
"""

from collections.abc import Mapping
from typing import Any, Final

from commands.balances import Balances
from commands.messages import Outcome
from gateways.braintree import responses
from gateways.contract import Call, HttpResponse
from gateways.wire import redaction
from gateways.wire.json import object_of, text
from gateways.wire.outcomes import balances as of_money
from gateways.wire.outcomes import move, status_text

_LIVE: Final = responses.CAPTURED | {"AUTHORIZED", "AUTHORIZING", "SETTLEMENT_PENDING"}
_UNDECIDED: Final = frozenset({"AUTHORIZING", "SETTLEMENT_PENDING"})
_RELEASED: Final = frozenset({"VOIDED", "AUTHORIZATION_EXPIRED"})


def read_response(
    call: Call, payload: Mapping[str, Any], response: HttpResponse, body: Mapping[str, Any]
) -> Outcome:
    """The outcome in the transaction that the mutation returned."""
    return of_transaction(call, payload.get("transaction"), response, body, source="call")


def looked_up(
    call: Call, node: Mapping[str, Any], response: HttpResponse, body: Mapping[str, Any]
) -> Outcome:
    """The outcome in the transaction that is known, or in another one that took the money under the same
    order id."""
    if node.get("id") != call.psp_id:
        return responses.unknown(response, "psp_id_mismatch", body)
    listed = _listed(object_of(object_of(body.get("data")).get("search")))
    if listed is None:
        return responses.unreadable(response, body)
    found, more = listed
    if not all(one.get("orderId") == call.reference for one in found):
        return responses.unknown(response, "reference_mismatch", body)
    others = [one for one in found if one["id"] != call.psp_id and _took(one)]
    if more or len(others) > 1 or (others and text(node.get("status")) in _UNDECIDED):
        return responses.unknown(
            response, "found_twice" if others else "found_several", body, about=_ids(found)
        )
    return of_transaction(call, next(iter(others), node), response, body, source="query")


def _took(transaction: Mapping[str, Any]) -> bool:
    """True unless it holds nothing, or all that it took was given back."""
    shown = balances(transaction)
    given_back = shown is not None and shown.captured_minor == shown.refunded_minor and not shown.held_minor
    return transaction["status"] in _LIVE and not given_back


def of_search(
    call: Call, search: Mapping[str, Any], response: HttpResponse, body: Mapping[str, Any]
) -> Outcome | None:
    """The outcome in the one transaction that a search found. None: the index, which lags, shows none."""
    if (listed := _listed(search)) is None:
        return responses.unreadable(response, body)
    found, more = listed
    if not all(one.get("orderId") == call.reference for one in found):
        return responses.unknown(response, "reference_mismatch", body)
    live = [one for one in found if one["status"] in _LIVE]
    if len(live) > 1:
        return responses.unknown(response, "found_twice", body, about=_ids(live))
    if more or (len(found) > 1 and not live):
        return responses.unknown(response, "found_several", body, about=_ids(found))
    if not found:
        return None
    return of_transaction(call, (live or found)[0], response, body, source="query")


def _listed(search: Mapping[str, Any]) -> tuple[list[dict[str, Any]], bool] | None:
    """The transactions that were found, and whether there are more. None: they cannot be read."""
    connection = object_of(search.get("transactions"))
    edges, more = connection.get("edges"), object_of(connection.get("pageInfo")).get("hasNextPage")
    if not isinstance(edges, list) or not isinstance(more, bool):
        return None
    found = [object_of(object_of(edge).get("node")) for edge in edges]
    if not all(responses.is_id(one.get("id")) and isinstance(one.get("status"), str) for one in found):
        return None
    return found, more


def of_transaction(
    call: Call, value: Any, response: HttpResponse, body: Mapping[str, Any], *, source: responses.Source
) -> Outcome:
    """The outcome that a transaction's status means (GraphQL schema, `PaymentStatus`)."""
    transaction = object_of(value)
    psp_id, status = transaction.get("id"), transaction.get("status")
    if not responses.is_id(psp_id) or not isinstance(status, str):
        return responses.unreadable(response, body)
    if transaction.get("orderId") != call.reference:
        return responses.of_another(response, psp_id, body)
    ids = responses.known(transaction)
    known = {**ids, **responses.money(transaction.get("amount"))}
    about = status_text("transaction", transaction)
    if status == "FAILED" and source == "call":
        # An error in sending it to the processor, which may have received it. A lookup shows what it became.
        return responses.unknown(response, "failed", body, about=about, repeat_is_useless=True, **known)
    if status in responses.REFUSED:
        return responses.declined(transaction, response, body, source=source, **known)
    moved = balances(transaction) if source == "query" else None
    if status in _RELEASED and not (moved is not None and moved.captured_minor):
        return Outcome(kind="EXPIRED", code=status.lower(), detail=about, **known)
    if status == "SETTLEMENT_DECLINED":
        # Nothing was taken, and of an authorization nothing is held any more.
        kind = "EXPIRED" if call.kind == "authorize" else "DECLINED_HARD"
        return Outcome(kind=kind, code="settlement_declined", detail=about, balances=moved, **known)
    code = _wrong(call, transaction, status, source)
    if code is not None:
        unlisted = code == "unexpected_status" and status not in _LIVE
        code = redaction.code(status) or code if unlisted else code
        return responses.unknown(
            response, code, body, about=about, repeat_is_useless=True, unlisted=unlisted, **known
        )
    if status == "AUTHORIZING" or (status == "SETTLEMENT_PENDING" and call.kind == "sale"):
        return Outcome(kind="PENDING", code=status.lower(), detail=about, **known)
    # A capture of less has changed the transaction's amount, not what was approved.
    money = {"amount_minor": call.amount_minor, "currency": call.currency}
    return Outcome(kind="APPROVED", balances=moved, **ids, **money)


def balances(transaction: Mapping[str, Any]) -> Balances | None:
    """The money of a transaction, whoever moved it. None: it does not state it. What was voided after it was
    submitted for settlement was taken and given back. Without its list of refunds none of them shows."""
    minor = responses.money(transaction.get("amount")).get("amount_minor")
    status = text(transaction.get("status"))
    if minor is None or status not in _LIVE | _RELEASED | {"SETTLEMENT_DECLINED"} or status == "AUTHORIZING":
        return None
    if status in _RELEASED:
        taken = minor if _was_submitted(transaction) else 0
        return of_money(taken, taken, 0)
    held = minor if status == "AUTHORIZED" else 0
    captured = minor if status in responses.CAPTURED | {"SETTLEMENT_PENDING"} else 0
    listed = transaction.get("refunds")
    if not isinstance(listed, list):
        return of_money(captured, None, held)
    given = [object_of(one) for one in listed if text(object_of(one).get("status")) in responses.CAPTURED]
    parts = [responses.money(one.get("amount")).get("amount_minor") for one in given]
    named = [(one, part) for one, part in zip(given, parts, strict=True) if responses.is_id(one.get("id"))]
    moves = [
        m
        for one, part in named
        for m in move("refund", one["id"], part, responses.legacy(one.get("legacyId")))
    ]
    return of_money(captured, None if None in parts else sum(filter(None, parts)), held, moves)


def _was_submitted(transaction: Mapping[str, Any]) -> bool:
    history = transaction.get("statusHistory")
    events = [object_of(event) for event in history] if isinstance(history, list) else []
    return any(text(event.get("status")) in responses.CAPTURED for event in events)


def _wrong(call: Call, transaction: Mapping[str, Any], status: str, source: responses.Source) -> str | None:
    """The code of why it is not what was requested. None: it is."""
    if status not in _LIVE | _RELEASED or (call.kind == "sale" and status == "AUTHORIZED"):
        return "unexpected_status"
    captured = status in responses.CAPTURED | _RELEASED or status == "SETTLEMENT_PENDING"
    if call.kind == "sale" or not captured:
        return responses.mismatch(call, transaction.get("amount"))
    if source == "call":
        return "captured_unrequested"
    # Our own capture may have changed the amount since.
    return responses.mismatch(call, responses.authorized_amount(transaction))


def _ids(found: list[dict[str, Any]]) -> str:
    return ", ".join(one["id"] for one in found[:5])
