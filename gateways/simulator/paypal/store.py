"""PayPal's objects in the ledger, and their webhooks. Everything here runs inside a transaction. An order
moves no money itself: the authorization, or a sale's capture, is the payment whose money moves, and AegisPay
knows the payment by that one's id.
"""

from dataclasses import dataclass
from typing import Any, Final

import orjson

from gateways.simulator.core import ids
from gateways.simulator.core.front import Front
from gateways.simulator.core.psp import Turn
from gateways.simulator.core.rows import Object
from gateways.simulator.paypal.errors import missing, unfit
from gateways.simulator.paypal.shown import PARTS, Renderer, moment

GATEWAY: Final = "paypal"


@dataclass(frozen=True, slots=True)
class Store:
    """Reads and writes PayPal's objects."""

    front: Front

    def order(self, account: str, order_id: str) -> Object:
        """The account's order. Raises `Refusal` (404) where there is none."""
        found = self.front.ledger.one(GATEWAY, order_id)
        if found is None or found.account != account or found.kind != "order":
            raise missing()
        return found

    def payment(self, account: str, kind: str, paypal_id: str) -> Object:
        """The account's authorization, capture or refund by PayPal's id. Raises `Refusal` (404) where there
        is none."""
        found = self.front.ledger.find(GATEWAY, account, kind=kind, parent=paypal_id, limit=1)
        if not found:
            raise missing()
        return found[0]

    def of(self, one: Object) -> Object:
        """The payment whose money an object moves."""
        found = self.front.ledger.one(GATEWAY, one.payment or one.id)
        assert found is not None, "a payment is not forgotten"
        return found

    def order_of(self, one: Object) -> Object:
        """The order that a payment belongs to."""
        return self.order(one.account, orjson.loads(one.data)["related"]["order_id"])

    def inside(self, order: Object) -> list[Object]:
        """The payments of an order, oldest first."""
        listed = orjson.loads(order.data)["payments"]
        found = [self.front.ledger.one(GATEWAY, one) for one in listed]
        return [one for one in found if one is not None]

    def add(self, order: Object, kind: str, turn: Turn, *, related: dict[str, str], **fields: Any) -> Object:
        """Adds a payment to the order. `fields`: of the object, and of its data `invoice_id`, `custom_id`,
        `processor`, `fee` and `final`."""
        paypal_id = ids.capitals(turn.now)
        kept = {name: fields.pop(name, None) for name in ("invoice_id", "custom_id", "processor", "fee")}
        kept |= {"final": fields.pop("final", True), "related": {"order_id": order.id} | related}
        one = Object(
            GATEWAY,
            f"orders/{order.id}/{PARTS[kind]}/{paypal_id}",
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

    def fee_mills(self, account: str, mills: int, currency: str) -> int:
        """Returns what PayPal keeps of a capture."""
        kept = self.front.ledger.fees.of(GATEWAY, account, "captured", mills, currency)
        return 0 if kept is None else kept.mills

    def keep(self, order: Object, status: str | None = None, **data: Any) -> Object:
        """Changes an order's status and these fields of its data."""
        current = self.order(order.account, order.id)
        kept = orjson.loads(current.data) | data
        return self.front.ledger.change(
            current._replace(status=status or current.status, data=orjson.dumps(kept).decode())
        )

    def refuse_known_invoice(self, account: Any, invoice_id: str | None) -> None:
        """Raises `Refusal` (422) where the account wants each invoice id once, and a payment that took money
        has this one."""
        if not account.flag("unique_invoices") or invoice_id is None:
            return
        for one in self.front.ledger.find(GATEWAY, account.name, reference=invoice_id):
            if one.kind in PARTS and one.status not in {"DENIED", "DECLINED", "FAILED"}:
                raise unfit("DUPLICATE_INVOICE_ID")

    def store_event(
        self, event_type: str, one: Object, origin: str, now: float, resource: Any = None
    ) -> None:
        """Stores the webhook of an event; nothing where the account takes none. `resource`: None: the object
        itself."""
        account = self.front.accounts.named(GATEWAY, one.account)
        if account is None or account.webhook_url is None:
            return
        event_id = f"WH-{ids.capitals(now)}"
        renderer = Renderer(origin)
        if resource is None:
            resource = renderer.order(one, self.inside(one)) if one.kind == "order" else renderer.payment(one)
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
        self.front.webhooks.store(account, event_id, event_type, one.reference or one.id, orjson.dumps(event))
