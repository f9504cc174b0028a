"""Plans of `aegispay chaos`, run inside a test: each on servers of its own, since it kills them."""

import logging
import shutil
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from infra.tools.chaos.faults import title
from infra.tools.chaos.plan import ChaosPlan
from infra.tools.chaos.runner import Chaos, run_chaos
from infra.tools.chaos.testbed import folder_for_all


async def carried_out(*, faults: list[dict[str, Any]], **plan: Any) -> Chaos:
    # What it cannot reach is what this is about.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    async with _folder() as folder:
        return await run_chaos(ChaosPlan.model_validate(plan | {"faults": faults}), folder, print)


@asynccontextmanager
async def _folder() -> AsyncIterator[Path]:
    """Not pytest's: PostgreSQL's own user may not pass through that."""
    folder = Path(tempfile.mkdtemp(prefix="aegispay-chaos-test-"))
    folder_for_all(folder)
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def assert_no_harm(result: Chaos) -> None:
    """Every fault has happened, and nothing is lost, doubled, changed or left."""
    content = result.as_json()
    missed = [f"{title(one.fault)}: {one.missed}" for one in result.missed]
    assert not missed, "\n".join(missed)
    assert result.ok, content
    assert content["payments"] == result.plan.payments
    assert_each_has_its_reason(result)
    if result.plan.conditions != "storm":
        assert not content["still_in_doubt"], content["still_in_doubt"]


def assert_each_has_its_reason(result: Chaos) -> None:
    whys = result.verdict.found["in_doubt"].values()
    assert all(reasons and all(reasons) for reasons in whys), result.still_in_doubt
