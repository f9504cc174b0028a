"""Ports for what tests start: none twice in a run, and none that another worker of the run may choose."""

import os
import random
from collections.abc import Iterator
from itertools import islice
from typing import Final

from infra.local.ports import is_free

_WORKER: Final = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
_WORKERS: Final = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))


def free(count: int) -> list[int]:
    return list(islice(_FREE, count))


def _free() -> Iterator[int]:
    # Below what Linux hands to outgoing connections, as in infra.local.ports.
    candidates = range(20_000 + _WORKER, 32_000, _WORKERS)
    while True:
        yield from filter(is_free, random.sample(candidates, k=len(candidates)))


_FREE: Final = _free()
