"""kill -9 and SIGSTOP between two lines: at every failpoint, nothing is lost and nobody is charged
twice."""

import asyncio
import signal

import pytest

from commands.failpoints import NAMES
from tests.support.lifecycles import KINDS, POINTS, arm, die_at_each, killed_at, rough, stopped_at
from tests.support.processes import ALL, running, shop, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(600)]


def _no_harm(verdict, payments: int) -> None:
    assert verdict.ok, verdict.as_json()
    assert verdict.settled_s is not None
    assert verdict.payments == payments
    assert sum(verdict.by_status[status] for status in ("CAPTURED", "FAILED")) == payments


async def test_every_process_killed_at_each_of_its_points_under_load_loses_and_doubles_nothing(
    environment, tmp_path
):
    lived = asyncio.Event()
    wanted = rough(count=4000, rate=12, run="points")
    async with running(environment, tmp_path) as stack:
        shopping = asyncio.create_task(shop(stack, wanted, lived.is_set))
        async with asyncio.TaskGroup() as lives:
            for kind in KINDS:
                passes = 2 if kind == "timers" else 4
                lives.create_task(die_at_each(stack, kind, tmp_path / "marks", passes))
        lived.set()
        ordered = await shopping
        verdict = await stack.verdict()

    assert {mark.name for mark in (tmp_path / "marks").iterdir()} == set(NAMES)
    _no_harm(verdict, ordered)


# `make test` stops each kind of process by itself: test_workers, test_relay, test_batch, test_timers.
@pytest.mark.soak
async def test_every_process_stopped_at_a_point_wakes_up_after_another_took_over_and_changes_nothing(
    environment, tmp_path
):
    points = {kind: POINTS[kind][min(1, len(POINTS[kind]) - 1)] for kind in KINDS}
    wanted = rough(count=220, rate=12, run="zombies")
    async with running(environment, tmp_path, "simulator") as stack:
        marks = tmp_path / "marks"
        await asyncio.gather(*(arm(stack, kind, f"{points[kind]}:stop:2", marks) for kind in KINDS))
        # After the first relay leads.
        await stack.start(*(f"{kind}-2" for kind in KINDS))
        shopping = asyncio.create_task(shop(stack, wanted))

        await asyncio.gather(*(stopped_at(stack, kind, points[kind], marks) for kind in KINDS))
        await until(lambda: stack.rows("SELECT 1 FROM payments OFFSET 180"), "the others have taken over")
        for kind in KINDS:
            stack.children[kind].signal(signal.SIGCONT)
        await shopping
        _no_harm(await stack.verdict(), len(wanted))


@pytest.mark.soak
@pytest.mark.parametrize("point", NAMES)
async def test_killed_at(environment, tmp_path, point):
    kind = point.partition(".")[0]
    wanted = rough(count=60, rate=20, run="killed")
    async with running(environment, tmp_path, *(name for name in ALL if name != kind)) as stack:
        await arm(stack, kind, f"{point}:kill:2", tmp_path / "marks")
        shopping = asyncio.create_task(shop(stack, wanted))
        await killed_at(stack, kind, point, tmp_path / "marks")
        await stack.start(kind)
        await shopping

        _no_harm(await stack.verdict(), len(wanted))


@pytest.mark.soak
@pytest.mark.parametrize("point", NAMES)
async def test_stopped_at(environment, tmp_path, point):
    """With a second one that takes over: for longer than a session and than the first byte of a call may
    take."""
    kind = point.partition(".")[0]
    wanted = rough(count=240, rate=20, run="stopped")
    others = [name for name in ALL if name != kind]
    async with running(environment, tmp_path, *others) as stack:
        await arm(stack, kind, f"{point}:stop:2", tmp_path / "marks")
        await stack.start(f"{kind}-2")
        shopping = asyncio.create_task(shop(stack, wanted))
        await stopped_at(stack, kind, point, tmp_path / "marks")
        await until(lambda: stack.rows("SELECT 1 FROM payments OFFSET 200"), "the other has taken over")
        stack.children[kind].signal(signal.SIGCONT)
        await shopping

        _no_harm(await stack.verdict(), len(wanted))
