"""The history by the minute: counts, kinds of errors, and latencies in a t-digest.

A minute may have thousands of transactions, so their latencies are kept in a sketch: Dunning's t-digest, of
the package `fastdigest`, which is typed, maintained, without dependencies, and writes itself as bytes. The
windows of the last 100 keep the values themselves.
"""

from base64 import b64decode, b64encode
from collections import Counter
from collections.abc import Iterable
from typing import Final

from fastdigest import TDigest

from aggregates.routing.window import begins
from commands.health_records import SEGMENTS_READ_MAX, MinuteFigures, MinuteRecord
from commands.samples import Sample
from gateways.health.rows import MinuteCounts, MinuteRow

DEPTH: Final = 2
"""A minute is kept of the whole account, of each kind of operation, and of each method within it."""
_CENTROIDS: Final = 100
_ERRORS_MAX: Final = 20
"""The kinds of errors of one segment and minute; further ones are counted, and not named."""


def is_kept(segment: str) -> bool:
    """True if the history has the segment's minutes."""
    return segment.count("/") < DEPTH


def counted(counts: MinuteCounts, samples: Iterable[Sample]) -> MinuteCounts:
    """Returns the counts with these transactions more; one that is `pending` counts for nothing. One that
    became known late takes the place of an unknown one of the same minute; the unknown one of an earlier
    minute stays in the history of that minute."""
    more = Counter[str]()
    errors = Counter(counts.errors)
    latencies_ms = []
    for sample in samples:
        if sample.outcome == "pending":
            continue
        more[sample.outcome] += 1
        if sample.late is not None and counts.unknown + more["unknown"] > 0:
            more["unknown"] -= 1
        if sample.error is not None and (sample.error in errors or len(errors) < _ERRORS_MAX):
            errors[sample.error] += 1
        if sample.latency_ms is not None:
            latencies_ms.append(sample.latency_ms)
    digest = counts.digest
    if latencies_ms:
        sketch = _sketch(digest)
        sketch.batch_update(latencies_ms)
        digest = b64encode(sketch.to_bytes()).decode()
    return MinuteCounts(
        counts.approved + more["approved"],
        counts.declined + more["declined"],
        counts.failed + more["failed"],
        counts.unknown + more["unknown"],
        dict(errors),
        digest,
    )


def record_of(account: str, row: MinuteRow) -> MinuteRecord:
    """Returns the minute as the history has it; of more segments than that takes, the widest."""
    kept = sorted(row.segments.items(), key=lambda one: one[0].count("/"))[:SEGMENTS_READ_MAX]
    return MinuteRecord(
        gateway=row.gateway,
        account=account,
        minute=begins(row.minute),
        segments={name: _figures(counts) for name, counts in kept},
    )


def _figures(counts: MinuteCounts) -> MinuteFigures:
    sketch = _sketch(counts.digest)
    p50, p95, p99 = (None,) * 3 if sketch.is_empty() else sketch.quantile_vec([0.5, 0.95, 0.99])
    return MinuteFigures(
        approved=counts.approved,
        declined=counts.declined,
        failed=counts.failed,
        unknown=counts.unknown,
        p50_ms=_rounded(p50),
        p95_ms=_rounded(p95),
        p99_ms=_rounded(p99),
        errors=counts.errors,
    )


def _rounded(value_ms: float | None) -> float | None:
    return None if value_ms is None else round(value_ms, 1)


def _sketch(digest: str) -> TDigest:
    return TDigest.from_bytes(b64decode(digest)) if digest else TDigest(max_centroids=_CENTROIDS)
