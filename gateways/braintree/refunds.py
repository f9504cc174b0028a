"""Refunds. A part is given back by a refund, which carries our reference; all of it by a reversal, which does not.

Invariant: APPROVED only for our amount and currency, of the transaction that was asked for; a part only under our own
reference. A reversal gives everything back at most once, so that one that is found stands for the one that was asked
for; one that failed has given nothing, and is as none.
"""

from collections.abc import Mapping
from typing import Any, Final

from commands.messages import Outcome
from gateways import scrubbed
from gateways.braintree import answers, requests, targets
from gateways.contract import Call, HttpAnswer

_GIVEN: Final = answers.CAPTURED
_PENDING: Final = frozenset({"AUTHORIZING", "SETTLEMENT_PENDING"})
_FAILED: Final = answers.REFUSED | {"SETTLEMENT_DECLINED", "VOIDED"}


def answered(call: Call, payload: Mapping[str, Any], answer: HttpAnswer, body: Mapping[str, Any]) -> Outcome:
    if not requests.gives_all_back(call):
        return of_refund(call, answers.fields(payload.get("refund")), answer, body, source="call")
    reversal = answers.fields(payload.get("reversal"))
    match reversal.get("__typename"):
        case "Refund":
            return of_refund(call, reversal, answer, body, source="call")
        case "Transaction":
            wrong = targets.not_the_target(call, reversal, answer, body)
            return wrong or _of_voided(call, reversal, answer, body)
        case _:
            return answers.unreadable(answer, body)


def looked_up(
    call: Call, node: Mapping[str, Any], answer: HttpAnswer, body: Mapping[str, Any]
) -> Outcome | None:
    """None: it was not executed so far."""
    if answers.is_id(call.psp_id):
        if node.get("id") != call.psp_id:
            return answers.unknown(answer, body, "psp_id_mismatch")
        return of_refund(call, node, answer, body, source="query")
    if (wrong := targets.not_the_target(call, node, answer, body)) is not None:
        return wrong
    refunds = node.get("refunds")
    if not isinstance(refunds, list):
        return answers.unreadable(answer, body)
    listed = [answers.fields(refund) for refund in refunds]
    if not all(answers.is_id(one.get("id")) and isinstance(one.get("status"), str) for one in listed):
        return answers.unreadable(answer, body)
    ours = [one for one in listed if one.get("orderId") == _order_id(call)]
    if requests.gives_all_back(call):
        ours = [one for one in ours if one["status"] not in _FAILED]
    if len(ours) > 1:
        ids = ", ".join(one["id"] for one in ours[:5])
        return answers.unknown(answer, body, "found_twice", about=ids)
    if ours:
        return of_refund(call, ours[0], answer, body, source="query")
    if node["status"] == "VOIDED":
        return _of_voided(call, node, answer, body)
    return None


def of_refund(
    call: Call,
    refund: Mapping[str, Any],
    answer: HttpAnswer,
    body: Mapping[str, Any],
    *,
    source: answers.Source,
) -> Outcome:
    psp_id, status = refund.get("id"), refund.get("status")
    if not answers.is_id(psp_id) or not isinstance(status, str):
        return answers.unreadable(answer, body)
    if refund.get("orderId") != _order_id(call):
        return answers.of_another(answer, body, psp_id)
    known = {"psp_id": psp_id, **answers.money(refund.get("amount"))}
    about = answers.status_text("refund", refund)
    of = answers.fields(refund.get("refundedTransaction")).get("id")
    code = "target_mismatch" if of != call.target_psp_id else answers.mismatch(call, refund.get("amount"))
    if code is not None:
        return answers.unknown(answer, body, code, about=about, repeat_is_useless=True, **known)
    if status in _GIVEN:
        return Outcome(kind="APPROVED", **known)
    if status in _PENDING:
        return Outcome(kind="PENDING", code=status.lower(), detail=about, **known)
    if status in answers.REFUSED:
        return answers.declined(refund, answer, body, source=source, **known)
    if status in _FAILED:
        return Outcome(kind="DECLINED_HARD", code=status.lower(), detail=about, **known)
    code = scrubbed.code(status) or "unexpected_status"
    return answers.unknown(answer, body, code, about=about, repeat_is_useless=True, unlisted=True, **known)


def _of_voided(
    call: Call, transaction: Mapping[str, Any], answer: HttpAnswer, body: Mapping[str, Any]
) -> Outcome:
    """A reversal before the settlement; nothing is left of a transaction that was voided."""
    about = answers.status_text("target of the refund", transaction)
    whole = requests.gives_all_back(call) and transaction["status"] == "VOIDED"
    code = answers.mismatch(call, transaction.get("amount")) if whole else "unexpected_status"
    if code is not None:
        return answers.unknown(answer, body, code, about=about, repeat_is_useless=True)
    return Outcome(kind="APPROVED", **answers.money(transaction.get("amount")))


def _order_id(call: Call) -> str | None:
    """A reversal's refund has the order id of what it reverses."""
    return call.target_reference if requests.gives_all_back(call) else call.reference
