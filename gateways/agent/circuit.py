"""Whether an account's circuit holds a request back. Invariant: only what has had no effect is held back: it
was never sent, or it reached nobody, or a PSP that was not available and did nothing. A step that may have
had one is repeated, looked up or ended whatever the circuit says.
"""

from datetime import datetime, timedelta
from typing import Final

from aggregates.operation import CHARGE_ATTEMPTS
from aggregates.routing.retries import LAST_TRY_BEFORE_S
from commands.messages import Outcome
from gateways.agent.ports import Circuits
from gateways.agent.request import Request
from gateways.agent.sampling import CIRCUIT_OPEN

GIVEN_BACK: Final = Outcome(
    kind="NOT_SENT",
    code=CIRCUIT_OPEN,
    detail="calls of this kind to this account have just failed: none is made until probes work again",
    unreached=True,
)


def holds_back(circuits: Circuits, request: Request, now: datetime) -> bool:
    """True if the circuit does not let the request pass: the first send of a step, or its repeat after it
    was given back, as often as it comes."""
    if not request.without_effect or request.probe:
        return False
    circuit = circuits.of(request.account, request.call.kind)
    if circuit is None or circuit.state == "closed":
        return False
    attempt = request.call.kind in CHARGE_ATTEMPTS
    # The router chose for the first send of an attempt whether it probes. Nobody did for anything else, and
    # where nothing else is called a half-open circuit would never close.
    chosen_by_router = attempt and request.how is None
    if circuit.state == "half_open" and not chosen_by_router and request.draw < circuit.probe_share:
        return False
    # A capture that comes too late is money lost, and a try that fails costs nothing.
    last_chance = request.expires_at - now <= timedelta(seconds=LAST_TRY_BEFORE_S)
    return attempt or not last_chance
