"""Reads orders, on which payments are made. An order moves no money. Invariant: it is ours, and of the
call's amount."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from commands.messages import Outcome
from gateways.contract import Call, HttpResponse
from gateways.razorpay import payments, responses


def created(call: Call, order: Any, response: HttpResponse) -> Outcome:
    """The outcome of the first step, in the order that it created. Source: razorpay.com/docs/api/orders."""
    order_id = responses.entity_id(order, "order", "order_")
    if order_id is None:
        return responses.unknown(response, "unreadable_response", repeat_is_useless=True)
    if not responses.is_of(order, call.reference):
        return responses.of_another(response, order_id)
    if (code := responses.mismatch(call, order)) is not None:
        return responses.unknown(
            response, code, about=responses.status_text("order", order), repeat_is_useless=True
        )
    return Outcome(
        kind="PENDING", psp_id=order_id, code="order_created", next_step="2", **responses.money(order)
    )


def found(call: Call, collection: Mapping[str, Any], response: HttpResponse) -> Outcome | None:
    """Finds the order by our reference. None: no order, or an order without payments when the payment was
    requested."""
    orders = responses.items(collection)
    if orders is None or any(responses.entity_id(order, "order", "order_") is None for order in orders):
        return responses.unknown(response, "unreadable_response")
    if not all(responses.is_of(order, call.reference) for order in orders):
        return responses.unknown(response, "reference_mismatch")
    if len(orders) > 1:
        return responses.unknown(
            response, "found_twice", about=", ".join(order["id"] for order in orders[:5])
        )
    if not orders:
        return None
    order = orders[0]
    outcome = created(call, order, response)
    if outcome.kind != "PENDING":
        return outcome
    paid = payments.of_order(replace(call, psp_id=order["id"]), order.get("payments"), response)
    return outcome if paid is None and call.step == "1" else paid
