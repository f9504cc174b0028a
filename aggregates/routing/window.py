"""The last transactions of one segment at one PSP account: what became of them, and how long they took.

Quantiles are exact: 100 values are less than a sketch of them, and a sketch is an estimate. Invariant: an
unknown outcome is neither a decline nor a failure; once it is known, it is counted as what it was, and not a
second time.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from math import ceil
from typing import Final, Literal, NamedTuple

from aggregates.routing.health import WINDOW

Outcome = Literal["approved", "declined", "failed", "unknown"]

VOLUME_MINUTES: Final = 60
RATE_MINUTES: Final = 5
_PRESENT_FROM_S: Final = 10.0
"""A present minute that has just begun counts as this long: a burst of a second is no rate."""


class Transaction(NamedTuple):
    """What became of one transaction. `latency_ms`: of its call, where one was measured. `error`: the code of
    what did not succeed."""

    outcome: Outcome
    latency_ms: float | None = None
    error: str | None = None


class Minute(NamedTuple):
    """The number of transactions in one minute, which is counted from 1970."""

    number: int
    transactions: int


@dataclass(frozen=True, slots=True)
class Window:
    """The last transactions, `WINDOW` at most, the newest last, and how many there were in each minute of the
    last hour."""

    transactions: tuple[Transaction, ...] = ()
    minutes: tuple[Minute, ...] = ()

    def count(self, outcome: Outcome) -> int:
        """The number of transactions with this outcome."""
        return sum(one.outcome == outcome for one in self.transactions)

    @property
    def errors(self) -> Mapping[str, int]:
        """How often each kind of error occurs, the most frequent first."""
        return dict(Counter(one.error for one in self.transactions if one.error is not None).most_common())

    @property
    def latencies_ms(self) -> list[float]:
        """The measured latencies, in order of length."""
        return sorted(one.latency_ms for one in self.transactions if one.latency_ms is not None)

    def volume(self, now: datetime) -> int:
        """The number of transactions in the last hour."""
        return self._since(now, VOLUME_MINUTES)

    def per_minute(self, now: datetime) -> float:
        """Transactions a minute, over the last 5 minutes and the present one as far as it has gone."""
        into = (now.second + now.microsecond / 1e6) / 60
        return self._since(now, RATE_MINUTES + 1) / (RATE_MINUTES + into)

    def per_s(self, now: datetime) -> float:
        """Transactions a second, in the busiest of the present minute, the one before and the last 5: what is
        planned by it is rather too careful than too bold."""
        number = minute_of(now)
        counts = dict(self.minutes)
        into_s = max(now.timestamp() - number * 60, _PRESENT_FROM_S)
        return max(counts.get(number, 0) / into_s, counts.get(number - 1, 0) / 60, self.per_minute(now) / 60)

    def _since(self, now: datetime, minutes: int) -> int:
        first = minute_of(now) - minutes + 1
        return sum(one.transactions for one in self.minutes if one.number >= first)


def observed(window: Window, ones: Sequence[Transaction], at: datetime) -> Window:
    """Returns the window with these transactions more, whose outcomes were known at `at`."""
    counted = _with(window.minutes, minute_of(at), len(ones))
    return Window((*window.transactions, *ones)[-WINDOW:], counted)


def resolved(window: Window, one: Transaction, at: datetime) -> Window:
    """Returns the window where a transaction that may be counted as unknown has become known: the oldest
    unknown one is counted as `one`, since those of a window are alike. Without any it is a transaction of its
    own, where it was never counted before."""
    for place, counted in enumerate(window.transactions):
        if counted.outcome == "unknown":
            known = counted._replace(outcome=one.outcome, error=one.error)
            return replace(
                window,
                transactions=(*window.transactions[:place], known, *window.transactions[place + 1 :]),
            )
    return observed(window, [one], at)


def quantile(ordered: Sequence[float], share: float) -> float | None:
    """Returns the smallest of the values, which stand in order, that at least this share of them does not
    pass (the nearest rank); None without values."""
    return ordered[max(ceil(share * len(ordered)), 1) - 1] if ordered else None


def minute_of(at: datetime) -> int:
    """Returns the number of the minute since 1970."""
    return int(at.timestamp() // 60)


def _with(minutes: tuple[Minute, ...], number: int, more: int) -> tuple[Minute, ...]:
    if minutes and minutes[-1].number == number:
        return (*minutes[:-1], Minute(number, minutes[-1].transactions + more))
    counts = dict(minutes)
    counts[number] = counts.get(number, 0) + more
    newest = max(counts)
    return tuple(
        Minute(one, counts[one]) for one in sorted(counts) if one > newest - VOLUME_MINUTES - RATE_MINUTES
    )


def begins(number: int) -> datetime:
    """Returns when the minute of this number since 1970 begins."""
    return datetime.fromisoformat("1970-01-01T00:00:00+00:00") + timedelta(minutes=number)
