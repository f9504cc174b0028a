"""PayPal's objects as its interface shows them, made from the ledger's.

An order's id in the ledger is PayPal's; a payment's is the one that AegisPay knows it by, and PayPal's is its `parent`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from aggregates import money
from gateways.paypal import amounts
from gateways.simulator.faults import Do
from gateways.simulator.rows import Object

PARTS: Final = {"authorization": "authorizations", "capture": "captures", "refund": "refunds"}
MINIMAL: Final = frozenset({"id", "status", "links"})
_WAITS: Final = {"CREATED": "approve", "PAYER_ACTION_REQUIRED": "payer-action"}


@dataclass(frozen=True, slots=True)
class View:
    """`origin`: where the interface begins. `do`: what is to go wrong with what is shown."""

    origin: str
    do: Do | None = None

    def order(self, order: Object, payments: Sequence[Object]) -> dict[str, Any]:
        kept = orjson.loads(order.data)
        unit = {**kept["unit"], "amount": self._money(order, order.minor)}
        collection: dict[str, list[Any]] = {}
        for one in payments:
            collection.setdefault(PARTS[one.kind], []).append(self.payment(one))
        if collection:
            unit["payments"] = collection
        said = {
            "id": order.id,
            "intent": kept["intent"],
            "status": order.status,
            "purchase_units": [unit],
            "create_time": moment(order.created),
            "links": self._order_links(order),
        }
        return said | ({} if kept["of"] is None else {"payment_source": {kept["of"]: {}}})

    def payment(self, one: Object) -> dict[str, Any]:
        kept = orjson.loads(one.data)
        status = (one.earlier or "PENDING") if self.do == "flap" else one.status
        said: dict[str, Any] = {
            "id": one.parent,
            "status": status,
            "amount": self._money(one, one.minor),
            **{name: kept[name] for name in ("custom_id", "invoice_id") if kept.get(name)},
            "create_time": moment(one.created),
            "update_time": moment(one.created),
            "links": [self._link("self", f"/v2/payments/{PARTS[one.kind]}/{one.parent}")],
            "supplementary_data": {"related_ids": kept["related"]},
        }
        if kept.get("processor") is not None:
            said["processor_response"] = {"response_code": kept["processor"]}
        if status == "PENDING":
            said["status_details"] = {"reason": "PENDING_REVIEW" if one.kind == "authorization" else "OTHER"}
        if one.kind == "capture":
            said["final_capture"] = kept["final"]
        return said | self._breakdown(one, status)

    def _breakdown(self, one: Object, status: str) -> dict[str, Any]:
        if status in {"PENDING", "DECLINED", "FAILED"} or one.kind == "authorization":
            return {}
        gross, fee = one.minor, fee_minor(one)
        if one.kind == "refund":
            zero = self._money(one, 0)
            parts = {
                "gross_amount": self._money(one, gross),
                "paypal_fee": zero,
                "net_amount": self._money(one, gross),
            }
            return {"seller_payable_breakdown": parts}
        parts = {
            "gross_amount": self._money(one, gross),
            "paypal_fee": self._money(one, fee),
            "net_amount": self._money(one, gross - fee),
        }
        return {"seller_receivable_breakdown": parts}

    def _order_links(self, order: Object) -> list[dict[str, str]]:
        links = [self._link("self", f"/v2/checkout/orders/{order.id}")]
        if order.status in _WAITS:
            links.append(self._link(_WAITS[order.status], f"/checkoutnow?token={order.id}"))
        return links

    def page(self, order: Object) -> str:
        return f"{self.origin}/checkoutnow?token={order.id}"

    def _link(self, rel: str, path: str) -> dict[str, str]:
        return {"href": self.origin + path, "rel": rel, "method": "GET"}

    def _money(self, of: Object, minor: int) -> dict[str, str]:
        currency = of.currency
        if self.do == "wrong_currency":
            currency = "EUR" if currency == "USD" else "USD"
        return wire(minor + (100 if self.do == "wrong_amount" else 0), currency)


def wire(minor: int, currency: str) -> dict[str, str]:
    if minor > 0:
        return amounts.to_wire(minor, currency)
    return {
        "currency_code": currency,
        "value": "0" if "." not in amounts.to_wire(100, currency)["value"] else "0.00",
    }


def fee_minor(one: Object) -> int:
    """3.49 % and 49 hundredths, rounded down to what the currency can be written in."""
    smallest = 1 if "." in amounts.to_wire(100, one.currency)["value"] else 10 ** money.exponent(one.currency)
    fee = one.minor * 349 // 10_000 + 49
    return min(one.minor, fee) // smallest * smallest


def moment(at: float) -> str:
    return datetime.fromtimestamp(int(at), UTC).isoformat().replace("+00:00", "Z")
