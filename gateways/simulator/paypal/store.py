"""PayPal's objects in the ledger, and what is told of them. Everything here runs inside a transaction.

An order moves nothing itself. The authorization, or a sale's capture, is the payment that its money moves under; its
id is the one that AegisPay knows it by.
"""

from dataclasses import dataclass
from typing import Any, Final

import orjson

from gateways.paypal import names
from gateways.simulator import ids
from gateways.simulator.front import Front
from gateways.simulator.paypal.errors import missing, unfit
from gateways.simulator.paypal.shown import PARTS, View, moment
from gateways.simulator.psp import Turn
from gateways.simulator.rows import Object

GATEWAY: Final = "paypal"


@dataclass(frozen=True, slots=True)
class Store:
    front: Front

    def order(self, account: str, order_id: str) -> Object:
        found = self.front.ledger.one(GATEWAY, order_id)
        if found is None or found.account != account or found.kind != "order":
            raise missing()
        return found

    def payment(self, account: str, kind: str, paypal_id: str) -> Object:
        found = self.front.ledger.find(GATEWAY, account, kind=kind, parent=paypal_id, limit=1)
        if not found:
            raise missing()
        return found[0]

    def of(self, one: Object) -> Object:
        """The payment that its money moves under."""
        found = self.front.ledger.one(GATEWAY, one.payment or one.id)
        assert found is not None, "a payment is not forgotten"
        return found

    def order_of(self, one: Object) -> Object:
        return self.order(one.account, orjson.loads(one.data)["related"]["order_id"])

    def inside(self, order: Object) -> list[Object]:
        """The payments of an order, oldest first."""
        listed = orjson.loads(order.data)["payments"]
        found = [self.front.ledger.one(GATEWAY, one) for one in listed]
        return [one for one in found if one is not None]

    def add(self, order: Object, kind: str, turn: Turn, *, related: dict[str, str], **fields: Any) -> Object:
        """A payment of this order, told of as it is. `fields`: of the object, and beside them of its data: `invoice_id`,
        `custom_id`, `processor`, `final`."""
        paypal_id = ids.capitals(turn.now)
        kept = {name: fields.pop(name, None) for name in ("invoice_id", "custom_id", "processor")}
        kept |= {"final": fields.pop("final", True), "related": {"order_id": order.id} | related}
        part: Any = PARTS[kind]
        one = Object(
            GATEWAY,
            names.inside(order.id, part, paypal_id),
            turn.account.name,
            kind,
            created=turn.now,
            currency=order.currency,
            parent=paypal_id,
            data=orjson.dumps(kept).decode(),
            **fields,
        )
        one = self.front.ledger.add(one)
        self.keep(order, payments=[*orjson.loads(order.data)["payments"], one.id])
        return one

    def keep(self, order: Object, status: str | None = None, **data: Any) -> Object:
        current = self.order(order.account, order.id)
        kept = orjson.loads(current.data) | data
        return self.front.ledger.change(
            current._replace(status=status or current.status, data=orjson.dumps(kept).decode())
        )

    def refuse_known_invoice(self, account: Any, invoice_id: str | None) -> None:
        """Where the account wants each invoice once: no two payments that took something have the same."""
        if not account.flag("unique_invoices") or invoice_id is None:
            return
        for one in self.front.ledger.find(GATEWAY, account.name, reference=invoice_id):
            if one.kind in PARTS and one.status not in {"DENIED", "DECLINED", "FAILED"}:
                raise unfit("DUPLICATE_INVOICE_ID")

    def tell(self, event_type: str, one: Object, origin: str, now: float, resource: Any = None) -> None:
        """Nothing where the account takes no webhooks."""
        account = self.front.accounts.named(GATEWAY, one.account)
        if account is None or account.webhook_url is None:
            return
        event_id = f"WH-{ids.capitals(now)}"
        view = View(origin)
        if resource is None:
            resource = view.order(one, self.inside(one)) if one.kind == "order" else view.payment(one)
        event = {
            "id": event_id,
            "event_version": "1.0",
            "create_time": moment(now),
            "resource_type": {"order": "checkout-order"}.get(one.kind, one.kind),
            "resource_version": "2.0",
            "event_type": event_type,
            "summary": event_type.replace(".", " ").capitalize(),
            "resource": resource,
            "links": [
                {
                    "href": f"{origin}/v1/notifications/webhooks-events/{event_id}",
                    "rel": "self",
                    "method": "GET",
                }
            ],
        }
        self.front.hooks.tell(account, event_id, event_type, one.reference or one.id, orjson.dumps(event))
