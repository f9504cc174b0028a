"""What happens to orders and payments: decided here, inside one transaction with its answer and its events.

No payment here may move money by itself or by its customer, who can have it authorized at most: what is not captured is
given back. So none is marked as one that may; and of a sale only the capture is entered as a movement.
"""

import hmac
import re
from dataclasses import dataclass
from typing import Final

from gateways.simulator import ids
from gateways.simulator.accounts import Account
from gateways.simulator.front import Front
from gateways.simulator.psp import Answer, Refusal, Turn
from gateways.simulator.razorpay import disputes, entities, wire
from gateways.simulator.razorpay.entities import GATEWAY, data_of, packed
from gateways.simulator.razorpay.events import Events, signed_return
from gateways.simulator.razorpay.scenarios import FAILURES, LATE_AFTER_S, TOKENS, Scenario
from gateways.simulator.rows import Moved, Object

_CHALLENGE_LIFE_S: Final = 600
_SALE: Final = re.compile(r"[0-9a-f]{32}-s[0-9]+")


@dataclass(frozen=True, slots=True)
class Payments:
    front: Front
    events: Events

    def order(self, asked: wire.Order, turn: Turn) -> Answer:
        data = {
            "receipt": asked.receipt,
            "notes": asked.notes,
            "attempts": 0,
            "automatic": asked.automatic,
            "uncaptured_life_s": asked.uncaptured_life_min * 60,
        }
        one = self.front.ledger.add(
            Object(
                *(GATEWAY, f"order_{ids.letters(turn.now)}", turn.account.name, "order", "created"),
                *(asked.minor, asked.currency, turn.now, asked.receipt),
                data=packed(data),
            )
        )
        return Answer.json(200, entities.about_other_money(entities.order(one), turn.do))

    def create(self, asked: wire.Payment, turn: Turn) -> Answer:
        order = self.known(turn.account, asked.order_id, "order", field="order_id")
        if order.status == "paid" or any(one.status == "authorized" for one in self.of_order(order)):
            raise wire.invalid("Order already paid", reason="order_already_paid")
        if (asked.wire, asked.currency) != (entities.wire_of(order.minor, order.currency), order.currency):
            text = "Payment amount is different from your order amount."
            raise wire.invalid(text, reason="order_amount_mismatch")
        failure = self._failure(asked, order, turn.account)
        status = "created" if asked.scenario.asks else "failed" if failure else "authorized"
        one = self._added(asked, order, status, failure, turn)
        data = data_of(order)
        order = order._replace(status="attempted", data=packed(data | {"attempts": data["attempts"] + 1}))
        self.front.ledger.change(order)
        match status:
            case "created":
                url = f"{turn.origin}/bank/{one.id}/{data_of(one)['secret']}"
                body = {"razorpay_payment_id": one.id, "next": [{"action": "redirect", "url": url}]}
                return Answer.json(200, body)
            case "failed":
                self.events.payment("failed", one)
                return _failed(one)
            case _:
                self._authorize(one, turn.now)
                return Answer.json(200, signed_return(order.id, one.id, turn.account))

    def _added(
        self, asked: wire.Payment, order: Object, status: str, failure: str | None, turn: Turn
    ) -> Object:
        life_s = turn.account.number("challenge_life_s", _CHALLENGE_LIFE_S)
        settles_in_s = life_s if status == "created" else LATE_AFTER_S if asked.scenario.late else None
        data = {
            "token": asked.token,
            "customer_id": asked.customer_id,
            "email": asked.email,
            "contact": asked.contact,
            "notes": asked.notes,
            "callback_url": asked.callback_url,
            "failure": failure,
            "secret": ids.letters(turn.now, 22),
        }
        return self.front.ledger.add(
            Object(
                *(GATEWAY, f"pay_{ids.letters(turn.now)}", turn.account.name, "payment", status),
                *(order.minor, order.currency, turn.now),
                reference=asked.notes.get("order_ref") or order.reference,
                parent=order.id,
                data=packed(data),
                settles_at=None if settles_in_s is None else turn.now + settles_in_s,
                capture_limit=order.minor,
            )
        )

    def _failure(self, asked: wire.Payment, order: Object, account: Account) -> str | None:
        scenario: Scenario = asked.scenario
        if scenario.at_first and not self.front.accounts.is_first(account):
            return None
        payment = (order.reference or "").partition("-")[0] or None
        if scenario.declines is not None and not self.front.spent.take(payment, scenario.declines):
            return None
        return scenario.failure

    def _authorize(self, one: Object, now: float) -> Object:
        """By its bank, at once, after the OTP, or late."""
        order = self._parent(one)
        account = self.front.accounts.named(GATEWAY, one.account)
        life_s = data_of(order)["uncaptured_life_s"]
        if account is not None:
            life_s = account.number("uncaptured_life_s", life_s)
        one = one._replace(status="authorized", settles_at=now + life_s)
        if _SALE.fullmatch(one.reference or ""):
            one = self.front.ledger.change(one)
        else:
            held = [Moved("authorized", one.id, one.reference, one.minor)]
            one = self.front.ledger.move(one._replace(authorized=one.minor), held, now)
        self.events.payment("authorized", one)
        return self._take(one, one.reference, now) if data_of(order)["automatic"] else one

    def capture(self, one: Object, asked: tuple[int, str], operation: str | None, turn: Turn) -> Answer:
        one = self.known(turn.account, one.id, "payment")
        if one.captured:
            raise wire.invalid("This payment has already been captured", reason="NA")
        if one.status != "authorized":
            text = "Only payments which have been authorized and not yet captured can be captured"
            raise wire.invalid(text, reason="NA")
        if asked != (entities.wire_of(one.minor, one.currency), one.currency):
            text = "Capture amount must be equal to the amount authorized"
            raise wire.invalid(text, field="amount")
        taken = self._take(one, operation or one.reference, turn.now)
        return Answer.json(200, entities.payment(taken, turn.do))

    def _take(self, one: Object, operation: str | None, now: float) -> Object:
        taken = self.front.ledger.move(
            one._replace(status="captured", captured=one.minor, settles_at=None),
            [Moved("captured", one.id, operation, one.minor)],
            now,
        )
        order = self.front.ledger.change(self._parent(one)._replace(status="paid"))
        self.events.payment("captured", taken)
        self.events.paid(order, taken)
        if (end := TOKENS[data_of(taken)["token"]].dispute) is not None:
            disputes.begin(self.front.ledger, taken, end, now)
        return taken

    def at_the_bank(self, payment_id: str, secret: str) -> Object | None:
        one = self.front.ledger.one(GATEWAY, payment_id)
        if one is None or one.kind != "payment":
            return None
        right = data_of(one)["secret"].encode()
        return one if hmac.compare_digest(right, secret.encode("utf-8", "surrogateescape")) else None

    def answer_the_bank(self, one: Object, refused: str | None, now: float) -> Object:
        """`refused`: why the customer did not pass. What has ended stays as it ended."""
        if one.status != "created":
            return one
        scenario = TOKENS[data_of(one)["token"]]
        failure = refused or scenario.failure
        with self.front.ledger.writing():
            return self._fail(one, failure) if failure else self._authorize(one, now)

    def _fail(self, one: Object, failure: str) -> Object:
        data = packed(data_of(one) | {"failure": failure})
        failed = self.front.ledger.change(one._replace(status="failed", settles_at=None, data=data))
        self.events.payment("failed", failed)
        return failed

    def go_on(self, one: Object, now: float) -> None:
        """A payment whose time has come. Inside `ledger.writing`."""
        match one.status:
            case "created":
                self._fail(one, "payment_timed_out")
            case "failed":
                self._authorize(one, now)
            case _:
                self._give_back(one, now)

    def _give_back(self, one: Object, now: float) -> None:
        """What was not captured in its time."""
        ledger, moved = self.front.ledger, []
        if one.authorized:
            moved = [Moved("released", one.id, None, one.minor)]
        back = ledger.move(one._replace(status="refunded", settles_at=None), moved, now)
        refund = ledger.add(
            Object(
                *(GATEWAY, f"rfnd_{ids.letters(now)}", one.account, "refund", "processed"),
                *(one.minor, one.currency, now),
                parent=one.id,
                payment=one.id,
                data=packed({"receipt": None, "notes": {}, "speed": "normal"}),
            )
        )
        self.events.refund("processed", refund, back)

    def known(self, account: Account, object_id: str, kind: str, *, field: str = "id") -> Object:
        one = self.front.ledger.one(GATEWAY, object_id)
        if one is None or one.account != account.name or one.kind != kind:
            raise Refusal(wire.error(400, "The id provided does not exist", field=field))
        return one

    def of_order(self, order: Object) -> list[Object]:
        return self.front.ledger.find(GATEWAY, order.account, kind="payment", parent=order.id)

    def _parent(self, one: Object) -> Object:
        order = self.front.ledger.one(GATEWAY, one.parent or "")
        assert order is not None, "every payment has its order"
        return order


def _failed(one: Object) -> Answer:
    reason = data_of(one)["failure"]
    failure = FAILURES[reason]
    return wire.error(
        502 if failure.code == "GATEWAY_ERROR" else 400,
        failure.description,
        code=failure.code,
        reason=reason,
        step=failure.step,
        metadata={"payment_id": one.id, "order_id": one.parent or ""},
    )
