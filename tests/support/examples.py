"""Says how many examples a property or a fuzz test tries: all of them, or a part under `pytest --unit`."""

import os
from typing import Final

UNIT_VARIABLE: Final = "AEGISPAY_TEST_UNIT"
"""Set by tests/conftest.py under `--unit`, before any test module is imported, in xdist's workers too."""

_PART: Final = 10


def examples(count: int) -> int:
    """Returns the number, or a tenth of it under `--unit`, at least 1."""
    return max(1, count // _PART) if UNIT_VARIABLE in os.environ else count


def every() -> int:
    """Returns the stride through an exhaustive list: 1, or 10 under `--unit`."""
    return _PART if UNIT_VARIABLE in os.environ else 1
