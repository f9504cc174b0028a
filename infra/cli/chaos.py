"""`aegispay chaos`."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from commands.wording import counted
from infra.cli.options import AsJson
from infra.cli.output import write_json
from infra.errors import Mistyped

if TYPE_CHECKING:
    from infra.tools.chaos.plan import ChaosPlan
    from infra.tools.chaos.runner import Chaos


def chaos(
    plan: Annotated[
        Path | None,
        typer.Option("--plan", metavar="FILE", help="TOML or JSON: see docs/chaos.md.", show_default=False),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(
            "--random",
            metavar="SEED",
            help="Derive a plan from a seed: the same seed, the same plan.",
            show_default=False,
        ),
    ] = None,
    payments: Annotated[int, typer.Option(min=1, help="Payments of a random plan.")] = 1000,
    *,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Keep the data and logs of a clean run too."),
    ] = False,
    show_plan: Annotated[
        bool, typer.Option("--show-plan", help="Print the plan as JSON and do nothing else.")
    ] = False,
    json: AsJson = False,
) -> None:
    """Inject faults into a stack of its own under load, and give the verdict. Exit code 1: not clean.

    A stack that already runs is not touched: this one has its own servers and its own folder.
    """
    console = Console(stderr=json)
    chosen = _plan(plan, seed, payments)
    if show_plan:
        write_json(chosen.model_dump(mode="json"))
        return
    result = _run(chosen, console, keep=keep)
    if json:
        write_json(result.as_json())
    raise typer.Exit(0 if result.ok else 1)


def _run(chosen: "ChaosPlan", console: Console, *, keep: bool) -> "Chaos":
    """Runs the plan in a new folder, which stays if `keep` is set, the verdict is not clean, or the run
    was interrupted."""
    import logging
    import shutil

    from infra.cli.progress import to_its_end
    from infra.cli.verdict import show
    from infra.tools.chaos.runner import run_chaos
    from infra.tools.chaos.testbed import folder_for_all

    # A plan makes brokers unreachable on purpose.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="aegispay-chaos-"))
    folder_for_all(folder)
    console.print(
        f"Seed {chosen.seed}: {counted(chosen.payments, 'payment')}, {counted(len(chosen.faults), 'fault')}, "
        f"in {folder}",
        highlight=False,
    )
    clean = False
    try:
        result = to_its_end(
            run_chaos(chosen, folder, lambda text: console.print(text, highlight=False, soft_wrap=True))
        )
        clean = result.ok
        _tell(result, console)
        show(result.verdict, console)
    finally:
        if clean and not keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            console.print(f"Data and logs are in {folder}", highlight=False)
    return result


def _plan(file: Path | None, seed: int | None, payments: int) -> "ChaosPlan":
    from infra.tools.chaos.plan import load, random_plan

    if (file is None) == (seed is None):
        raise Mistyped(
            "Name one of the two: --plan FILE or --random SEED", "docs/chaos.md has a plan to start from"
        )
    return load(file) if file is not None else random_plan(seed or 0, payments)


def _tell(result: "Chaos", console: Console) -> None:
    content = result.as_json()

    def say(text: str) -> None:
        console.print(text, highlight=False, soft_wrap=True)

    for name, found in content["recovery_s"].items():
        say(
            f"recovery from {name} ({found['count']}): rate back after {_s(found['rate_back_s'])}, "
            f"nothing overdue after {_s(found['nothing_overdue_s'])}"
        )
    say("restarts: " + ", ".join(f"{name} {count}" for name, count in result.restarts.items() if count))
    for one in content["ended_otherwise"]:
        say(f"ended otherwise than its token determines: {one}")
    for one in content["refused"]:
        if not one["explained"]:
            say(f"refused without a reason: {one['payment_id']}: {one['what']}, {one['code']}: NOT CLEAN")
    for one in content["still_in_doubt"]:
        say(f"still in doubt: {one['payment_id']}: {one['reason']}")
    if result.missed:
        say(f"{len(result.missed)} of {counted(len(result.injected), 'fault')} did not happen")
    if result.not_taken:
        say(f"{counted(result.not_taken, 'order')} never taken: NOT CLEAN")


def _s(seconds: float | None) -> str:
    return "(not over at the end)" if seconds is None else f"{seconds:g} s"
