"""Disputes: reported when they open and when they are decided. They move none of the payment's money; the
ledger has what each dispute has taken. A retrieval takes nothing.
"""

from typing import Any, Final, Literal

from gateways.simulator.core import ids
from gateways.simulator.core.front import Front
from gateways.simulator.core.rows import Object
from gateways.simulator.razorpay import entities
from gateways.simulator.razorpay.entities import GATEWAY, data_of, packed
from gateways.simulator.razorpay.events import Events

End = Literal["won", "lost", "closed"]

_RESPOND_WITHIN_S: Final = 7 * 24 * 3600


def begin(front: Front, payment: Object, end: End, now: float) -> None:
    """Plans the dispute of a payment that was just captured."""
    front.ledger.add(
        Object(
            *(GATEWAY, f"disp_{ids.letters(now)}", payment.account, "dispute", "to_come"),
            *(payment.mills, payment.currency, now),
            parent=payment.id,
            payment=payment.id,
            data=packed({"end": end}),
            settles_at=now + front.settles_after_s,
        )
    )


def go_on(front: Front, events: Events, one: Object, now: float) -> None:
    """Opens a dispute, or ends it, and reports it. Inside `front.ledger.writing`."""
    payment = front.ledger.one(GATEWAY, one.parent or "")
    assert payment is not None, "every dispute has its payment"
    opens = one.status == "to_come"
    end: End = data_of(one)["end"]
    dispute = front.ledger.change(
        one._replace(
            status="open" if opens else end, settles_at=now + front.settles_after_s if opens else None
        )
    )
    retrieval = end == "closed"
    front.ledger.disputed(
        dispute, payment.reference, 0 if retrieval or dispute.status == "won" else dispute.mills, now
    )
    events.dispute("created" if opens else end, _shown(dispute, retrieval=retrieval), payment)


def _shown(one: Object, *, retrieval: bool) -> dict[str, Any]:
    wire = entities.wire_of(one.mills, one.currency)
    return {
        "id": one.id,
        "entity": "dispute",
        "payment_id": one.parent,
        "amount": wire,
        "currency": one.currency,
        "amount_deducted": wire if one.status == "lost" else 0,
        "reason_code": "goods_or_services_not_received_or_partially_received",
        "respond_by": int(one.created) + _RESPOND_WITHIN_S,
        "status": one.status,
        "phase": "retrieval" if retrieval else "chargeback",
        "created_at": int(one.created),
    }
