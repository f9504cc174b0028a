"""Decides orders and payments, each inside one transaction with its response and its events. No payment here
may move money by itself or by its customer, who can have it authorized at most: what is not captured is given
back. So none has `may_move`, and of a sale only the capture is entered as a movement.
"""

import hmac
from dataclasses import dataclass
from typing import Final

from gateways.simulator.core import ids
from gateways.simulator.core.accounts import Account
from gateways.simulator.core.front import Front
from gateways.simulator.core.psp import Refusal, Response, Turn, is_sale, payment_of
from gateways.simulator.core.rows import Moved, Object
from gateways.simulator.razorpay import disputes, entities, wire
from gateways.simulator.razorpay.entities import GATEWAY, data_of, packed
from gateways.simulator.razorpay.events import Events, signed_return
from gateways.simulator.razorpay.scenarios import FAILURES, TOKENS, Scenario

_CHALLENGE_LIFE_S: Final = 600


@dataclass(frozen=True, slots=True)
class Payments:
    """The orders and payments of every account at Razorpay."""

    front: Front
    events: Events

    def order(self, params: wire.Order, turn: Turn) -> Response:
        """Creates an order; it moves no money."""
        data = {
            "receipt": params.receipt,
            "notes": params.notes,
            "attempts": 0,
            "automatic": params.automatic,
            "uncaptured_life_s": params.uncaptured_life_min * 60,
        }
        one = self.front.ledger.add(
            Object(
                *(GATEWAY, f"order_{ids.letters(turn.now)}", turn.account.name, "order", "created"),
                *(params.mills, params.currency, turn.now, params.receipt),
                data=packed(data),
            )
        )
        return Response.json(200, entities.about_other_money(entities.order(one), turn.do))

    def create(self, params: wire.Payment, turn: Turn) -> Response:
        """Pays an order, at most once. Raises `Refusal` (400): it is paid, or its amount is another one."""
        order = self.known(turn.account, params.order_id, "order", field="order_id")
        if order.status == "paid" or any(one.status == "authorized" for one in self.of_order(order)):
            raise wire.invalid("Order already paid", reason="order_already_paid")
        if (params.wire, params.currency) != (entities.wire_of(order.mills, order.currency), order.currency):
            text = "Payment amount is different from your order amount."
            raise wire.invalid(text, reason="order_amount_mismatch")
        failure = self._failure(params, order, turn.account)
        status = "created" if params.scenario.challenge else "failed" if failure else "authorized"
        one = self._added(params, order, status, failure, turn)
        data = data_of(order)
        order = order._replace(status="attempted", data=packed(data | {"attempts": data["attempts"] + 1}))
        self.front.ledger.change(order)
        match status:
            case "created":
                url = f"{turn.origin}/bank/{one.id}/{data_of(one)['secret']}"
                body = {"razorpay_payment_id": one.id, "next": [{"action": "redirect", "url": url}]}
                return Response.json(200, body)
            case "failed":
                self.events.payment("failed", one)
                return _failed(one)
            case _:
                self._authorize(one, turn.now)
                return Response.json(200, signed_return(order.id, one.id, turn.account))

    def _added(
        self, params: wire.Payment, order: Object, status: str, failure: str | None, turn: Turn
    ) -> Object:
        life_s = turn.account.number("challenge_life_s", _CHALLENGE_LIFE_S)
        late_s = self.front.settles_after_s if params.scenario.late else None
        settles_in_s = life_s if status == "created" else late_s
        data = {
            "token": params.token,
            "customer_id": params.customer_id,
            "email": params.email,
            "contact": params.contact,
            "notes": params.notes,
            "callback_url": params.callback_url,
            "failure": failure,
            "secret": ids.letters(turn.now, 22),
        }
        return self.front.ledger.add(
            Object(
                *(GATEWAY, f"pay_{ids.letters(turn.now)}", turn.account.name, "payment", status),
                *(order.mills, order.currency, turn.now),
                reference=params.notes.get("order_ref") or order.reference,
                parent=order.id,
                data=packed(data),
                settles_at=None if settles_in_s is None else turn.now + settles_in_s,
                capture_limit=order.mills,
            )
        )

    def _failure(self, params: wire.Payment, order: Object, account: Account) -> str | None:
        scenario: Scenario = params.scenario
        declined = self.front.declines(scenario.declines, payment_of(order.reference), account)
        return scenario.failure if declined else None

    def _authorize(self, one: Object, now: float) -> Object:
        """Authorizes the payment, as its bank does: at once, after the OTP, or late."""
        order = self._parent(one)
        account = self.front.accounts.named(GATEWAY, one.account)
        life_s = data_of(order)["uncaptured_life_s"]
        if account is not None:
            life_s = account.number("uncaptured_life_s", life_s)
        one = one._replace(status="authorized", settles_at=now + life_s)
        if is_sale(one.reference or ""):
            one = self.front.ledger.change(one)
        else:
            held = [Moved("authorized", one.id, one.reference, one.mills)]
            one = self.front.ledger.move(one._replace(authorized=one.mills), held, now)
        self.events.payment("authorized", one)
        return self._take(one, one.reference, now) if data_of(order)["automatic"] else one

    def capture(self, one: Object, params: tuple[int, str], operation: str | None, turn: Turn) -> Response:
        """Captures an authorized payment. `params`: Razorpay's integer and the currency; both have to be the
        payment's. `operation`: of AegisPay's; None: the sale's own. Raises `Refusal` (400)."""
        one = self.known(turn.account, one.id, "payment")
        if one.captured:
            raise wire.invalid("This payment has already been captured", reason="NA")
        if one.status != "authorized":
            text = "Only payments which have been authorized and not yet captured can be captured"
            raise wire.invalid(text, reason="NA")
        if params != (entities.wire_of(one.mills, one.currency), one.currency):
            text = "Capture amount must be equal to the amount authorized"
            raise wire.invalid(text, field="amount")
        taken = self._take(one, operation or _sale(one), turn.now)
        return Response.json(200, entities.payment(taken, turn.do))

    def capture_in_dashboard(self, one: Object, now: float) -> None:
        """Captures without any of AegisPay's ids. Raises `Refusal` (400) unless it is authorized."""
        if one.status != "authorized":
            raise wire.invalid(
                "Only payments which have been authorized and not yet captured can be captured"
            )
        self._take(one, _sale(one), now)

    def _take(self, one: Object, operation: str | None, now: float) -> Object:
        ledger, captured = self.front.ledger, Moved("captured", one.id, operation, one.mills)
        kept = ledger.fees.of(GATEWAY, one.account, "captured", one.mills, one.currency)
        data = data_of(one)
        if kept is not None:
            data |= {
                "fee": entities.wire_of(kept.mills, one.currency),
                "tax": entities.wire_of(kept.tax, one.currency),
            }
        one = one._replace(status="captured", captured=one.mills, settles_at=None, data=packed(data))
        taken = ledger.move(one, [captured], now)
        order = self.front.ledger.change(self._parent(one)._replace(status="paid"))
        self.events.payment("captured", taken)
        self.events.paid(order, taken)
        if (end := TOKENS[data_of(taken)["token"]].dispute) is not None:
            disputes.begin(self.front, taken, end, now)
        return taken

    def at_the_bank(self, payment_id: str, secret: str) -> Object | None:
        """The payment whose bank page this is, else None."""
        one = self.front.ledger.one(GATEWAY, payment_id)
        if one is None or one.kind != "payment":
            return None
        right = data_of(one)["secret"].encode()
        return one if hmac.compare_digest(right, secret.encode("utf-8", "surrogateescape")) else None

    def complete_challenge(self, one: Object, refused: str | None, now: float) -> Object:
        """Ends a challenge. `refused`: why the customer did not pass; None: passed. What has ended already
        stays as it is."""
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
        """Moves a payment on whose time has come: a challenge times out, a late one is authorized, a hold is
        given back. Inside `ledger.writing`."""
        match one.status:
            case "created":
                self._fail(one, "payment_timed_out")
            case "failed":
                self._authorize(one, now)
            case _:
                self._give_back(one, now)

    def _give_back(self, one: Object, now: float) -> None:
        """Gives back what was not captured in its time."""
        ledger, moved = self.front.ledger, []
        if one.authorized:
            moved = [Moved("released", one.id, None, one.mills)]
        back = ledger.move(one._replace(status="refunded", settles_at=None), moved, now)
        refund = ledger.add(
            Object(
                *(GATEWAY, f"rfnd_{ids.letters(now)}", one.account, "refund", "processed"),
                *(one.mills, one.currency, now),
                parent=one.id,
                payment=one.id,
                data=packed({"receipt": None, "notes": {}, "speed": "normal"}),
            )
        )
        self.events.refund("processed", refund, back)

    def known(self, account: Account, object_id: str, kind: str, *, field: str = "id") -> Object:
        """The account's object of this kind. Raises `Refusal` (400) where there is none. `field`: of the
        request, named in the error."""
        one = self.front.ledger.one(GATEWAY, object_id)
        if one is None or one.account != account.name or one.kind != kind:
            raise Refusal(wire.error(400, "The id provided does not exist", field=field))
        return one

    def of_order(self, order: Object) -> list[Object]:
        """The payments of an order, newest first."""
        return self.front.ledger.find(GATEWAY, order.account, kind="payment", parent=order.id)

    def _parent(self, one: Object) -> Object:
        order = self.front.ledger.one(GATEWAY, one.parent or "")
        assert order is not None, "every payment has its order"
        return order


def _failed(one: Object) -> Response:
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


def _sale(one: Object) -> str | None:
    """The sale's reference: a capture of a sale belongs to it, whoever captures. None: it is no sale."""
    return one.reference if is_sale(one.reference or "") else None
