"""Disputes: reported after a capture, stage by stage. They move none of the payment's money; the ledger has
what each dispute has taken. A reversal that the issuer may still contest gives nothing back for good.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import orjson

from gateways.simulator.adyen import wire
from gateways.simulator.adyen.events import Event, Events
from gateways.simulator.adyen.payments import data_of, scenario_of
from gateways.simulator.adyen.wire import GATEWAY
from gateways.simulator.core.ledger import Ledger
from gateways.simulator.core.rows import Object

_TAKES_NOTHING: Final = frozenset(
    {"REQUEST_FOR_INFORMATION", "NOTIFICATION_OF_CHARGEBACK", "PREARBITRATION_WON", "SCHEME_ARBITRATION_WON"}
)
_DEFENCE_S: Final = 14 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Disputes:
    """The disputes that tokens choose."""

    ledger: Ledger
    events: Events
    settles_after_s: float

    def expect(self, payment: Object, now: float) -> None:
        """Plans the dispute of a payment that was just captured, once for each payment."""
        stages = scenario_of(payment).dispute
        if not stages or self.ledger.find(
            GATEWAY, payment.account, kind="dispute", parent=payment.id, limit=1
        ):
            return
        self.ledger.add(
            Object(
                GATEWAY,
                wire.psp_reference(now),
                payment.account,
                "dispute",
                "expected",
                payment.captured,
                payment.currency,
                now,
                reference=payment.reference,
                parent=payment.id,
                payment=payment.id,
                settles_at=now + self.settles_after_s,
                data=orjson.dumps({"stages": stages}).decode(),
            )
        )

    def settle(self, one: Object, now: float) -> None:
        """Moves the dispute to its next stage, and reports it. The defence period ends 14 days after its
        begin."""
        stage, *rest = data_of(one)["stages"]
        self.ledger.change(
            one._replace(
                status=stage,
                settles_at=now + self.settles_after_s if rest else None,
                data=orjson.dumps({"stages": rest}).decode(),
            )
        )
        self.ledger.disputed(one, one.reference, 0 if stage in _TAKES_NOTHING else one.mills, now)
        payment = self.ledger.one(GATEWAY, one.payment or "")
        if payment is not None:
            until = datetime.fromtimestamp(int(one.created) + _DEFENCE_S, UTC).isoformat()
            more = {
                "chargebackReasonCode": "10.4",
                "chargebackSchemeCode": "visa",
                "defensePeriodEndsAt": until,
            }
            self.events.store(payment, Event(stage, one.id, None, one.mills, more=more), now)
