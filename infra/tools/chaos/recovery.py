"""Computes how long a fault's effect was felt, from what customers saw, or the readers of read models.
Pure."""

import statistics
from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

OVERDUE_AFTER_S: Final = 1.0
"""An order to which the PSP responds at once is overdue when it has not settled so long after it was due."""

_FELT_WITHIN_S: Final = 10.0
_BACK_SHARE: Final = 0.7
_STEP_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class RecoveryWork:
    """One piece of work. `done_s` is None if it was not done by the end of the run."""

    due_s: float
    done_s: float | None


@dataclass(frozen=True, slots=True)
class Recovery:
    """The time for which a fault was felt, in seconds. 0: it was not felt. None: it was still felt when the
    run ended.

    `rate_back_s`: until the last second's throughput was 70 % of the average demand again.
    `nothing_overdue_s`: until no work was overdue.
    """

    rate_back_s: float | None
    nothing_overdue_s: float | None


def recovery(works: Sequence[RecoveryWork], rate: float, injected_s: float, until_s: float) -> Recovery:
    """Measures a fault that happened at `injected_s`, as far as `until_s`. `rate`: how many of these works
    arrive per second."""
    window_s = max(1.0, 10 / rate)
    done = sorted(work.done_s for work in works if work.done_s is not None)
    wanted = _BACK_SHARE * rate * window_s

    def slow(now_s: float) -> bool:
        return bisect_right(done, now_s) - bisect_right(done, now_s - window_s) < wanted

    # Only what was too late at all can be overdue at any moment.
    late = [work for work in works if work.done_s is None or work.done_s - work.due_s > OVERDUE_AFTER_S]

    def overdue(now_s: float) -> bool:
        return any(
            work.due_s + OVERDUE_AFTER_S < now_s and (work.done_s is None or work.done_s > now_s)
            for work in late
        )

    # The last window in which work still came in.
    last_due_s = max((work.due_s for work in works), default=injected_s)
    return Recovery(
        _over(slow, injected_s, min(until_s, last_due_s)),
        _over(overdue, injected_s, until_s),
    )


def _over(bad: Callable[[float], bool], injected_s: float, until_s: float) -> float | None:
    began = None
    for step in range(int((until_s - injected_s) / _STEP_S) + 1):
        after_s = step * _STEP_S
        if bad(injected_s + after_s):
            began = after_s if began is None else began
        elif began is not None:
            return round(after_s, 2)
        elif after_s > _FELT_WITHIN_S:
            return 0.0
    return 0.0 if began is None else None


def medians(found: Iterable[tuple[str, Recovery]]) -> dict[str, dict[str, float | int | None]]:
    """Returns the medians by what was hit. A median is None where one of the faults was still felt at the
    end."""
    by_name: dict[str, list[Recovery]] = {}
    for name, one in found:
        by_name.setdefault(name, []).append(one)
    return {
        name: {
            "count": len(all_),
            "rate_back_s": _median([one.rate_back_s for one in all_]),
            "nothing_overdue_s": _median([one.nothing_overdue_s for one in all_]),
        }
        for name, all_ in sorted(by_name.items())
    }


def _median(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(statistics.median(known), 2) if len(known) == len(values) else None
