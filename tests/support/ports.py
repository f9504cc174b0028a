"""Ports for what tests start: none twice in a run, and none that another worker of the run may choose."""

import os
import random
from collections.abc import Iterator
from itertools import islice
from typing import Final

from infra.tools.local.ports import is_free

_WORKER: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_WORKERS: Final = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
_SHARE: Final = 12_000 // _WORKERS // 2  # of 20000 to 31999, as in infra.tools.local.ports
_FIRST: Final = 20_000 + 2 * _SHARE * _WORKER
# For the local stacks that a worker starts, which choose at random: half of what is the worker's own.
OF_STACKS: Final = f"{_FIRST + _SHARE}-{_FIRST + 2 * _SHARE - 1}"


def free(count: int) -> list[int]:
    return list(islice(_FREE, count))


def _free() -> Iterator[int]:
    candidates = range(_FIRST, _FIRST + _SHARE)
    while True:
        yield from filter(is_free, random.sample(candidates, k=len(candidates)))


_FREE: Final = _free()
