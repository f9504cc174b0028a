"""Makes refunds and decides them as `payments` does."""

from dataclasses import dataclass
from typing import Final

from gateways.simulator.core import ids
from gateways.simulator.core.psp import Response, Turn
from gateways.simulator.core.rows import Moved, Object
from gateways.simulator.razorpay import entities, wire
from gateways.simulator.razorpay.currencies import CURRENCIES
from gateways.simulator.razorpay.entities import GATEWAY, data_of, packed
from gateways.simulator.razorpay.payments import Payments
from gateways.simulator.razorpay.scenarios import TOKENS

_STATUS: Final = {None: "processed", "pending": "pending", "pending_fails": "pending", "failed": "failed"}


@dataclass(frozen=True, slots=True)
class Refunds:
    """The refunds of every account at Razorpay."""

    payments: Payments

    def create(self, payment_id: str, params: wire.Refund, turn: Turn) -> Response:
        """Refunds all that is left, or this amount. Raises `Refusal` (400) where that much is not left."""
        ledger = self.payments.front.ledger
        payment = self.payments.known(turn.account, payment_id, "payment")
        mills = _to_give_back(payment, params)
        fate = TOKENS[data_of(payment)["token"]].refund
        status = _STATUS[fate]
        data = {"receipt": params.receipt, "notes": params.notes, "speed": params.speed, "fate": fate}
        of_key = turn.keyed.operation if turn.keyed is not None else None
        refund = ledger.add(
            Object(
                *(GATEWAY, f"rfnd_{ids.letters(turn.now)}", turn.account.name, "refund", status),
                *(mills, payment.currency, turn.now),
                reference=params.notes.get("order_ref") or params.receipt or of_key,
                parent=payment.id,
                payment=payment.id,
                data=packed(data),
                settles_at=turn.now + self.payments.front.settles_after_s if status == "pending" else None,
                may_move=status == "pending",
            )
        )
        if status != "failed":
            payment = ledger.change(payment._replace(refunded=payment.refunded + mills))
        self.payments.events.refund("created", refund, payment)
        if status == "processed":
            self._process(refund, payment, turn.now)
        elif status == "failed":
            self.payments.events.refund("failed", refund, payment)
        return Response.json(200, entities.refund(refund, turn.do))

    def go_on(self, refund: Object, now: float) -> None:
        """A refund whose time has come. Inside `ledger.writing`."""
        ledger = self.payments.front.ledger
        payment = ledger.one(GATEWAY, refund.payment or "")
        assert payment is not None, "every refund has its payment"
        failed = data_of(refund)["fate"] == "pending_fails"
        refund = ledger.change(
            refund._replace(status="failed" if failed else "processed", settles_at=None, may_move=False)
        )
        if failed:
            payment = ledger.change(payment._replace(refunded=payment.refunded - refund.mills))
            self.payments.events.refund("failed", refund, payment)
        else:
            self._process(refund, payment, now)

    def _process(self, refund: Object, payment: Object, now: float) -> None:
        """Processes a refund, whose amount was taken off what can be refunded already."""
        all_of_it = payment.refunded == payment.captured
        payment = self.payments.front.ledger.move(
            payment._replace(status="refunded" if all_of_it else payment.status),
            [Moved("refunded", refund.id, refund.reference, refund.mills)],
            now,
        )
        self.payments.events.refund("processed", refund, payment)


def _to_give_back(payment: Object, params: wire.Refund) -> int:
    """Returns the amount in mills."""
    if not payment.captured:
        raise wire.invalid("The payment status should be captured for action to be taken", reason="NA")
    left = payment.captured - payment.refunded
    if left == 0:
        raise wire.invalid("The payment has been fully refunded already", reason="NA")
    mills = left if params.wire is None else CURRENCIES.mills(params.wire, payment.currency)
    if (params.wire or 0) % CURRENCIES.step(payment.currency):
        raise wire.invalid("The amount is invalid", field="amount")
    if mills > left:
        raise wire.invalid("The refund amount provided is greater than amount captured", field="amount")
    return mills
