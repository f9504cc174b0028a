"""The circuits that a gateway worker acts on, from `gateways.health`."""

from collections.abc import Callable, Mapping
from datetime import datetime

from aggregates.operation import Kind
from aggregates.routing.health import AccountHealth, Circuit, Health
from commands.health_records import HealthRecord


def read_health(raw: bytes) -> AccountHealth:
    """Reads a record of `gateways.health` as a decision sees it. Raises `InvalidMessage`."""
    return HealthRecord.read(raw).health()


class KnownCircuits:
    """Implements `gateways.agent.ports.Circuits`. Health that is absent or stale closes no door: its circuits
    count as closed."""

    def __init__(
        self, accounts: Callable[[], Mapping[str, AccountHealth]], now: Callable[[], datetime]
    ) -> None:
        """`accounts`: the latest health of each."""
        self._accounts = accounts
        self._now = now

    def of(self, account: str, kind: Kind) -> Circuit | None:
        """Returns the circuit; None: nothing recent is known."""
        known = Health(self._accounts()).of(account, self._now())
        return None if known is None else known.circuits.get(kind)
