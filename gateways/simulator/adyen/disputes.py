"""Disputes at the simulator: told after a capture, stage by stage. They move nothing in the ledger."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

import orjson

from gateways.simulator.adyen import wire
from gateways.simulator.adyen.events import Events, Told
from gateways.simulator.adyen.payments import data_of, scenario_of
from gateways.simulator.adyen.scenarios import SETTLES_AFTER_S
from gateways.simulator.adyen.wire import GATEWAY
from gateways.simulator.ledger import Ledger
from gateways.simulator.rows import Object

_DEFENCE_S: Final = 14 * 24 * 3600


@dataclass(frozen=True, slots=True)
class Disputes:
    ledger: Ledger
    events: Events

    def expect(self, payment: Object, now: float) -> None:
        """Of what was captured first."""
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
                settles_at=now + SETTLES_AFTER_S,
                data=orjson.dumps({"stages": stages}).decode(),
            )
        )

    def settle(self, one: Object, now: float) -> None:
        stage, *rest = data_of(one)["stages"]
        self.ledger.change(
            one._replace(
                status=stage,
                settles_at=now + SETTLES_AFTER_S if rest else None,
                data=orjson.dumps({"stages": rest}).decode(),
            )
        )
        payment = self.ledger.one(GATEWAY, one.payment or "")
        if payment is not None:
            until = datetime.fromtimestamp(int(one.created) + _DEFENCE_S, UTC).isoformat()
            more = {
                "chargebackReasonCode": "10.4",
                "chargebackSchemeCode": "visa",
                "defensePeriodEndsAt": until,
            }
            self.events.tell(payment, Told(stage, one.id, None, one.minor, more=more), now)
