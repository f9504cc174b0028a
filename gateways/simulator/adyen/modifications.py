"""Captures, cancels, refunds and reversals: received at once, done at once, and reported by webhook. Adyen
receives also what cannot be done; its webhook reports the failure.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

import orjson

from gateways.simulator.adyen import wire
from gateways.simulator.adyen.disputes import Disputes
from gateways.simulator.adyen.events import Event, Events
from gateways.simulator.adyen.payments import Payments, about_other_money, left_of, scenario_of
from gateways.simulator.adyen.scenarios import Fate
from gateways.simulator.adyen.wire import GATEWAY, Modification
from gateways.simulator.core.ledger import Ledger
from gateways.simulator.core.psp import Response, Turn
from gateways.simulator.core.rows import Moved, Object

Kind = Literal["capture", "cancel", "refund", "reversal"]

REFUSED: Final = "Refused by the acquirer"
_NO_BALANCE: Final = "Insufficient balance on payment"
_NOTHING_HELD: Final = "Transaction has no amount left to cancel"
_FAILS_AS: Final = {"capture": "CAPTURE_FAILED", "refund": "REFUND_FAILED"}


@dataclass(frozen=True, slots=True)
class Modifications:
    """The modifications of payments. Each call is received, whatever its result will be."""

    ledger: Ledger
    payments: Payments
    events: Events
    disputes: Disputes
    settles_after_s: float

    def capture(self, psp_id: str, params: Modification, turn: Turn) -> Response:
        """Captures up to what is left of the hold; several times only with the account's option
        `multicapture`."""
        payment = self.payments.known(psp_id, turn)
        mills, fate, left = params.mills or 0, scenario_of(payment).capture, left_of(payment)
        fits = params.currency == payment.currency and 0 < mills <= left
        failure = _failure(fate, None if fits else _NO_BALANCE)
        one = self.ledger.add(_made("capture", payment, params.reference, mills, turn))
        if failure is None and fate == "failed":
            self.ledger.change(one._replace(settles_at=turn.now + self.settles_after_s))
        if failure is None and fate is None:
            payment = self._captured(payment, one, mills, left - mills, turn)
            self.disputes.expect(payment, turn.now)
        self.events.store(payment, Event("CAPTURE", one.id, params.reference, mills, failure), turn.now)
        return _received(payment, one, params, turn)

    def _captured(self, payment: Object, one: Object, mills: int, left: int, turn: Turn) -> Object:
        """Enters a capture. An account without `multicapture` releases the rest with the first."""
        moved, over = [Moved("captured", one.id, one.reference, mills)], not left
        if left and not turn.account.flag("multicapture"):
            moved.append(Moved("released", payment.id, one.reference, left))
            over = True
        captured = payment._replace(
            captured=payment.captured + mills,
            status="closed" if over else payment.status,
            settles_at=None if over else payment.settles_at,
        )
        return self.ledger.move(captured, moved, turn.now)

    def cancel(self, psp_id: str, params: Modification, turn: Turn) -> Response:
        """Releases a hold of which nothing was captured."""
        payment = self.payments.known(psp_id, turn)
        fate = scenario_of(payment).cancel
        failure = _failure(fate, None if left_of(payment) else _NOTHING_HELD)
        one = self.ledger.add(_made("cancel", payment, params.reference, 0, turn))
        if failure is None:
            payment = self._released(payment, params.reference, turn.now)
        self.events.store(
            payment, Event("CANCELLATION", one.id, params.reference, payment.mills, failure), turn.now
        )
        return _received(payment, one, params, turn)

    def refund(self, psp_id: str, params: Modification, turn: Turn) -> Response:
        """Gives back up to what was captured and not yet refunded."""
        payment = self.payments.known(psp_id, turn)
        mills, fate = params.mills or 0, scenario_of(payment).refund
        fits = params.currency == payment.currency and 0 < mills <= payment.captured - payment.refunded
        failure = _failure(fate, None if fits else _NO_BALANCE)
        one = self.ledger.add(_made("refund", payment, params.reference, mills, turn))
        if failure is None and fate == "failed":
            self.ledger.change(one._replace(settles_at=turn.now + self.settles_after_s))
        if failure is None and fate is None:
            payment = self._refunded(payment, one, mills, turn.now)
        self.events.store(payment, Event("REFUND", one.id, params.reference, mills, failure), turn.now)
        return _received(payment, one, params, turn)

    def reverse(self, psp_id: str, params: Modification, turn: Turn) -> Response:
        """Cancels the payment if nothing was captured, else refunds all of it."""
        payment = self.payments.known(psp_id, turn)
        held, taken = left_of(payment), payment.captured - payment.refunded
        failure = None if held or taken else _NOTHING_HELD
        one = self.ledger.add(_made("reversal", payment, params.reference, held or taken, turn))
        if failure is None and payment.captured == 0:
            payment = self._released(payment, params.reference, turn.now)
        elif failure is None and taken:
            payment = self._refunded(payment, one, taken, turn.now)
        more = {"modification.action": "refund" if payment.captured else "cancel"}
        event = Event("CANCEL_OR_REFUND", one.id, params.reference, payment.mills, failure, more)
        self.events.store(payment, event, turn.now)
        return _received(payment, one, params, turn)

    def technical_cancel(self, paid: str, params: Modification, turn: Turn) -> Response:
        """Cancels by the payment's reference, which the webhook has too. A payment that was captured, or is
        not there, stays as it is, and the webhook reports the failure."""
        own = wire.psp_reference(turn.now)
        found = self.ledger.find(GATEWAY, turn.account.name, kind="payment", reference=paid, limit=1)
        body = {
            "merchantAccount": turn.account.options.get("merchant_account", ""),
            "paymentReference": paid,
            "pspReference": own,
            "status": "received",
        }
        if params.reference is not None:
            body["reference"] = params.reference
        if not found:
            self.events.not_there(turn.account, own, paid, turn.now)
            return Response.json(201, body, about=own)
        payment = found[0]
        waits = payment.status in {"RedirectShopper", "Received"}
        failure = None if waits or (left_of(payment) and not payment.captured) else _NOTHING_HELD
        if failure is None:
            payment = self._released(payment, params.reference or paid, turn.now)
        self.events.store(payment, Event("TECHNICAL_CANCEL", own, paid, payment.mills, failure), turn.now)
        return Response.json(201, body, about=own)

    def settle(self, one: Object, now: float) -> None:
        """Fails a modification that an earlier webhook reported as done."""
        self.ledger.change(one._replace(status="failed", settles_at=None))
        payment = self.ledger.one(GATEWAY, one.payment or "")
        if payment is not None:
            self.events.store(payment, Event(_FAILS_AS[one.kind], one.id, one.reference, one.mills), now)

    def _released(self, payment: Object, reference: str | None, now: float) -> Object:
        left = left_of(payment)
        ended = payment._replace(
            status="closed" if payment.captured else "cancelled", settles_at=None, may_move=False
        )
        moved = [Moved("released", payment.id, reference, left)] if left else []
        return self.ledger.move(ended, moved, now)

    def _refunded(self, payment: Object, one: Object, mills: int, now: float) -> Object:
        refunded = payment._replace(refunded=payment.refunded + mills)
        return self.ledger.move(refunded, [Moved("refunded", one.id, one.reference, mills)], now)


def _made(kind: Kind, payment: Object, reference: str | None, mills: int, turn: Turn) -> Object:
    return Object(
        GATEWAY,
        wire.psp_reference(turn.now),
        payment.account,
        kind,
        "received",
        mills,
        payment.currency,
        turn.now,
        reference=reference,
        parent=payment.id,
        payment=payment.id,
    )


def _failure(fate: Fate | None, unfit: str | None) -> str | None:
    return unfit or (REFUSED if fate == "refused" else None)


def _received(payment: Object, one: Object, params: Modification, turn: Turn) -> Response:
    body: dict[str, Any] = {
        "merchantAccount": turn.account.options.get("merchant_account", ""),
        "paymentPspReference": payment.id,
        "pspReference": one.id,
        "status": "received",
    }
    if params.reference is not None:
        body["reference"] = params.reference
    if params.mills is not None and params.currency is not None:
        body["amount"] = about_other_money(params.mills, params.currency, turn.do)
    return Response(201, orjson.dumps(body), about=one.id)
