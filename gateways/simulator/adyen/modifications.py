"""Captures, cancels, refunds and reversals at the simulator: taken in, done at once, and told by webhook.

What cannot be done is received all the same: its webhook says that it failed.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from gateways.simulator.adyen import wire
from gateways.simulator.adyen.disputes import Disputes
from gateways.simulator.adyen.events import Events, Told
from gateways.simulator.adyen.payments import Payments, about_other_money, left_of, scenario_of
from gateways.simulator.adyen.scenarios import SETTLES_AFTER_S, Fate
from gateways.simulator.adyen.wire import GATEWAY, Modification
from gateways.simulator.ledger import Ledger
from gateways.simulator.psp import Answer, Turn
from gateways.simulator.rows import Moved, Object

Kind = Literal["capture", "cancel", "refund", "reversal"]

REFUSED: Final = "Refused by the acquirer"
_NO_BALANCE: Final = "Insufficient balance on payment"
_NOTHING_HELD: Final = "Transaction has no amount left to cancel"
_FAILS_AS: Final = {"capture": "CAPTURE_FAILED", "refund": "REFUND_FAILED"}


@dataclass(frozen=True, slots=True)
class Modifications:
    ledger: Ledger
    payments: Payments
    events: Events
    disputes: Disputes

    def capture(self, psp_id: str, asked: Modification, turn: Turn) -> Answer:
        payment = self.payments.known(psp_id, turn)
        minor, fate, left = asked.minor or 0, scenario_of(payment).capture, left_of(payment)
        fits = asked.currency == payment.currency and 0 < minor <= left
        failure = _failure(fate, None if fits else _NO_BALANCE)
        one = self.ledger.add(_made("capture", payment, asked.reference, minor, turn))
        if failure is None and fate == "failed":
            self.ledger.change(one._replace(settles_at=turn.now + SETTLES_AFTER_S))
        if failure is None and fate is None:
            payment = self._captured(payment, one, minor, left - minor, turn)
            self.disputes.expect(payment, turn.now)
        self.events.tell(payment, Told("CAPTURE", one.id, asked.reference, minor, failure), turn.now)
        return _received(payment, one, asked, turn)

    def _captured(self, payment: Object, one: Object, minor: int, left: int, turn: Turn) -> Object:
        """Where the account may not capture several times, the rest is let go with the first."""
        moved, over = [Moved("captured", one.id, one.reference, minor)], not left
        if left and not turn.account.flag("multicapture"):
            moved.append(Moved("released", payment.id, one.reference, left))
            over = True
        captured = payment._replace(
            captured=payment.captured + minor,
            status="closed" if over else payment.status,
            settles_at=None if over else payment.settles_at,
        )
        return self.ledger.move(captured, moved, turn.now)

    def cancel(self, psp_id: str, asked: Modification, turn: Turn) -> Answer:
        payment = self.payments.known(psp_id, turn)
        fate = scenario_of(payment).cancel
        failure = _failure(fate, None if left_of(payment) else _NOTHING_HELD)
        one = self.ledger.add(_made("cancel", payment, asked.reference, 0, turn))
        if failure is None:
            payment = self._released(payment, asked.reference, turn.now)
        self.events.tell(
            payment, Told("CANCELLATION", one.id, asked.reference, payment.minor, failure), turn.now
        )
        return _received(payment, one, asked, turn)

    def refund(self, psp_id: str, asked: Modification, turn: Turn) -> Answer:
        payment = self.payments.known(psp_id, turn)
        minor, fate = asked.minor or 0, scenario_of(payment).refund
        fits = asked.currency == payment.currency and 0 < minor <= payment.captured - payment.refunded
        failure = _failure(fate, None if fits else _NO_BALANCE)
        one = self.ledger.add(_made("refund", payment, asked.reference, minor, turn))
        if failure is None and fate == "failed":
            self.ledger.change(one._replace(settles_at=turn.now + SETTLES_AFTER_S))
        if failure is None and fate is None:
            payment = self._refunded(payment, one, minor, turn.now)
        self.events.tell(payment, Told("REFUND", one.id, asked.reference, minor, failure), turn.now)
        return _received(payment, one, asked, turn)

    def reverse(self, psp_id: str, asked: Modification, turn: Turn) -> Answer:
        """Cancelled where nothing was captured, else refunded as a whole."""
        payment = self.payments.known(psp_id, turn)
        held, taken = left_of(payment), payment.captured - payment.refunded
        failure = None if held or taken else _NOTHING_HELD
        one = self.ledger.add(_made("reversal", payment, asked.reference, held or taken, turn))
        if failure is None and payment.captured == 0:
            payment = self._released(payment, asked.reference, turn.now)
        elif failure is None and taken:
            payment = self._refunded(payment, one, taken, turn.now)
        more = {"modification.action": "refund" if payment.captured else "cancel"}
        told = Told("CANCEL_OR_REFUND", one.id, asked.reference, payment.minor, failure, more)
        self.events.tell(payment, told, turn.now)
        return _received(payment, one, asked, turn)

    def technical_cancel(self, paid: str, asked: Modification, turn: Turn) -> Answer:
        """By the payment's reference, which its webhook has, too. One that was captured, or is not there, is not ended."""
        own = wire.psp_reference(turn.now)
        found = self.ledger.find(GATEWAY, turn.account.name, kind="payment", reference=paid, limit=1)
        body = {
            "merchantAccount": turn.account.options.get("merchant_account", ""),
            "paymentReference": paid,
            "pspReference": own,
            "status": "received",
        }
        if asked.reference is not None:
            body["reference"] = asked.reference
        if not found:
            self.events.not_there(turn.account, own, paid, turn.now)
            return Answer.json(201, body, about=own)
        payment = found[0]
        waits = payment.status in {"RedirectShopper", "Received"}
        failure = None if waits or (left_of(payment) and not payment.captured) else _NOTHING_HELD
        if failure is None:
            payment = self._released(payment, asked.reference or paid, turn.now)
        self.events.tell(payment, Told("TECHNICAL_CANCEL", own, paid, payment.minor, failure), turn.now)
        return Answer.json(201, body, about=own)

    def settle(self, one: Object, now: float) -> None:
        """What was told as done has failed."""
        self.ledger.change(one._replace(status="failed", settles_at=None))
        payment = self.ledger.one(GATEWAY, one.payment or "")
        if payment is not None:
            self.events.tell(payment, Told(_FAILS_AS[one.kind], one.id, one.reference, one.minor), now)

    def _released(self, payment: Object, reference: str | None, now: float) -> Object:
        left = left_of(payment)
        ended = payment._replace(
            status="closed" if payment.captured else "cancelled", settles_at=None, may_move=False
        )
        moved = [Moved("released", payment.id, reference, left)] if left else []
        return self.ledger.move(ended, moved, now)

    def _refunded(self, payment: Object, one: Object, minor: int, now: float) -> Object:
        refunded = payment._replace(refunded=payment.refunded + minor)
        return self.ledger.move(refunded, [Moved("refunded", one.id, one.reference, minor)], now)


def _made(kind: Kind, payment: Object, reference: str | None, minor: int, turn: Turn) -> Object:
    return Object(
        GATEWAY,
        wire.psp_reference(turn.now),
        payment.account,
        kind,
        "received",
        minor,
        payment.currency,
        turn.now,
        reference=reference,
        parent=payment.id,
        payment=payment.id,
    )


def _failure(fate: Fate | None, unfit: str | None) -> str | None:
    return unfit or (REFUSED if fate == "refused" else None)


def _received(payment: Object, one: Object, asked: Modification, turn: Turn) -> Answer:
    body: dict[str, Any] = {
        "merchantAccount": turn.account.options.get("merchant_account", ""),
        "paymentPspReference": payment.id,
        "pspReference": one.id,
        "status": "received",
    }
    if asked.reference is not None:
        body["reference"] = asked.reference
    if asked.minor is not None and asked.currency is not None:
        body["amount"] = about_other_money(asked.minor, asked.currency, turn.do)
    return Answer(201, orjson.dumps(body), about=one.id)
