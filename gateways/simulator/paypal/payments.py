"""Captures of authorizations, voids and refunds, and what goes on by itself."""

from dataclasses import dataclass
from typing import Final

import orjson

from gateways.simulator.core import ids
from gateways.simulator.core.psp import DashboardAction, Turn
from gateways.simulator.core.rows import Moved, Object
from gateways.simulator.paypal import scenarios, wire
from gateways.simulator.paypal.currencies import CURRENCIES, money
from gateways.simulator.paypal.errors import missing, unfit
from gateways.simulator.paypal.orders import Orders
from gateways.simulator.paypal.store import GATEWAY, Store

_CAPTURABLE: Final = frozenset({"CREATED", "PARTIALLY_CAPTURED"})


@dataclass(frozen=True, slots=True)
class Payments:
    """The payments inside orders, once they hold or took money."""

    store: Store
    orders: Orders

    def capture(self, paypal_id: str, params: wire.Money, turn: Turn) -> Object:
        """Captures all that is left, or this amount. Raises `Refusal` (404, 422) with PayPal's issue."""
        authorization = self.store.payment(turn.account.name, "authorization", paypal_id)
        _refuse_unfit(authorization)
        if params.currency not in {None, authorization.currency}:
            raise unfit("AUTH_CAPTURE_CURRENCY_MISMATCH")
        left = authorization.capture_limit - authorization.captured
        mills = params.mills or max(authorization.mills - authorization.captured, 0)
        if mills > left or mills == 0:
            raise unfit("MAX_CAPTURE_AMOUNT_EXCEEDED")
        self.store.refuse_known_invoice(turn.account, params.invoice_id)
        order = self.store.order_of(authorization)
        capture = self.store.add(
            order,
            "capture",
            turn,
            related={"authorization_id": paypal_id},
            status="COMPLETED",
            mills=mills,
            reference=params.invoice_id or _operation(turn),
            payment=authorization.id,
            invoice_id=params.invoice_id,
            custom_id=orjson.loads(authorization.data)["custom_id"],
            final=params.final,
            fee=self.store.fee_mills(turn.account.name, mills, order.currency),
            captured=mills,
            capture_limit=mills,
        )
        taken = authorization.captured + mills
        over = params.final or taken >= authorization.capture_limit
        moved = [Moved("captured", capture.id, capture.reference, mills)]
        if over and taken < authorization.mills:
            moved.append(Moved("released", authorization.id, capture.reference, authorization.mills - taken))
        status = "CAPTURED" if over or taken >= authorization.mills else "PARTIALLY_CAPTURED"
        changed = authorization._replace(
            captured=taken, status=status, settles_at=None if over else authorization.settles_at
        )
        self.store.front.ledger.move(changed, moved, turn.now)
        self.store.store_event("PAYMENT.CAPTURE.COMPLETED", capture, turn.origin, turn.now)
        self._dispute_later(order, capture, turn.now)
        return capture

    def void(self, paypal_id: str, operation: str | None, turn: Turn) -> Object:
        """Releases a hold. `operation`: of AegisPay's, as far as the call names it. Raises `Refusal` (404,
        422)."""
        authorization = self.store.payment(turn.account.name, "authorization", paypal_id)
        if authorization.status == "VOIDED":
            raise unfit("PREVIOUSLY_VOIDED")
        if authorization.status == "CAPTURED":
            raise unfit("PREVIOUSLY_CAPTURED")
        if authorization.status not in _CAPTURABLE:
            raise unfit("CANNOT_BE_VOIDED")
        return self._release(authorization, operation, turn.origin, turn.now)

    def _release(self, authorization: Object, operation: str | None, origin: str, now: float) -> Object:
        moved = Moved("released", authorization.id, operation, authorization.mills - authorization.captured)
        changed = authorization._replace(status="VOIDED", settles_at=None)
        voided = self.store.front.ledger.move(changed, [moved], now)
        self.store.store_event("PAYMENT.AUTHORIZATION.VOIDED", voided, origin, now)
        return voided

    def refund(self, paypal_id: str, params: wire.Money, turn: Turn) -> Object:
        """Refunds all that is left of a capture, or this amount. Raises `Refusal` (404, 422) with PayPal's
        issue."""
        capture = self.store.payment(turn.account.name, "capture", paypal_id)
        if capture.status == "PENDING":
            raise unfit("PENDING_CAPTURE")
        if capture.status == "REFUNDED":
            raise unfit("CAPTURE_FULLY_REFUNDED")
        if capture.status not in {"COMPLETED", "PARTIALLY_REFUNDED"}:
            raise unfit("REFUND_NOT_ALLOWED")
        if params.currency not in {None, capture.currency}:
            raise unfit("REFUND_CAPTURE_CURRENCY_MISMATCH")
        mills = params.mills or capture.mills - capture.refunded
        if mills > capture.mills - capture.refunded:
            raise unfit("REFUND_AMOUNT_EXCEEDED")
        self.store.refuse_known_invoice(turn.account, params.invoice_id)
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
            mills=mills,
            reference=params.invoice_id or (params.custom_id if turn.keyed else None) or _operation(turn),
            payment=self.store.of(capture).id,
            invoice_id=params.invoice_id,
            custom_id=params.custom_id,
            settles_at=turn.now + self.store.front.settles_after_s if pending else None,
            may_move=pending,
        )
        if status != "FAILED":
            self._give_back(capture, mills)
        if status == "COMPLETED":
            self._given_back(refund, turn.origin, turn.now)
        return refund

    def dashboard(self, action: DashboardAction, turn: Turn) -> None:
        """Does what PayPal's own pages offer; what is made there has the custom id of what it was made of."""
        one = self._named(turn, "capture" if action.do == "refund" else "authorization", action.reference)
        mills = None if action.minor is None else CURRENCIES.mills(action.minor, one.currency)
        params = wire.Money(mills, None, None, action.reference, final=True)
        paypal_id = one.parent or ""
        if action.do == "refund":
            self.refund(paypal_id, params, turn)
        elif action.do == "capture":
            self.capture(paypal_id, params, turn)
        else:
            self.void(paypal_id, None, turn)

    def _named(self, turn: Turn, kind: str, custom_id: str) -> Object:
        """The last one with this custom id."""
        for one in self.store.front.ledger.find(GATEWAY, turn.account.name, kind=kind):
            if orjson.loads(one.data)["custom_id"] == custom_id:
                return one
        raise missing()

    def _give_back(self, capture: Object, mills: int) -> None:
        """Adds `mills` to what the capture has given back or has on its way; below 0: it did not arrive. A
        sale's capture is its own payment."""
        for one in {capture.id, capture.payment or capture.id}:
            current = self.store.front.ledger.one(GATEWAY, one)
            assert current is not None
            back = current.refunded + mills
            status = current.status
            if current.kind == "capture":
                status = (
                    "REFUNDED" if back == current.mills else "PARTIALLY_REFUNDED" if back else "COMPLETED"
                )
            self.store.front.ledger.change(current._replace(refunded=back, status=status))

    def _given_back(self, refund: Object, origin: str, now: float) -> None:
        moved = Moved("refunded", refund.id, refund.reference, refund.mills)
        self.store.front.ledger.move(self.store.of(refund), [moved], now)
        self.store.store_event("PAYMENT.CAPTURE.REFUNDED", refund, origin, now)

    def settle(self, now: float) -> None:
        """Does what is due by `now` (Unix seconds), each object in a transaction of its own."""
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
                self.store.store_event(
                    event, ledger.change(rested._replace(status=status)), kept["origin"], now
                )
            case "authorization", "PENDING":
                held = self.orders.held(rested._replace(status="CREATED"), now)
                self.store.store_event("PAYMENT.AUTHORIZATION.CREATED", held, kept["origin"], now)
            case "capture", "PENDING":
                held = self.orders.held(rested._replace(status="COMPLETED"), now)
                self.store.store_event("PAYMENT.CAPTURE.COMPLETED", held, kept["origin"], now)
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
        self._give_back(self.store.payment(refund.account, "capture", capture_id), -refund.mills)
        self.store.store_event("PAYMENT.REFUND.FAILED", settled, origin, now)

    def _dispute_later(self, order: Object, capture: Object, now: float) -> None:
        scenario = scenarios.chosen(orjson.loads(order.data)["method"])
        if scenario is not None and scenario.dispute is not None:
            self.store.front.ledger.change(
                capture._replace(settles_at=now + self.store.front.settles_after_s)
            )

    def _dispute(self, order: Object, capture: Object, scenario: scenarios.Scenario, now: float) -> None:
        """Sends the webhook of the dispute's beginning, and as much later that of its end. The payment's
        money does not move by it: the ledger has what the dispute has taken."""
        if scenario.dispute is None:
            return
        kept, data = orjson.loads(order.data), orjson.loads(capture.data)
        begun = data.get("dispute")
        dispute_shown = {
            "dispute_id": begun or f"PP-D-{ids.capitals(now)}",
            "reason": "UNAUTHORISED",
            "status": "RESOLVED" if begun else "WAITING_FOR_SELLER_RESPONSE",
            "dispute_life_cycle_stage": "INQUIRY" if scenario.inquiry else "CHARGEBACK",
            "dispute_amount": money(capture.mills, capture.currency),
            "disputed_transactions": [
                {
                    "seller_transaction_id": capture.parent,
                    "custom": data["custom_id"],
                    "invoice_number": data["invoice_id"],
                }
            ],
        }
        if begun:
            dispute_shown["dispute_outcome"] = {"outcome_code": scenario.dispute}
        else:
            data["dispute"] = dispute_shown["dispute_id"]
            again = now + self.store.front.settles_after_s
            self.store.front.ledger.change(
                capture._replace(data=orjson.dumps(data).decode(), settles_at=again)
            )
        given_back = scenario.inquiry or (begun and scenario.dispute == "RESOLVED_SELLER_FAVOUR")
        one = capture._replace(id=str(dispute_shown["dispute_id"]))
        self.store.front.ledger.disputed(one, data["custom_id"], 0 if given_back else capture.mills, now)
        event = "CUSTOMER.DISPUTE.RESOLVED" if begun else "CUSTOMER.DISPUTE.CREATED"
        self.store.store_event(event, capture, kept["origin"], now, dispute_shown)


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
