"""What a card's owner disputes: told when it is opened, and when it is decided. It moves nothing in the ledger."""

from typing import Any, Final, Literal

from gateways.simulator import ids
from gateways.simulator.ledger import Ledger
from gateways.simulator.razorpay import entities
from gateways.simulator.razorpay.entities import GATEWAY, data_of, packed
from gateways.simulator.razorpay.events import Events
from gateways.simulator.rows import Object

End = Literal["won", "lost"]

_AFTER_S: Final = 1.0
_RESPOND_WITHIN_S: Final = 7 * 24 * 3600


def begin(ledger: Ledger, payment: Object, end: End, now: float) -> None:
    """Of a payment that was captured just now."""
    ledger.add(
        Object(
            *(GATEWAY, f"disp_{ids.letters(now)}", payment.account, "dispute", "to_come"),
            *(payment.minor, payment.currency, now),
            parent=payment.id,
            payment=payment.id,
            data=packed({"end": end}),
            settles_at=now + _AFTER_S,
        )
    )


def go_on(ledger: Ledger, events: Events, one: Object, now: float) -> None:
    """A dispute whose time has come. Inside `ledger.writing`."""
    payment = ledger.one(GATEWAY, one.parent or "")
    assert payment is not None, "every dispute has its payment"
    opens = one.status == "to_come"
    end: End = data_of(one)["end"]
    dispute = ledger.change(
        one._replace(status="open" if opens else end, settles_at=now + _AFTER_S if opens else None)
    )
    events.dispute("created" if opens else end, _shown(dispute), payment)


def _shown(one: Object) -> dict[str, Any]:
    wire = entities.wire_of(one.minor, one.currency)
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
        "phase": "chargeback",
        "created_at": int(one.created),
    }
