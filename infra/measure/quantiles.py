"""Quantiles of all the values measured: nearest rank, nothing sampled, nothing interpolated."""

import math
from collections.abc import Iterable


def quantiles(values: Iterable[float]) -> dict[str, float | int]:
    """p50, p95, p99, the largest, and how many there were."""
    ordered = sorted(values)
    if not ordered:
        return {"count": 0}
    return {
        "count": len(ordered),
        **{f"p{part}": round(ordered[math.ceil(len(ordered) * part / 100) - 1], 1) for part in (50, 95, 99)},
        "max": round(ordered[-1], 1),
    }
