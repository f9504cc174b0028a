"""Orders: created, agreed to by their payers, and taken once."""

from dataclasses import dataclass
from typing import Any

import orjson

from gateways.simulator import ids
from gateways.simulator.paypal import scenarios, wire
from gateways.simulator.paypal.errors import unfit
from gateways.simulator.paypal.shown import View
from gateways.simulator.paypal.store import GATEWAY, Store
from gateways.simulator.psp import Turn
from gateways.simulator.rows import Moved, Object


@dataclass(frozen=True, slots=True)
class Orders:
    store: Store

    def create(self, asked: wire.Create, turn: Turn) -> Object:
        source = asked.source
        kept: dict[str, Any] = {
            "intent": asked.intent,
            "unit": asked.unit,
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
                asked.minor,
                asked.currency,
                turn.now,
                reference=asked.reference,
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
            raise unfit("PAYER_ACTION_REQUIRED", page=View(turn.origin).page(order))
        scenario = scenarios.chosen(orjson.loads(order.data)["method"])
        if scenario is None:
            raise unfit("TOKEN_ID_NOT_FOUND")
        asked_for = scenario.challenge or (source is not None and source.always_3ds and source.of == "card")
        if asked_for and order.status != "APPROVED":
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
        settles_at = turn.now + scenarios.SETTLES_AFTER_S if scenario.pending else None
        if status == "CREATED" and life_s:
            settles_at = turn.now + life_s
        one = self.store.add(
            order,
            kind,
            turn,
            related={},
            status=status,
            minor=order.minor,
            reference=order.reference,
            invoice_id=invoice,
            custom_id=kept["unit"].get("custom_id"),
            processor=processor if kept["of"] == "card" else None,
            capture_limit=_limit(order.minor, turn),
            settles_at=settles_at,
            may_move=status == "PENDING",
        )
        if status in {"CREATED", "COMPLETED"}:
            one = self.held(one, turn.now)
        if status == "COMPLETED" and scenario.dispute is not None:
            due = turn.now + scenarios.SETTLES_AFTER_S
            one = self.store.front.ledger.change(one._replace(settles_at=due))
        self.store.tell(_EVENTS[kind, status], one, turn.origin, turn.now)
        return self.store.keep(order, "COMPLETED")

    def held(self, one: Object, now: float) -> Object:
        """The money of an authorization, or of a sale, is there."""
        if one.kind == "authorization":
            moved = Moved("authorized", one.id, one.reference, one.minor)
            return self.store.front.ledger.move(one._replace(authorized=one.minor), [moved], now)
        moved = Moved("captured", one.id, one.reference, one.minor)
        return self.store.front.ledger.move(one._replace(captured=one.minor), [moved], now)

    def _hits(self, scenario: scenarios.Scenario, order: Object, turn: Turn) -> bool:
        front = self.store.front
        if scenario.at_first:
            return front.accounts.is_first(turn.account)
        payment = (order.reference or order.id).partition("-")[0]
        return scenario.declines is None or front.spent.take(f"declined/{payment}", scenario.declines)

    def agree(self, order: Object, now: float) -> Object:
        """As the payer does on PayPal's page."""
        order = self.store.keep(order, "APPROVED")
        self.store.tell("CHECKOUT.ORDER.APPROVED", order, orjson.loads(order.data)["origin"], now)
        return order


def _first_status(kind: str, *, pending: bool, declined: bool) -> str:
    if pending:
        return "PENDING"
    if kind == "authorization":
        return "DENIED" if declined else "CREATED"
    return "DECLINED" if declined else "COMPLETED"


def _limit(minor: int, turn: Turn) -> int:
    return minor + minor * turn.account.number("overcapture_percent") // 100


_EVENTS: dict[tuple[str, str], Any] = {
    ("authorization", "CREATED"): "PAYMENT.AUTHORIZATION.CREATED",
    ("authorization", "PENDING"): "PAYMENT.AUTHORIZATION.CREATED",
    ("authorization", "DENIED"): "PAYMENT.AUTHORIZATION.DENIED",
    ("capture", "COMPLETED"): "PAYMENT.CAPTURE.COMPLETED",
    ("capture", "PENDING"): "PAYMENT.CAPTURE.PENDING",
    ("capture", "DECLINED"): "PAYMENT.CAPTURE.DECLINED",
}
