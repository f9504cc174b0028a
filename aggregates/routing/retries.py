"""The delays between attempts: each grows by a factor up to a bound, and chance spreads it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

_DOUBLINGS_MAX: Final = 64  # beyond every bound, and within what a float can hold


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """A merchant's back-off. `attempts_max` counts the first attempt."""

    attempts_max: int = 3
    first_s: float = 1.0
    factor: float = 2.0
    max_s: float = 30.0

    def delay_s(self, attempts: int, jitter: float) -> float:
        """Returns the delay after so many attempts: between half of the back-off and all of it. `jitter` in
        [0, 1)."""
        grown = self.first_s * self.factor ** min(attempts - 1, _DOUBLINGS_MAX)
        return min(grown, self.max_s) * (0.5 + jitter / 2)


_FOR_NOW_MAX_S: Final = 4 * 3600.0


def for_now_delay_s(again_after_s: int, attempts: int, jitter: float) -> float:
    """Returns the delay after this many attempts that the PSP refused for the moment: never shorter than it
    demanded."""
    grown = again_after_s * 2.0 ** min(attempts - 1, _DOUBLINGS_MAX)
    return min(grown, max(_FOR_NOW_MAX_S, float(again_after_s))) * (1 + jitter / 4)


_UNREACHED: Final = RetryPolicy(first_s=1.0, factor=2.0, max_s=30.0)
_WAITED_PER_GAP: Final = 120  # 30 s after an hour


def unreached_delay_s(tries: int, waited_s: float, jitter: float, *, customer_waits: bool) -> float:
    """Returns the delay after this many tries in a row that reached nobody. At most 30 s while a customer
    waits; a capture, a void or a refund may wait for days, and its gaps grow with the time that it has
    waited."""
    delay_s = _UNREACHED.delay_s(tries, jitter)
    return delay_s if customer_waits else max(delay_s, waited_s / _WAITED_PER_GAP * (0.5 + jitter / 2))


def after(now: datetime, delay_s: float, end: datetime) -> tuple[datetime, float]:
    """Returns when the delay is over, or `end` if that comes first, and the seconds until then."""
    at = min(now + timedelta(seconds=delay_s), end)
    return at, (at - now).total_seconds()


LAST_TRY_BEFORE_S: Final = 900.0
"""A capture, void or refund that reached nobody is tried at least once within so many seconds before its time
is over, whatever its gap is; no circuit holds that try back."""
# 5 minutes within that bound: the agent's clock and its queue differ by less.
_LAST_TRY_AT_S: Final = 600.0


def unreached_at(now: datetime, delay_s: float, expires_at: datetime) -> datetime:
    """Returns when what reached nobody is tried again: after the delay, but once so late that the last try is
    not held back."""
    at, last = now + timedelta(seconds=delay_s), expires_at - timedelta(seconds=_LAST_TRY_AT_S)
    return last if now < last < at else at


@dataclass(frozen=True, slots=True)
class AwaitedAccount:
    """A payment's wait for an account that may take its first attempt: when they are looked at again, and how
    often they were."""

    at: datetime
    tries: int
