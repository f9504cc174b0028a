"""`aegispay bench experiments`: how often an experiment that is looked at daily is wrong, and how often it
sees a difference."""

from typing import Annotated

import typer

from commands.wording import counted
from infra.cli.bench import JsonFile, write_figures
from infra.cli.output import say


def experiments(
    *,
    experiments: Annotated[int, typer.Option(min=10, help="Experiments to simulate of each kind.")] = 1000,
    per_day: Annotated[int, typer.Option(min=10, help="Payments a day in each of two arms.")] = 1000,
    seed: Annotated[int, typer.Option(help="The same seed makes the same payments.")] = 1,
    json: JsonFile = None,
) -> None:
    """Look at simulated experiments daily for 30 days: false alarms and power, ours beside a plain z-test."""
    from infra.tools.bench.experiments import run

    figures = run(experiments=experiments, payments_per_day=per_day, seed=seed)
    say(
        f"{experiments} experiments of {figures['days']} days, {counted(per_day, 'payment')} a day and arm, "
        f"approval rate {figures['approval_rate']:.0%}, looked at daily"
    )
    for one in figures["looks"]:
        points = round(100 * one["difference"])
        what = f"{points} points better" if points else "no difference"
        days = "" if one["days"] is None else f"; ours after {one['days']:.1f} days on average"
        say(f"{what}: a winner in {one['ours']:.1%} of them, by a z-test in {one['z_test']:.1%}{days}")
    write_figures(figures, json)
