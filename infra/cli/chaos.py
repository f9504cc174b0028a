"""`aegispay chaos`."""

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from infra.cli.options import JsonFile
from infra.cli.output import write_json
from infra.local.problem import LocalProblem

if TYPE_CHECKING:
    from infra.chaos.plan import Plan
    from infra.chaos.runner import Chaos


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
            help="Make a plan up: the same seed, the same plan.",
            show_default=False,
        ),
    ] = None,
    payments: Annotated[int, typer.Option(min=1, help="Of a random plan.")] = 1000,
    json: JsonFile = None,
    *,
    keep: Annotated[
        bool,
        typer.Option("--keep", help="Keep the run's data and logs; else only of a run that was not clean."),
    ] = False,
    show_plan: Annotated[
        bool, typer.Option("--show-plan", help="Print the plan as JSON, and do nothing.")
    ] = False,
) -> None:
    """Do harm to a stack of its own under load, and give the verdict. Exit code 1: not clean.

    Nothing that runs already is touched: it has its own servers, in a folder of its own.
    """
    import logging
    import shutil

    from infra.chaos.arena import folder_for_all
    from infra.chaos.runner import run_chaos
    from infra.cli.progress import to_its_end
    from infra.cli.verdict import show

    console = Console(stderr=json == "-")
    chosen = _plan(plan, seed, payments)
    if show_plan:
        write_json(chosen.model_dump(mode="json"))
        return
    # What it cannot reach is what this is about.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    folder = Path(tempfile.mkdtemp(prefix="aegispay-chaos-"))
    folder_for_all(folder)
    console.print(
        f"Seed {chosen.seed}: {chosen.payments} payments, {len(chosen.faults)} faults, in {folder}",
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
        if json is not None:
            write_json(result.as_json(), json)
    finally:
        if clean and not keep:
            shutil.rmtree(folder, ignore_errors=True)
        else:
            console.print(f"Data and logs are in {folder}", highlight=False)
    raise typer.Exit(0 if clean else 1)


def _plan(file: Path | None, seed: int | None, payments: int) -> "Plan":
    from infra.chaos.plan import load, random_plan

    if (file is None) == (seed is None):
        raise LocalProblem(
            "Name one of both: --plan FILE or --random SEED", "docs/chaos.md has a plan to start from"
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
        say(f"ended otherwise than its token says: {one}")
    for one in content["refused"]:
        if not one["explained"]:
            say(f"refused without a reason: {one['payment_id']}: {one['what']}, {one['code']}: NOT CLEAN")
    for one in content["still_in_doubt"]:
        say(f"still in doubt: {one['payment_id']}: {one['reason']}")
    if result.missed:
        say(f"{len(result.missed)} of {len(result.struck)} faults did not happen")
    if result.not_taken:
        say(f"{result.not_taken} orders were never taken: NOT CLEAN")


def _s(seconds: float | None) -> str:
    return "(not over at the end)" if seconds is None else f"{seconds:g} s"
