"""Captures, cancels and refunds: Adyen takes them in, and tells by webhook how they ended.

Invariant: an answer never ends one. It is PENDING where it says that just what we asked for was received.
"""

from collections.abc import Mapping
from typing import Any

from commands.messages import Outcome
from gateways.adyen import answers
from gateways.contract import Call, HttpAnswer


def answered(call: Call, body: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    """A sale's own capture is the last step of its authorisation, whose id stays the sale's."""
    captures_sale = call.kind == "sale"
    target = call.psp_id if captures_sale else call.target_psp_id
    own = answers.psp_reference(body.get("pspReference"))
    if own is None:
        return answers.unknown(answer, "unreadable_answer", body, repeat_is_useless=True)
    known: dict[str, Any] = {
        "psp_id": target if captures_sale else own,
        **answers.money(body.get("amount")),
    }
    if (code := _mismatch(call, body, target)) is not None:
        return answers.unknown(
            answer, code, body, repeat_is_useless=True, **(known | {"psp_id": call.psp_id})
        )
    if body.get("status") != "received":
        return answers.unknown(
            answer, "unexpected_status", body, repeat_is_useless=True, unlisted=True, **known
        )
    return Outcome(kind="PENDING", code="received", **known)


def _mismatch(call: Call, body: Mapping[str, Any], target: str | None) -> str | None:
    if target is None or body.get("paymentPspReference") != target:
        return "target_mismatch"
    if "reference" in body and body["reference"] != call.reference:
        return "reference_mismatch"
    return None if call.kind == "void" else answers.money_mismatch(call, body.get("amount"))


def cancel_received(call: Call, body: Mapping[str, Any], answer: HttpAnswer) -> Outcome:
    """Of the technical cancel: only the webhook TECHNICAL_CANCEL says whether it ended anything."""
    if answer.status == 201 and body.get("status") == "received":
        return answers.unknown(answer, "cancel_received", body)
    code = answers.error_code(body)
    refused = code is not None and 400 <= answer.status < 500 and code != "704"
    return answers.unknown(
        answer,
        "cancel_refused" if refused else f"http_{answer.status}",
        body,
        hint=answers.hint_of_status(answer.status),
    )
