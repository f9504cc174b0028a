"""Says how many examples a property or a fuzz test tries, of those that it names: a third of them, unless
`--examples` says otherwise; a tenth under `--unit`; all of them in `make soak`."""

import os
from typing import Final

EXAMPLES_VARIABLE: Final = "AEGISPAY_TEST_EXAMPLES"
"""Set by tests/conftest.py before any test module is imported, in xdist's workers too: a name of `PARTS`."""

PARTS: Final = {"all": 1, "third": 3, "tenth": 10}


def examples(count: int) -> int:
    """Returns the part of the number that this run tries, at least 1."""
    return max(1, count // _part())


def every() -> int:
    """Returns the stride through an exhaustive list: 1, or 10 where a tenth is tried."""
    return 10 if _part() == 10 else 1


def _part() -> int:
    return PARTS[os.environ.get(EXAMPLES_VARIABLE, "third")]
