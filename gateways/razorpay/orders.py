"""Orders: what a payment is made on. One moves no money. Invariant: it is ours, and of the amount that was asked for."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from commands.messages import Outcome
from gateways.contract import Call, HttpAnswer
from gateways.razorpay import answers, payments


def created(call: Call, order: Any, answer: HttpAnswer) -> Outcome:
    order_id = answers.entity_id(order, "order", "order_")
    if order_id is None:
        return answers.unknown(answer, "unreadable_answer", repeat_is_useless=True)
    if not answers.is_of(order, call.reference):
        return answers.of_another(answer, order)
    if (code := answers.mismatch(call, order)) is not None:
        return answers.unknown(
            answer, code, about=answers.status_text("order", order), repeat_is_useless=True
        )
    return Outcome(
        kind="PENDING", psp_id=order_id, code="order_created", next_step="2", **answers.money(order)
    )


def found(call: Call, collection: Mapping[str, Any], answer: HttpAnswer) -> Outcome | None:
    """By our reference. None: no order, or one that no payment was made on where it was the payment that was asked for."""
    orders = answers.items(collection)
    if orders is None or any(answers.entity_id(order, "order", "order_") is None for order in orders):
        return answers.unknown(answer, "unreadable_answer")
    if not all(answers.is_of(order, call.reference) for order in orders):
        return answers.unknown(answer, "reference_mismatch")
    if len(orders) > 1:
        return answers.unknown(answer, "found_twice", about=", ".join(order["id"] for order in orders[:5]))
    if not orders:
        return None
    order = orders[0]
    outcome = created(call, order, answer)
    if outcome.kind != "PENDING":
        return outcome
    paid = payments.of_order(replace(call, psp_id=order["id"]), order.get("payments"), answer)
    return outcome if paid is None and call.step == "1" else paid
