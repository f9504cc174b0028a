"""`aegispay bench`: payments through a stack and, as commands below it, what needs none."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer
from rich.console import Console

from infra.cli.options import AsJson, Data
from infra.cli.output import json_text, say, write_json
from infra.errors import LocalProblem, Mistyped

if TYPE_CHECKING:
    from infra.tools.bench.run import Bench


bench = typer.Typer(invoke_without_command=True)


@bench.callback()
def payments(
    context: typer.Context,
    *,
    rate: Annotated[float, typer.Option(min=0.1, help="Payments per second, on average.")] = 100.0,
    seconds: Annotated[float, typer.Option(min=1, help="How long to send, in seconds.")] = 30.0,
    seed: Annotated[int, typer.Option(help="The same seed makes the same payments.")] = 1,
    mix: Annotated[
        Literal["sale", "life"],
        typer.Option(help="sale: captured at once. life: authorized, captured, every fifth refunded."),
    ] = "sale",
    data: Data = None,
    json: AsJson = False,
) -> None:
    """Measure payments on schedule (open loop): rates, latency, CPU by process, lag of the read models, the
    verdict.

    Uses the running stack, or starts one and stops it again. Exit code 1: the verdict is not clean.
    """
    if context.invoked_subcommand is not None:
        return
    from infra.cli.progress import counting, stack_for, to_its_end
    from infra.cli.verdict import show
    from infra.tools.bench.run import run_bench

    console = Console(stderr=json)

    async def run() -> "Bench":
        async with stack_for(console, data, fresh=False) as stack:
            with counting(console, "Payments settled", round(rate * seconds)) as settled:
                return await run_bench(stack, rate=rate, seconds=seconds, seed=seed, settled=settled, mix=mix)

    result = to_its_end(run())
    content = result.as_json()
    _show(content, console)
    show(result.verdict, console)
    if json:
        write_json(content)
    raise typer.Exit(0 if result.ok else 1)


def _show(content: dict[str, Any], console: Console) -> None:
    def say(name: str, value: object) -> None:
        console.print(f"{name}: {value}", highlight=False, soft_wrap=True)

    def spread(name: str) -> str:
        return ", ".join(f"{part} {value}" for part, value in content[name].items())

    say("offered, payments/s", content["offered_rate"])
    say("achieved, payments/s", content["achieved_rate"])
    say("settled", f"{content['settled']} of {content['payments']}")
    say("latency, ms", spread("latency_ms"))
    if content["mix"] == "sale":
        say("added latency, ms", spread("added_latency_ms"))
    for step, times in content["steps_ms"].items():
        say(f"{step}, ms", ", ".join(f"{part} {value}" for part, value in times.items()))
    say("read models behind, ms", spread("read_model_lag_ms"))
    say("CPU per payment, ms", spread("cpu_ms_per_payment"))
    say("CPU of the load generator, ms", content["load_generator_cpu_ms_per_payment"])
    say("sent more than 50 ms late", content["sent_late"])
    say("machine", spread("machine"))


JsonFile = Annotated[
    Path | None, typer.Option("--json", help="Write the figures to this file, as JSON.", dir_okay=False)
]


@bench.command()
def routing(
    *,
    payments: Annotated[int, typer.Option(min=1000, help="Decisions to time.")] = 50_000,
    strategy: Annotated[
        Literal["metrics", "cost", "latency", "success", "round_robin", "adaptive"],
        typer.Option(help="What ranks the accounts where no rule says otherwise."),
    ] = "metrics",
    seed: Annotated[int, typer.Option(help="The same seed makes the same payments.")] = 1,
    json: JsonFile = None,
) -> None:
    """Time the router's decisions: 5 PSP accounts, 50 rules, in one process, in microseconds."""
    from infra.tools.bench.routing import bench_routing

    content = bench_routing(payments, seed, strategy)
    write_figures(content, json)
    for what, times in content["decision_us"].items():
        say(f"decision, us, {what.replace('_', ' ')}: p50 {times['p50']}, p99 {times['p99']}")


@bench.command()
def regret(
    *,
    problems: Annotated[
        str, typer.Option(help="Which, with commas between them: 1, 2, 3, 4, 4x2, 5, world. Default: all.")
    ] = "1,2,3,4,4x2,5,world",
    runs: Annotated[
        int | None,
        typer.Option(min=1, help="Runs of each. Default: as published, 1,000 or 500; 100 of the world."),
    ] = None,
    seed: Annotated[int, typer.Option(help="The same seed and runs give the same figures.")] = 1,
    cores: Annotated[int, typer.Option(min=1, help="Processes at once.")] = 1,
    plots: Annotated[
        Path | None, typer.Option(file_okay=False, help="Write the plots to this folder, as PNG.")
    ] = None,
    json: JsonFile = None,
) -> None:
    """Play published problems of bandits whose rates change, and a payment world: the adaptive strategy
    beside others.

    Needs the extra `bench` (numpy, matplotlib). All of it takes about an hour of CPU.
    """
    from infra.tools.bench.regret.report import NAMES, lines

    names = [name.strip() for name in problems.split(",")]
    if unknown := [name for name in names if name not in NAMES]:
        raise Mistyped(f"no problem is called {unknown[0]!r}", f"Choose of {', '.join(NAMES)}", "--problems")
    try:
        from infra.tools.bench.regret.plots import save_plots
        from infra.tools.bench.regret.run import bench_regret
    except ModuleNotFoundError as error:
        raise LocalProblem(
            f"{error.name} is not installed here", "Install the extra: pip install 'aegispay[bench]'"
        ) from None

    result = bench_regret(names, runs, seed, cores)
    write_figures(result.figures, json)
    if plots is not None:
        save_plots(result, plots)
    for line in lines(result.figures):
        say(line)


def write_figures(content: dict[str, Any], file: Path | None) -> None:
    """Writes the figures of a benchmark to a file as JSON. Raises `Mistyped` where it cannot be written."""
    if file is None:
        return
    try:
        file.write_text(json_text(content))
    except OSError as error:
        raise Mistyped(
            f"{file} cannot be written: {error.strerror}", "Name a file in a folder that exists", "--json"
        ) from None
