"""Captures of authorizations, voids and refunds; and what goes on by itself."""

from dataclasses import dataclass
from typing import Final

import orjson

from gateways.simulator import ids
from gateways.simulator.paypal import scenarios, wire
from gateways.simulator.paypal.errors import unfit
from gateways.simulator.paypal.orders import Orders
from gateways.simulator.paypal.shown import wire as written
from gateways.simulator.paypal.store import GATEWAY, Store
from gateways.simulator.psp import Turn
from gateways.simulator.rows import Moved, Object

_CAPTURABLE: Final = frozenset({"CREATED", "PARTIALLY_CAPTURED"})


@dataclass(frozen=True, slots=True)
class Payments:
    store: Store
    orders: Orders

    def capture(self, paypal_id: str, asked: wire.Money, turn: Turn) -> Object:
        authorization = self.store.payment(turn.account.name, "authorization", paypal_id)
        _refuse_unfit(authorization)
        if asked.currency not in {None, authorization.currency}:
            raise unfit("AUTH_CAPTURE_CURRENCY_MISMATCH")
        left = authorization.capture_limit - authorization.captured
        minor = asked.minor or max(authorization.minor - authorization.captured, 0)
        if minor > left or minor == 0:
            raise unfit("MAX_CAPTURE_AMOUNT_EXCEEDED")
        self.store.refuse_known_invoice(turn.account, asked.invoice_id)
        order = self.store.order_of(authorization)
        capture = self.store.add(
            order,
            "capture",
            turn,
            related={"authorization_id": paypal_id},
            status="COMPLETED",
            minor=minor,
            reference=asked.invoice_id or _operation(turn),
            payment=authorization.id,
            invoice_id=asked.invoice_id,
            custom_id=orjson.loads(authorization.data)["custom_id"],
            final=asked.final,
            captured=minor,
            capture_limit=minor,
        )
        taken = authorization.captured + minor
        over = asked.final or taken >= authorization.capture_limit
        moved = [Moved("captured", capture.id, capture.reference, minor)]
        if over and taken < authorization.minor:
            moved.append(Moved("released", authorization.id, capture.reference, authorization.minor - taken))
        status = "CAPTURED" if over or taken >= authorization.minor else "PARTIALLY_CAPTURED"
        changed = authorization._replace(
            captured=taken, status=status, settles_at=None if over else authorization.settles_at
        )
        self.store.front.ledger.move(changed, moved, turn.now)
        self.store.tell("PAYMENT.CAPTURE.COMPLETED", capture, turn.origin, turn.now)
        self._dispute_later(order, capture, turn.now)
        return capture

    def void(self, paypal_id: str, operation: str | None, turn: Turn) -> Object:
        """`operation`: for which of AegisPay's it is done, as far as the call says."""
        authorization = self.store.payment(turn.account.name, "authorization", paypal_id)
        if authorization.status == "VOIDED":
            raise unfit("PREVIOUSLY_VOIDED")
        if authorization.status == "CAPTURED":
            raise unfit("PREVIOUSLY_CAPTURED")
        if authorization.status not in _CAPTURABLE:
            raise unfit("CANNOT_BE_VOIDED")
        return self._release(authorization, operation, turn.origin, turn.now)

    def _release(self, authorization: Object, operation: str | None, origin: str, now: float) -> Object:
        moved = Moved("released", authorization.id, operation, authorization.minor - authorization.captured)
        changed = authorization._replace(status="VOIDED", settles_at=None)
        voided = self.store.front.ledger.move(changed, [moved], now)
        self.store.tell("PAYMENT.AUTHORIZATION.VOIDED", voided, origin, now)
        return voided

    def refund(self, paypal_id: str, asked: wire.Money, turn: Turn) -> Object:
        capture = self.store.payment(turn.account.name, "capture", paypal_id)
        if capture.status == "PENDING":
            raise unfit("PENDING_CAPTURE")
        if capture.status == "REFUNDED":
            raise unfit("CAPTURE_FULLY_REFUNDED")
        if capture.status not in {"COMPLETED", "PARTIALLY_REFUNDED"}:
            raise unfit("REFUND_NOT_ALLOWED")
        if asked.currency not in {None, capture.currency}:
            raise unfit("REFUND_CAPTURE_CURRENCY_MISMATCH")
        minor = asked.minor or capture.minor - capture.refunded
        if minor > capture.minor - capture.refunded:
            raise unfit("REFUND_AMOUNT_EXCEEDED")
        self.store.refuse_known_invoice(turn.account, asked.invoice_id)
        order = self.store.order_of(capture)
        scenario = scenarios.chosen(orjson.loads(order.data)["method"]) or scenarios.SUCCESS
        pending = scenario.refund in {"pending", "pending_fails"}
        status = "PENDING" if pending else "FAILED" if scenario.refund == "failed" else "COMPLETED"
        refund = self.store.add(
            order,
            "refund",
            turn,
            related={"capture_id": paypal_id},
            status=status,
            minor=minor,
            reference=asked.invoice_id or asked.custom_id or _operation(turn),
            payment=self.store.of(capture).id,
            invoice_id=asked.invoice_id,
            custom_id=asked.custom_id,
            settles_at=turn.now + scenarios.SETTLES_AFTER_S if pending else None,
            may_move=pending,
        )
        if status != "FAILED":
            self._give_back(capture, minor)
        if status == "COMPLETED":
            self._given_back(refund, turn.origin, turn.now)
        return refund

    def _give_back(self, capture: Object, minor: int) -> None:
        """Given back or on its way; `minor` below 0: it did not arrive. A sale's capture is its own payment."""
        for one in {capture.id, capture.payment or capture.id}:
            current = self.store.front.ledger.one(GATEWAY, one)
            assert current is not None
            back = current.refunded + minor
            status = current.status
            if current.kind == "capture":
                status = (
                    "REFUNDED" if back == current.minor else "PARTIALLY_REFUNDED" if back else "COMPLETED"
                )
            self.store.front.ledger.change(current._replace(refunded=back, status=status))

    def _given_back(self, refund: Object, origin: str, now: float) -> None:
        moved = Moved("refunded", refund.id, refund.reference, refund.minor)
        self.store.front.ledger.move(self.store.of(refund), [moved], now)
        self.store.tell("PAYMENT.CAPTURE.REFUNDED", refund, origin, now)

    def settle(self, now: float) -> None:
        due = self.store.front.ledger.due_to_settle(GATEWAY, now)
        for one in due:
            with self.store.front.ledger.writing():
                self._settle(one, now)

    def _settle(self, one: Object, now: float) -> None:
        order = self.store.order_of(one)
        kept = orjson.loads(order.data)
        scenario = scenarios.chosen(kept["method"]) or scenarios.SUCCESS
        ledger, rested = self.store.front.ledger, one._replace(settles_at=None, may_move=False)
        match one.kind, one.status:
            case "refund", "PENDING":
                self._settle_refund(rested, kept["origin"], now, fails=scenario.refund == "pending_fails")
            case _, "PENDING" if scenario.processor is not None:
                status = "DENIED" if one.kind == "authorization" else "DECLINED"
                event = (
                    f"PAYMENT.{one.kind.upper()}.{'DENIED' if one.kind == 'authorization' else 'DECLINED'}"
                )
                self.store.tell(event, ledger.change(rested._replace(status=status)), kept["origin"], now)
            case "authorization", "PENDING":
                held = self.orders.held(rested._replace(status="CREATED"), now)
                self.store.tell("PAYMENT.AUTHORIZATION.CREATED", held, kept["origin"], now)
            case "capture", "PENDING":
                held = self.orders.held(rested._replace(status="COMPLETED"), now)
                self.store.tell("PAYMENT.CAPTURE.COMPLETED", held, kept["origin"], now)
            case "authorization", ("CREATED" | "PARTIALLY_CAPTURED"):
                self._release(rested, rested.reference, kept["origin"], now)
            case _:
                self._dispute(order, ledger.change(rested), scenario, now)

    def _settle_refund(self, refund: Object, origin: str, now: float, *, fails: bool) -> None:
        ledger = self.store.front.ledger
        settled = ledger.change(refund._replace(status="FAILED" if fails else "COMPLETED"))
        if not fails:
            self._given_back(settled, origin, now)
            return
        capture_id = orjson.loads(refund.data)["related"]["capture_id"]
        self._give_back(self.store.payment(refund.account, "capture", capture_id), -refund.minor)
        self.store.tell("PAYMENT.REFUND.FAILED", settled, origin, now)

    def _dispute_later(self, order: Object, capture: Object, now: float) -> None:
        scenario = scenarios.chosen(orjson.loads(order.data)["method"])
        if scenario is not None and scenario.dispute is not None:
            self.store.front.ledger.change(capture._replace(settles_at=now + scenarios.SETTLES_AFTER_S))

    def _dispute(self, order: Object, capture: Object, scenario: scenarios.Scenario, now: float) -> None:
        """First that it is begun, and as much later how it ended. The ledger's money does not move by it."""
        if scenario.dispute is None:
            return
        kept, data = orjson.loads(order.data), orjson.loads(capture.data)
        begun = data.get("dispute")
        said = {
            "dispute_id": begun or f"PP-D-{ids.capitals(now)}",
            "reason": "UNAUTHORISED",
            "status": "RESOLVED" if begun else "WAITING_FOR_SELLER_RESPONSE",
            "dispute_amount": written(capture.minor, capture.currency),
            "disputed_transactions": [
                {
                    "seller_transaction_id": capture.parent,
                    "custom": data["custom_id"],
                    "invoice_number": data["invoice_id"],
                }
            ],
        }
        if begun:
            said["dispute_outcome"] = {"outcome_code": scenario.dispute}
        else:
            data["dispute"] = said["dispute_id"]
            again = now + scenarios.SETTLES_AFTER_S
            self.store.front.ledger.change(
                capture._replace(data=orjson.dumps(data).decode(), settles_at=again)
            )
        event = "CUSTOMER.DISPUTE.RESOLVED" if begun else "CUSTOMER.DISPUTE.CREATED"
        self.store.tell(event, capture, kept["origin"], now, said)


def _refuse_unfit(authorization: Object) -> None:
    match authorization.status:
        case "VOIDED":
            raise unfit("AUTHORIZATION_VOIDED")
        case "CAPTURED":
            raise unfit("AUTHORIZATION_ALREADY_CAPTURED")
        case "DENIED" | "PENDING":
            raise unfit("AUTHORIZATION_DENIED")


def _operation(turn: Turn) -> str | None:
    return None if turn.keyed is None else turn.keyed.operation
