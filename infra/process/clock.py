"""The wall clock by which our processes decide. PostgreSQL has its own; intervals are measured by
`time.monotonic`.

A test may set it ahead or back (AEGISPAY_CLOCK_OFFSET_S), with a file even while the process runs.
"""

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

# Seconds that are added to the true time. `time.monotonic` is never moved: deadlines and fences count by it.
_offset_s: Callable[[], float] | None = None


def now() -> datetime:
    """Returns the time in UTC, moved by the offset where one is set."""
    real = datetime.now(UTC)
    return real if _offset_s is None else real + timedelta(seconds=_offset_s())


def set_offset(spec: str) -> None:
    """Sets the offset of the clock. `spec`: seconds, or a file that holds them and is read each time; "" is
    the true time. Raises `ValueError`."""
    global _offset_s  # noqa: PLW0603  # a process has one clock
    if not spec:
        _offset_s = None
    elif (fixed := _seconds(spec)) is not None:
        _offset_s = lambda: fixed  # noqa: E731
    elif (file := Path(spec)).is_file():
        # Read at each call, so a test moves the clock of a running process; what is no number, a half-written
        # file say, is the true time.
        _offset_s = lambda: _seconds(file.read_text()) or 0.0  # noqa: E731
    else:
        raise ValueError("neither a number of seconds nor a file that holds one")


def _seconds(text: str) -> float | None:
    try:
        seconds = float(text)
    except ValueError:
        return None
    # float() also reads "nan" and "inf", which no timedelta takes.
    return seconds if math.isfinite(seconds) else None
