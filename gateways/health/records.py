"""The health record of one account, from its rows."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, get_args

from aggregates.operation import Kind
from aggregates.routing import circuit
from aggregates.routing.circuit import Breaker, Change, CircuitRules
from aggregates.routing.score import score
from aggregates.routing.window import quantile
from commands.health_records import CircuitRecord, HealthRecord, SegmentRecord
from gateways.health.rows import SegmentRow

ERRORS_NAMED_MAX: Final = 20
"""The kinds of errors that a segment's record names. With the bound on segments it keeps the record of an
account far below what a broker and a reader take."""
_OTHER: Final = "other"
_KINDS: Final[tuple[Kind, ...]] = get_args(Kind)


def record_of(
    account: str, rows: Mapping[str, SegmentRow], rules: CircuitRules, now: datetime
) -> tuple[HealthRecord, list[tuple[Kind, Change]]]:
    """Returns the record at `now`, and the changes of circuits that have come by time alone."""
    circuits: dict[Kind, CircuitRecord] = {}
    changes: list[tuple[Kind, Change]] = []
    for kind in _KINDS:
        row = rows.get(kind)
        if row is None or row.breaker is None:
            continue
        done = circuit.advanced(row.breaker, now)
        circuits[kind] = _circuit(done.breaker, rules)
        changes += [(kind, change) for change in done.changes]
    record = HealthRecord(
        gateway=next(iter(rows.values())).gateway,
        account=account,
        as_of=now,
        circuits=circuits,
        segments={name: _segment(row, now) for name, row in rows.items()},
    )
    return record, changes


def _circuit(breaker: Breaker, rules: CircuitRules) -> CircuitRecord:
    return CircuitRecord(
        state=breaker.state,
        since=breaker.since,
        until=breaker.until,
        reason=breaker.reason,
        probe_share=circuit.probe_share(breaker, rules),
    )


def _segment(row: SegmentRow, now: datetime) -> SegmentRecord:
    window = row.window
    latencies = window.latencies_ms
    p95_ms = quantile(latencies, 0.95)
    counts = {name: window.count(name) for name in ("approved", "declined", "failed", "unknown")}
    return SegmentRecord(
        **counts,
        p50_ms=quantile(latencies, 0.5),
        p95_ms=p95_ms,
        p99_ms=quantile(latencies, 0.99),
        score=round(score(**counts, p95_ms=p95_ms), 4),
        errors=_named(window.errors),
        volume=window.volume(now),
        per_minute=round(window.per_minute(now), 2),
        wins=row.arm.wins,
        losses=row.arm.losses,
    )


def _named(errors: Mapping[str, int]) -> dict[str, int]:
    """Returns the most frequent kinds, which come first, and how often all the others occur as `other`."""
    named = dict(list(errors.items())[:ERRORS_NAMED_MAX])
    if rest := sum(errors.values()) - sum(named.values()):
        named[_OTHER] = named.get(_OTHER, 0) + rest
    return named
