"""Transactions as an authorize or a sale of ours: what their state says of it.

Invariant: APPROVED only for our reference, amount and currency, with the money where it was asked to be.
"""

from collections.abc import Mapping
from typing import Any, Final

from commands.messages import Outcome
from gateways import scrubbed
from gateways.braintree import answers
from gateways.contract import Call, HttpAnswer

_LIVE: Final = answers.CAPTURED | {"AUTHORIZED", "AUTHORIZING", "SETTLEMENT_PENDING"}
_RELEASED: Final = frozenset({"VOIDED", "AUTHORIZATION_EXPIRED"})


def answered(call: Call, payload: Mapping[str, Any], answer: HttpAnswer, body: Mapping[str, Any]) -> Outcome:
    return of_transaction(call, payload.get("transaction"), answer, body, source="call")


def looked_up(call: Call, node: Mapping[str, Any], answer: HttpAnswer, body: Mapping[str, Any]) -> Outcome:
    if node.get("id") != call.psp_id:
        return answers.unknown(answer, body, "psp_id_mismatch")
    return of_transaction(call, node, answer, body, source="query")


def of_search(
    call: Call, search: Mapping[str, Any], answer: HttpAnswer, body: Mapping[str, Any]
) -> Outcome | None:
    """None: the index, which lags, shows none."""
    connection = answers.fields(search.get("transactions"))
    edges, more = connection.get("edges"), answers.fields(connection.get("pageInfo")).get("hasNextPage")
    if not isinstance(edges, list) or not isinstance(more, bool):
        return answers.unreadable(answer, body)
    found = [answers.fields(answers.fields(edge).get("node")) for edge in edges]
    if not all(answers.is_id(one.get("id")) and isinstance(one.get("status"), str) for one in found):
        return answers.unreadable(answer, body)
    if not all(one.get("orderId") == call.reference for one in found):
        return answers.unknown(answer, body, "reference_mismatch")
    live = [one for one in found if one["status"] in _LIVE]
    if len(live) > 1:
        return answers.unknown(answer, body, "found_twice", about=_ids(live))
    if more or (len(found) > 1 and not live):
        return answers.unknown(answer, body, "found_several", about=_ids(found))
    if not found:
        return None
    return of_transaction(call, (live or found)[0], answer, body, source="query")


def of_transaction(
    call: Call, said: Any, answer: HttpAnswer, body: Mapping[str, Any], *, source: answers.Source
) -> Outcome:
    transaction = answers.fields(said)
    psp_id, status = transaction.get("id"), transaction.get("status")
    if not answers.is_id(psp_id) or not isinstance(status, str):
        return answers.unreadable(answer, body)
    if transaction.get("orderId") != call.reference:
        return answers.of_another(answer, body, psp_id)
    known = {"psp_id": psp_id, **answers.money(transaction.get("amount"))}
    about = answers.status_text("transaction", transaction)
    if status in answers.REFUSED:
        return answers.declined(transaction, answer, body, source=source, **known)
    if status in _RELEASED:
        return Outcome(kind="EXPIRED", code=status.lower(), detail=about, **known)
    if status == "SETTLEMENT_DECLINED":
        # Nothing was taken, and of an authorization nothing is held any more.
        kind = "EXPIRED" if call.kind == "authorize" else "DECLINED_HARD"
        return Outcome(kind=kind, code="settlement_declined", detail=about, **known)
    code = _wrong(call, transaction, status, source)
    if code is not None:
        unlisted = code == "unexpected_status" and status not in _LIVE
        code = scrubbed.code(status) or code if unlisted else code
        return answers.unknown(
            answer, body, code, about=about, repeat_is_useless=True, unlisted=unlisted, **known
        )
    if status == "AUTHORIZING" or (status == "SETTLEMENT_PENDING" and call.kind == "sale"):
        return Outcome(kind="PENDING", code=status.lower(), detail=about, **known)
    # A capture of less has changed the transaction's amount, not what was approved.
    return Outcome(kind="APPROVED", psp_id=psp_id, amount_minor=call.amount_minor, currency=call.currency)


def _wrong(call: Call, said: Mapping[str, Any], status: str, source: answers.Source) -> str | None:
    """Why it is not what was asked for."""
    if status not in _LIVE or (call.kind == "sale" and status == "AUTHORIZED"):
        return "unexpected_status"
    captured = status in answers.CAPTURED or status == "SETTLEMENT_PENDING"
    if call.kind == "sale" or not captured:
        return answers.mismatch(call, said.get("amount"))
    if source == "call":
        return "captured_unasked"
    # By now our own capture may have changed the amount.
    return answers.mismatch(call, answers.authorized_amount(said))


def _ids(found: list[dict[str, Any]]) -> str:
    return ", ".join(one["id"] for one in found[:5])
