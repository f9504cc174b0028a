"""The health of PSP accounts, as a decision sees it: counts of the last transactions, latency, circuits.

Invariant: an unknown outcome is neither an approval nor a decline, and a decline is no technical failure.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

CircuitState = Literal["closed", "open", "half_open"]
WINDOW: Final = 100
"""The transactions of a segment that its figures are of: the last ones."""
STALE_AFTER: Final = timedelta(seconds=30)
"""Health that is older than this counts as no information."""
AHEAD_MAX: Final = timedelta(seconds=60)
"""So far may the clock of who wrote a record be ahead of the reader's. What is dated later than that counts
as no information: it would be fresh for ever."""


@dataclass(frozen=True, slots=True)
class Circuit:
    """The circuit of one kind of operation at one account. `probe_share`: of the payments that may probe a
    half-open one, in [0, 1]."""

    state: CircuitState
    since: datetime
    reason: str
    probe_share: float = 0.0


@dataclass(frozen=True, slots=True)
class SegmentHealth:
    """The last transactions of a segment, `WINDOW` at most.

    `approved`, `declined`: by the issuer or the PSP. `failed`: for a technical reason, without effect.
    `unknown`: nobody knows yet. Latencies in ms, None without any. `score`: from 0.0 to 1.0. `wins` and
    `losses`: what the adaptive strategy holds for true since the last change that it noticed.
    """

    approved: int = 0
    declined: int = 0
    failed: int = 0
    unknown: int = 0
    p50_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    score: float = 1.0
    wins: float = 0.0
    losses: float = 0.0

    @property
    def transactions(self) -> int:
        """The number of transactions in the window, whatever became of them."""
        return self.approved + self.declined + self.failed + self.unknown


@dataclass(frozen=True, slots=True)
class AccountHealth:
    """What is known of one account. `circuits`: by kind of operation. `segments`: by their names, see
    `facts.segments`."""

    account: str
    as_of: datetime
    circuits: Mapping[str, Circuit] = field(default_factory=dict)
    segments: Mapping[str, SegmentHealth] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Health:
    """The health of all accounts, by name. Without a record of an account nothing is known of it."""

    accounts: Mapping[str, AccountHealth] = field(default_factory=dict)

    def of(self, account: str, now: datetime) -> AccountHealth | None:
        """Returns the account's health; None where there is none, or it is not `is_fresh`."""
        return self.fresh((account,), now)[account]

    def fresh(self, accounts: Iterable[str], now: datetime) -> dict[str, AccountHealth | None]:
        """Returns the health of these accounts; see `of`."""
        found: dict[str, AccountHealth | None] = {}
        for name in accounts:
            one = self.accounts.get(name)
            found[name] = one if one is not None and is_fresh(one.as_of, now) else None
        return found


def is_fresh(as_of: datetime, now: datetime) -> bool:
    """True if health of this time is information: not older than `STALE_AFTER`, and not dated ahead."""
    return -AHEAD_MAX <= now - as_of <= STALE_AFTER
