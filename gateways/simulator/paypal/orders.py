"""Orders: created, agreed to by their payers, and taken once."""

from dataclasses import dataclass
from typing import Any

import orjson

from gateways.simulator.core import ids
from gateways.simulator.core.psp import Turn, payment_of
from gateways.simulator.core.rows import Moved, Object
from gateways.simulator.paypal import scenarios, wire
from gateways.simulator.paypal.errors import unfit
from gateways.simulator.paypal.shown import Renderer
from gateways.simulator.paypal.store import GATEWAY, Store


@dataclass(frozen=True, slots=True)
class Orders:
    """Takes orders: at once, or once their payer has agreed."""

    store: Store

    def create(self, params: wire.Create, turn: Turn) -> Object:
        """Creates an order, and takes it if it has a payment source that needs no payer."""
        source = params.source
        kept: dict[str, Any] = {
            "intent": params.intent,
            "unit": params.unit,
            "of": None if source is None else source.of,
            "method": None if source is None else source.method,
            "pages": {} if source is None else {"return": source.return_url, "cancel": source.cancel_url},
            "origin": turn.origin,
            "payments": [],
        }
        waits = source is not None and source.method is None
        order = self.store.front.ledger.add(
            Object(
                GATEWAY,
                ids.capitals(turn.now),
                turn.account.name,
                "order",
                "PAYER_ACTION_REQUIRED" if waits else "CREATED",
                params.mills,
                params.currency,
                turn.now,
                reference=params.reference,
                data=orjson.dumps(kept).decode(),
            )
        )
        if source is None or source.method is None:
            return order
        return self.take(order.id, source, turn)

    def take(self, order_id: str, source: wire.Source | None, turn: Turn) -> Object:
        """Authorizes or captures it, as it was created for."""
        order = self.store.order(turn.account.name, order_id)
        kept = orjson.loads(order.data)
        if kept["payments"]:
            raise unfit(
                "ORDER_ALREADY_AUTHORIZED" if kept["intent"] == "AUTHORIZE" else "ORDER_ALREADY_CAPTURED"
            )
        if source is not None and source.method is not None and order.status == "CREATED":
            pages = {"return": source.return_url, "cancel": source.cancel_url}
            order = self.store.keep(order, of=source.of, method=source.method, pages=pages)
        elif order.status != "APPROVED":
            raise unfit("PAYER_ACTION_REQUIRED", page=Renderer(turn.origin).page(order))
        scenario = scenarios.chosen(orjson.loads(order.data)["method"])
        if scenario is None:
            raise unfit("TOKEN_ID_NOT_FOUND")
        needs_challenge = scenario.challenge or (
            source is not None and source.always_3ds and source.of == "card"
        )
        if needs_challenge and order.status != "APPROVED":
            return self.store.keep(order, "PAYER_ACTION_REQUIRED")
        return self._take(order, scenario, turn)

    def _take(self, order: Object, scenario: scenarios.Scenario, turn: Turn) -> Object:
        kept = orjson.loads(order.data)
        invoice = kept["unit"].get("invoice_id")
        self.store.refuse_known_invoice(turn.account, invoice)
        if scenario.issue is not None and self._hits(scenario, order, turn):
            raise unfit(scenario.issue)
        declined = scenario.processor is not None and self._hits(scenario, order, turn)
        processor = scenario.processor if declined and not scenario.pending else "0000"
        kind = "authorization" if kept["intent"] == "AUTHORIZE" else "capture"
        status = _first_status(kind, pending=scenario.pending, declined=declined)
        life_s = turn.account.number("authorization_life_s") if kind == "authorization" else 0
        settles_at = turn.now + self.store.front.settles_after_s if scenario.pending else None
        if status == "CREATED" and life_s:
            settles_at = turn.now + life_s
        one = self.store.add(
            order,
            kind,
            turn,
            related={},
            status=status,
            mills=order.mills,
            reference=order.reference,
            invoice_id=invoice,
            custom_id=kept["unit"].get("custom_id"),
            processor=processor if kept["of"] == "card" else None,
            capture_limit=_limit(order.mills, turn),
            settles_at=settles_at,
            may_move=status == "PENDING",
        )
        if status in {"CREATED", "COMPLETED"}:
            one = self.held(one, turn.now)
        if status == "COMPLETED" and scenario.dispute is not None:
            due = turn.now + self.store.front.settles_after_s
            one = self.store.front.ledger.change(one._replace(settles_at=due))
        self.store.store_event(_EVENTS[kind, status], one, turn.origin, turn.now)
        return self.store.keep(order, "COMPLETED")

    def held(self, one: Object, now: float) -> Object:
        """Enters the money of an authorization, or of a sale, as held or taken."""
        if one.kind == "authorization":
            moved = Moved("authorized", one.id, one.reference, one.mills)
            return self.store.front.ledger.move(one._replace(authorized=one.mills), [moved], now)
        moved = Moved("captured", one.id, one.reference, one.mills)
        fee = self.store.fee_mills(one.account, one.mills, one.currency)
        data = orjson.dumps(orjson.loads(one.data) | {"fee": fee}).decode()
        return self.store.front.ledger.move(one._replace(captured=one.mills, data=data), [moved], now)

    def _hits(self, scenario: scenarios.Scenario, order: Object, turn: Turn) -> bool:
        payment = payment_of(order.reference) or order.id
        return self.store.front.declines(scenario.declines, payment, turn.account)

    def agree(self, order: Object, now: float) -> Object:
        """Marks the order as agreed to by its payer, on PayPal's page."""
        order = self.store.keep(order, "APPROVED")
        self.store.store_event("CHECKOUT.ORDER.APPROVED", order, orjson.loads(order.data)["origin"], now)
        return order


def _first_status(kind: str, *, pending: bool, declined: bool) -> str:
    if pending:
        return "PENDING"
    if kind == "authorization":
        return "DENIED" if declined else "CREATED"
    return "DECLINED" if declined else "COMPLETED"


def _limit(mills: int, turn: Turn) -> int:
    return mills + mills * turn.account.number("overcapture_percent") // 100


_EVENTS: dict[tuple[str, str], Any] = {
    ("authorization", "CREATED"): "PAYMENT.AUTHORIZATION.CREATED",
    ("authorization", "PENDING"): "PAYMENT.AUTHORIZATION.CREATED",
    ("authorization", "DENIED"): "PAYMENT.AUTHORIZATION.DENIED",
    ("capture", "COMPLETED"): "PAYMENT.CAPTURE.COMPLETED",
    ("capture", "PENDING"): "PAYMENT.CAPTURE.PENDING",
    ("capture", "DECLINED"): "PAYMENT.CAPTURE.DECLINED",
}
