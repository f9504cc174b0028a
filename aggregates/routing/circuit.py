"""The circuit of one kind of operation at one PSP account. Pure; docs/routing.md has its states in words.

closed ─► open, by failures in a row or by their rate ─► half_open, once the open time is over
half_open ─► closed, after successes ─► open again, for longer, after one failure

Invariant: a decline is a success of the account: whatever was declined, the circuit stays as it is.
"""

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final, Literal

from aggregates.routing.health import WINDOW, CircuitState

Call = Literal["worked", "failed"]
"""`worked`: the PSP has responded as it should, with whatever outcome. `failed`: for a technical reason, or
nobody knows how it ended."""
EPOCH: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


@dataclass(frozen=True, slots=True)
class CircuitRules:
    """When a circuit changes. `in_a_row`: failures after one another that open it. `rate`: of failures among
    the last `window` calls, once there are `rate_from` of them. `open_s`: for how long it is open at first;
    each time that it opens again soon, `growth` times as long, at most `open_max_s`. `closes_after`:
    successes. `probes`: about so many calls probe a half-open circuit, over all workers, within the
    `probe_s` that one may take."""

    in_a_row: int = 5
    rate: float = 0.5
    rate_from: int = 20
    window: int = WINDOW
    open_s: float = 60.0
    growth: float = 2.0
    open_max_s: float = 900.0
    closes_after: int = 2
    probes: float = 3.0
    probe_s: float = 10.0


@dataclass(frozen=True, slots=True)
class Breaker:
    """A circuit with what its next change depends on.

    `recent`: the calls since it closed, `x` for one that failed, the newest last. `in_a_row`: failures, while
    it is closed; `worked`: successes, while it is half-open. `open_s`: for how long it was open last.
    `per_s`: calls a second before it opened.
    """

    state: CircuitState = "closed"
    since: datetime = EPOCH
    reason: str = "nothing has failed yet"
    recent: str = ""
    in_a_row: int = 0
    worked: int = 0
    open_s: float = 0.0
    per_s: float = 0.0

    @property
    def until(self) -> datetime | None:
        """The time at which an open circuit becomes half-open; None: it is not open."""
        return self.since + timedelta(seconds=self.open_s) if self.state == "open" else None


@dataclass(frozen=True, slots=True)
class Change:
    """A change of a circuit, at its time, with its reason."""

    before: CircuitState
    after: CircuitState
    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Changed:
    """A circuit, and the changes that led to it, in their order."""

    breaker: Breaker
    changes: tuple[Change, ...] = field(default=())


def advanced(breaker: Breaker, now: datetime) -> Changed:
    """Returns the circuit at `now`: an open one becomes half-open by time alone."""
    until = breaker.until
    if until is None or now < until:
        return Changed(breaker)
    return _turned(breaker, "half_open", until, f"it was open for {breaker.open_s:g} s")


def observed(
    breaker: Breaker, call: Call, at: datetime, rules: CircuitRules, *, per_s: float, error: str | None = None
) -> Changed:
    """Returns the circuit after a call whose result was known at `at`. `per_s`: calls a second so far.
    `error`: of a call that failed, for the reason."""
    before = advanced(breaker, at)
    now = before.breaker
    match now.state:
        case "open":
            # A call that began before the circuit opened: it shows nothing that is not known yet.
            return before
        case "half_open":
            after = _probed(now, call, at, rules, error)
        case "closed":
            after = _counted(now, call, at, rules, per_s=per_s, error=error)
    return Changed(after.breaker, before.changes + after.changes)


def probe_share(breaker: Breaker, rules: CircuitRules) -> float:
    """Returns the share of the payments that may probe a half-open circuit, in [0, 1]: with the traffic of
    before it opened, about `probes` of them within the time that one may take."""
    if breaker.state != "half_open":
        return 0.0
    expected = breaker.per_s * rules.probe_s
    return 1.0 if expected <= rules.probes else rules.probes / expected


def _probed(breaker: Breaker, call: Call, at: datetime, rules: CircuitRules, error: str | None) -> Changed:
    if call == "failed":
        reason = f"a probe failed{_named(error)}"
        return _opened(breaker, at, reason, min(breaker.open_s * rules.growth, rules.open_max_s))
    worked = breaker.worked + 1
    if worked < rules.closes_after:
        return Changed(replace(breaker, worked=worked))
    return _turned(breaker, "closed", at, f"{worked} probes worked")


def _counted(
    breaker: Breaker, call: Call, at: datetime, rules: CircuitRules, *, per_s: float, error: str | None
) -> Changed:
    recent = (breaker.recent + ("x" if call == "failed" else "."))[-rules.window :]
    in_a_row = breaker.in_a_row + 1 if call == "failed" else 0
    failures, calls = recent.count("x"), len(recent)
    counted = replace(breaker, recent=recent, in_a_row=in_a_row, per_s=per_s)
    if in_a_row >= rules.in_a_row:
        reason = f"{in_a_row} calls in a row failed{_named(error)}"
    elif call == "failed" and calls >= rules.rate_from and failures >= rules.rate * calls:
        reason = f"{failures} of the last {calls} calls failed{_named(error)}"
    else:
        return Changed(counted)
    # One that closed a moment ago has closed too early: two probes may work by luck.
    soon = breaker.open_s > 0 and (at - breaker.since).total_seconds() < breaker.open_s
    grown = breaker.open_s * rules.growth if soon else rules.open_s
    return _opened(counted, at, reason, min(grown, rules.open_max_s))


def _opened(breaker: Breaker, at: datetime, reason: str, open_s: float) -> Changed:
    return _turned(replace(breaker, open_s=open_s), "open", at, reason)


def _turned(breaker: Breaker, state: CircuitState, at: datetime, reason: str) -> Changed:
    turned = replace(breaker, state=state, since=at, reason=reason, recent="", in_a_row=0, worked=0)
    return Changed(turned, (Change(breaker.state, state, at, reason),))


def _named(error: str | None) -> str:
    return "" if error is None else f", the last with {error}"
