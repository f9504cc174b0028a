"""Reads captures and voids from their target, the transaction, since they have no object of their own.

Invariant: a capture is APPROVED only where the transaction is captured with its amount; a void only where
all that was authorized is released, and none of it was captured.

A transaction that is read by its id is consistent: what it does not show was not done when it was read; it
may still be under way.
"""

from collections.abc import Mapping
from typing import Any

from commands.messages import Outcome
from gateways.braintree import responses
from gateways.contract import Call, HttpResponse
from gateways.wire import redaction
from gateways.wire.json import object_of, text
from gateways.wire.outcomes import status_text


def read_response(
    call: Call, payload: Mapping[str, Any], response: HttpResponse, body: Mapping[str, Any]
) -> Outcome:
    """The outcome in the transaction, or the refund, that the mutation returned."""
    target = object_of(payload.get("transaction" if call.kind == "capture" else "reversal"))
    if call.kind == "void" and target.get("__typename") == "Refund":
        # It was captured: what was to be released has been taken, and given back.
        of = object_of(target.get("refundedTransaction")).get("id")
        ours = target.get("orderId") == call.target_reference and of == call.target_psp_id
        return _refunded_instead(
            call, response, body, status_text("refund", target), ended=ours and _is_given(call, [target])
        )
    if call.kind == "void" and target.get("__typename") != "Transaction":
        return responses.unreadable(response, body)
    return looked_up(call, target, response, body) or _unknown(call, response, body, "not_done", target)


def looked_up(
    call: Call, transaction: Mapping[str, Any], response: HttpResponse, body: Mapping[str, Any]
) -> Outcome | None:
    """The outcome in the target transaction. None: the capture or void was not executed so far."""
    if (wrong := not_the_target(call, transaction, response, body)) is not None:
        return wrong
    if call.kind == "capture":
        return _capture(call, transaction, response, body)
    return _void(call, transaction, response, body)


def not_the_target(
    call: Call, transaction: Mapping[str, Any], response: HttpResponse, body: Mapping[str, Any]
) -> Outcome | None:
    """UNKNOWN where the transaction is not the target. None: it is."""
    if not responses.is_id(transaction.get("id")) or not isinstance(transaction.get("status"), str):
        return responses.unreadable(response, body)
    if transaction["id"] != call.target_psp_id:
        return responses.unknown(response, "psp_id_mismatch", body, repeat_is_useless=True)
    if call.target_reference is None or transaction.get("orderId") != call.target_reference:
        return responses.of_another(response, transaction["id"], body)
    return None


def _capture(
    call: Call, transaction: Mapping[str, Any], response: HttpResponse, body: Mapping[str, Any]
) -> Outcome | None:
    status, about = transaction["status"], status_text("transaction", transaction)
    match status:
        case "AUTHORIZED":
            return None
        case "VOIDED" | "AUTHORIZATION_EXPIRED" | "SETTLEMENT_DECLINED":
            return Outcome(kind="DECLINED_HARD", code=status.lower(), detail=about)
        case "SETTLEMENT_PENDING":
            pending = True
        case _ if status in responses.CAPTURED:
            pending = False
        case _:
            return _unexpected(call, response, body, transaction)
    if (code := responses.mismatch(call, transaction.get("amount"))) is not None:
        return _unknown(call, response, body, code, transaction)
    money = responses.money(transaction.get("amount"))
    if pending:
        return Outcome(kind="PENDING", code="settlement_pending", detail=about, **money)
    return Outcome(kind="APPROVED", **money)


def _void(
    call: Call, transaction: Mapping[str, Any], response: HttpResponse, body: Mapping[str, Any]
) -> Outcome | None:
    status = transaction["status"]
    if status == "AUTHORIZED":
        return None
    if status in responses.CAPTURED or status == "SETTLEMENT_PENDING":
        refunds = transaction.get("refunds")
        if not refunds:
            return _unknown(call, response, body, "captured", transaction)
        about = status_text("target of the void", transaction)
        given = isinstance(refunds, list) and _is_given(call, [object_of(one) for one in refunds])
        return _refunded_instead(call, response, body, about, ended=given)
    if status not in ("VOIDED", "AUTHORIZATION_EXPIRED"):
        return _unexpected(call, response, body, transaction)
    if (code := responses.mismatch(call, transaction.get("amount"))) is not None:
        return _unknown(call, response, body, code, transaction)
    return Outcome(kind="APPROVED", **responses.money(transaction.get("amount")))


def _refunded_instead(
    call: Call, response: HttpResponse, body: Mapping[str, Any], about: str, *, ended: bool
) -> Outcome:
    """The outcome of a void whose transaction was captured. `ended`: all of it was given back, so that no
    void can be executed any more. The transaction shows what was taken and given back, and is queried."""
    if not ended:
        return responses.unknown(response, "refunded_instead", body, about=about, repeat_is_useless=True)
    return Outcome(
        kind="DECLINED_HARD", code="refunded_instead", detail=responses.detail(response, body, about)
    )


def _is_given(call: Call, refunds: list[Mapping[str, Any]]) -> bool:
    """True if all of what was to be released was given back for good."""
    given = [
        responses.money(one.get("amount")) for one in refunds if text(one.get("status")) in responses.CAPTURED
    ]
    minor = [one.get("amount_minor") or 0 for one in given if one.get("currency") == call.currency]
    return sum(minor) >= call.amount_minor


def _unexpected(
    call: Call, response: HttpResponse, body: Mapping[str, Any], transaction: Mapping[str, Any]
) -> Outcome:
    listed = transaction["status"] in responses.REFUSED | {"AUTHORIZING", "SETTLEMENT_DECLINED"}
    code = "unexpected_status" if listed else redaction.code(transaction["status"]) or "unexpected_status"
    return _unknown(call, response, body, code, transaction, unlisted=not listed)


def _unknown(
    call: Call,
    response: HttpResponse,
    body: Mapping[str, Any],
    code: str,
    transaction: Mapping[str, Any],
    *,
    unlisted: bool = False,
) -> Outcome:
    about = status_text(f"target of the {call.kind}", transaction)
    return responses.unknown(response, code, body, about=about, repeat_is_useless=True, unlisted=unlisted)
