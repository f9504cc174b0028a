"""PayPal's objects as its interface shows them, made from the ledger's. An order's id in the ledger is
PayPal's; a payment's id is the one that AegisPay knows it by, and its `parent` is PayPal's.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson

from gateways.simulator.core.faults import Do
from gateways.simulator.core.rows import Object
from gateways.simulator.paypal.currencies import money

PARTS: Final = {"authorization": "authorizations", "capture": "captures", "refund": "refunds"}
MINIMAL: Final = frozenset({"id", "status", "links"})
_OTHER_MONEY: Final = 1000
_WAITS: Final = {"CREATED": "approve", "PAYER_ACTION_REQUIRED": "payer-action"}


@dataclass(frozen=True, slots=True)
class Renderer:
    """Writes PayPal's objects. `origin`: where the interface begins. `do`: a fault that the objects have to
    show."""

    origin: str
    do: Do | None = None

    def order(self, order: Object, payments: Sequence[Object]) -> dict[str, Any]:
        """An order with its payments, oldest first."""
        kept = orjson.loads(order.data)
        unit = {**kept["unit"], "amount": self._money(order, order.mills)}
        collection: dict[str, list[Any]] = {}
        for one in payments:
            collection.setdefault(PARTS[one.kind], []).append(self.payment(one))
        if collection:
            unit["payments"] = collection
        body = {
            "id": order.id,
            "intent": kept["intent"],
            "status": order.status,
            "purchase_units": [unit],
            "create_time": moment(order.created),
            "links": self._order_links(order),
        }
        return body | ({} if kept["of"] is None else {"payment_source": {kept["of"]: {}}})

    def payment(self, one: Object) -> dict[str, Any]:
        """An authorization, a capture or a refund, with what PayPal keeps of it."""
        kept = orjson.loads(one.data)
        status = (one.earlier or "PENDING") if self.do == "flap" else one.status
        body: dict[str, Any] = {
            "id": one.parent,
            "status": status,
            "amount": self._money(one, one.mills),
            **{name: kept[name] for name in ("custom_id", "invoice_id") if kept.get(name)},
            "create_time": moment(one.created),
            "update_time": moment(one.created),
            "links": [self._link("self", f"/v2/payments/{PARTS[one.kind]}/{one.parent}")],
            "supplementary_data": {"related_ids": kept["related"]},
        }
        if kept.get("processor") is not None:
            body["processor_response"] = {"response_code": kept["processor"]}
        if status == "PENDING":
            body["status_details"] = {"reason": "PENDING_REVIEW" if one.kind == "authorization" else "OTHER"}
        if one.kind == "capture":
            body["final_capture"] = kept["final"]
        return body | self._breakdown(one, status)

    def _breakdown(self, one: Object, status: str) -> dict[str, Any]:
        if status in {"PENDING", "DECLINED", "FAILED"} or one.kind == "authorization":
            return {}
        gross, fee = one.mills, orjson.loads(one.data).get("fee") or 0
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
        """The address of the page on which the payer agrees."""
        return f"{self.origin}/checkoutnow?token={order.id}"

    def _link(self, rel: str, path: str) -> dict[str, str]:
        return {"href": self.origin + path, "rel": rel, "method": "GET"}

    def _money(self, of: Object, mills: int) -> dict[str, str]:
        currency = of.currency
        if self.do == "wrong_currency":
            currency = "EUR" if currency == "USD" else "USD"
        return money(mills + (_OTHER_MONEY if self.do == "wrong_amount" else 0), currency)


def moment(at: float) -> str:
    """Unix seconds as PayPal writes them: UTC, to the second."""
    return datetime.fromtimestamp(int(at), UTC).isoformat().replace("+00:00", "Z")
