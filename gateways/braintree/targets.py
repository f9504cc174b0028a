"""Captures and voids: they have no object of their own, so their target, the transaction, is read.

Invariant: a capture is APPROVED only where the transaction is captured with its amount; a void only where all that was
authorized is released, and none of it was captured. Reading a transaction by its id is consistent, so that what it does
not show was not done when it was read; it may still be under way.
"""

from collections.abc import Mapping
from typing import Any

from commands.messages import Outcome
from gateways import scrubbed
from gateways.braintree import answers
from gateways.contract import Call, HttpAnswer


def answered(call: Call, payload: Mapping[str, Any], answer: HttpAnswer, body: Mapping[str, Any]) -> Outcome:
    said = answers.fields(payload.get("transaction" if call.kind == "capture" else "reversal"))
    if call.kind == "void" and said.get("__typename") == "Refund":
        # It was captured: what was asked to be released has been taken, and given back.
        return answers.unknown(answer, body, "refunded_instead", repeat_is_useless=True)
    if call.kind == "void" and said.get("__typename") != "Transaction":
        return answers.unreadable(answer, body)
    return looked_up(call, said, answer, body) or _unknown(call, answer, body, "not_done", said)


def looked_up(
    call: Call, said: Mapping[str, Any], answer: HttpAnswer, body: Mapping[str, Any]
) -> Outcome | None:
    """None: it was not executed so far."""
    if (wrong := not_the_target(call, said, answer, body)) is not None:
        return wrong
    if call.kind == "capture":
        return _capture(call, said, answer, body)
    return _void(call, said, answer, body)


def not_the_target(
    call: Call, said: Mapping[str, Any], answer: HttpAnswer, body: Mapping[str, Any]
) -> Outcome | None:
    if not answers.is_id(said.get("id")) or not isinstance(said.get("status"), str):
        return answers.unreadable(answer, body)
    if said["id"] != call.target_psp_id:
        return answers.unknown(answer, body, "psp_id_mismatch", repeat_is_useless=True)
    if call.target_reference is None or said.get("orderId") != call.target_reference:
        return answers.of_another(answer, body, said["id"])
    return None


def _capture(
    call: Call, said: Mapping[str, Any], answer: HttpAnswer, body: Mapping[str, Any]
) -> Outcome | None:
    status, about = said["status"], answers.status_text("transaction", said)
    match status:
        case "AUTHORIZED":
            return None
        case "VOIDED" | "AUTHORIZATION_EXPIRED" | "SETTLEMENT_DECLINED":
            return Outcome(kind="DECLINED_HARD", code=status.lower(), detail=about)
        case "SETTLEMENT_PENDING":
            pending = True
        case _ if status in answers.CAPTURED:
            pending = False
        case _:
            return _unexpected(call, answer, body, said)
    if (code := answers.mismatch(call, said.get("amount"))) is not None:
        return _unknown(call, answer, body, code, said)
    money = answers.money(said.get("amount"))
    if pending:
        return Outcome(kind="PENDING", code="settlement_pending", detail=about, **money)
    return Outcome(kind="APPROVED", **money)


def _void(call: Call, said: Mapping[str, Any], answer: HttpAnswer, body: Mapping[str, Any]) -> Outcome | None:
    status = said["status"]
    if status == "AUTHORIZED":
        return None
    if status in answers.CAPTURED or status == "SETTLEMENT_PENDING":
        refunds = said.get("refunds")
        return _unknown(call, answer, body, "refunded_instead" if refunds else "captured", said)
    if status not in ("VOIDED", "AUTHORIZATION_EXPIRED"):
        return _unexpected(call, answer, body, said)
    if (code := answers.mismatch(call, said.get("amount"))) is not None:
        return _unknown(call, answer, body, code, said)
    return Outcome(kind="APPROVED", **answers.money(said.get("amount")))


def _unexpected(call: Call, answer: HttpAnswer, body: Mapping[str, Any], said: Mapping[str, Any]) -> Outcome:
    listed = said["status"] in answers.REFUSED | {"AUTHORIZING", "SETTLEMENT_DECLINED"}
    code = "unexpected_status" if listed else scrubbed.code(said["status"]) or "unexpected_status"
    return _unknown(call, answer, body, code, said, unlisted=not listed)


def _unknown(
    call: Call,
    answer: HttpAnswer,
    body: Mapping[str, Any],
    code: str,
    said: Mapping[str, Any],
    *,
    unlisted: bool = False,
) -> Outcome:
    about = answers.status_text(f"target of the {call.kind}", said)
    return answers.unknown(answer, body, code, about=about, repeat_is_useless=True, unlisted=unlisted)
