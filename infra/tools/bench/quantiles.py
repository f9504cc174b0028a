"""Quantiles of all measured values by nearest rank: nothing is sampled or interpolated."""

import math
from collections.abc import Iterable


def quantiles(values: Iterable[float]) -> dict[str, float | int]:
    """Returns p50, p95, p99, the largest, and how many values there were."""
    ordered = sorted(values)
    if not ordered:
        return {"count": 0}
    return {
        "count": len(ordered),
        **{f"p{part}": round(ordered[math.ceil(len(ordered) * part / 100) - 1], 1) for part in (50, 95, 99)},
        "max": round(ordered[-1], 1),
    }
