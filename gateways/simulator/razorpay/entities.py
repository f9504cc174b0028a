"""Orders, payments and refunds as Razorpay shows them. Source: its API reference, and its client's
fixtures."""

from collections.abc import Sequence
from typing import Any, Final

import orjson

from gateways.simulator.core.faults import Do
from gateways.simulator.core.rows import Object
from gateways.simulator.razorpay.currencies import CURRENCIES
from gateways.simulator.razorpay.scenarios import FAILURES

GATEWAY: Final = "razorpay"


def data_of(one: Object) -> dict[str, Any]:
    """The JSON that is kept beside an object's columns."""
    data: dict[str, Any] = orjson.loads(one.data)
    return data


def packed(data: dict[str, Any]) -> str:
    """The same, as it is stored."""
    return orjson.dumps(data).decode()


def order(one: Object, payments: Sequence[Object] | None = None) -> dict[str, Any]:
    """An order as Razorpay shows it. `payments`: where they are expanded."""
    data, wire = data_of(one), wire_of(one.mills, one.currency)
    paid = wire if one.status == "paid" else 0
    shown = {
        "id": one.id,
        "entity": "order",
        "amount": wire,
        "amount_paid": paid,
        "amount_due": wire - paid,
        "currency": one.currency,
        "receipt": data["receipt"],
        "offer_id": None,
        "status": one.status,
        "attempts": data["attempts"],
        "notes": data["notes"] or [],
        "created_at": int(one.created),
    }
    return shown if payments is None else shown | {"payments": collection([payment(p) for p in payments])}


def payment(one: Object, do: Do | None = None) -> dict[str, Any]:
    """A payment as Razorpay shows it. `do`: a fault that the amount has to show."""
    data, currency = data_of(one), one.currency
    wire, failure = wire_of(one.mills, currency), data["failure"]
    failed = FAILURES[failure] if failure is not None and one.status == "failed" else None
    back = one.mills if one.status == "refunded" else one.refunded
    fee, tax = (data.get("fee"), data.get("tax")) if one.captured else (None, None)
    shown = {
        "id": one.id,
        "entity": "payment",
        "amount": wire,
        "currency": currency,
        "status": one.status,
        "order_id": one.parent,
        "invoice_id": None,
        "international": False,
        "method": "card",
        "amount_refunded": wire_of(back, currency),
        "refund_status": None if not back else "full" if back == one.mills else "partial",
        "captured": one.captured > 0,
        "description": None,
        "token_id": data["token"],
        "customer_id": data["customer_id"],
        "email": data["email"],
        "contact": data["contact"],
        "notes": data["notes"] or [],
        "fee": fee,
        "tax": tax,
        "error_code": failed.code if failed else None,
        "error_description": failed.description if failed else None,
        "error_source": "customer" if failed else None,
        "error_step": failed.step if failed else None,
        "error_reason": failure if failed else None,
        "acquirer_data": {"auth_code": "NA" if one.status in {"created", "failed"} else "AUTHED"},
        "created_at": int(one.created),
    }
    return about_other_money(shown, do)


def refund(one: Object, do: Do | None = None) -> dict[str, Any]:
    """A refund as Razorpay shows it. `do`: a fault that the amount has to show."""
    data = data_of(one)
    shown = {
        "id": one.id,
        "entity": "refund",
        "amount": wire_of(one.mills, one.currency),
        "currency": one.currency,
        "payment_id": one.payment,
        "notes": data["notes"] or [],
        "receipt": data["receipt"],
        "acquirer_data": {"arn": None},
        "created_at": int(one.created),
        "batch_id": None,
        "status": one.status,
        "speed_processed": "normal",
        "speed_requested": data["speed"],
    }
    return about_other_money(shown, do)


def collection(shown: list[dict[str, Any]]) -> dict[str, Any]:
    """A list of entities as Razorpay shows it."""
    return {"entity": "collection", "count": len(shown), "items": shown}


def about_other_money(shown: dict[str, Any], do: Do | None) -> dict[str, Any]:
    """Returns the entity with another amount, or another currency, than what was done."""
    if do == "wrong_amount":
        return shown | {"amount": shown["amount"] + 100}
    if do == "wrong_currency":
        return shown | {"currency": "EUR" if shown["currency"] != "EUR" else "USD"}
    return shown


def as_it_was(one: Object, at_first: str) -> Object:
    """The object before its last change of status. `at_first`: the status that it was created with."""
    status = one.earlier or at_first
    return one._replace(status=status, captured=one.captured if status == "captured" else 0, refunded=0)


def wire_of(mills: int, currency: str) -> int:
    """Mills as Razorpay's integer."""
    return CURRENCIES.integer(mills, currency)
