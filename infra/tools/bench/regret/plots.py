"""The plots of docs/routing.md."""

from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from infra.tools.bench.regret.problems import problems
from infra.tools.bench.regret.run import CURVE_POINTS, OURS, Result
from infra.tools.bench.regret.world import PAYMENTS, PHASES, PSPS

_COLOURS: Final = {
    OURS: "#c1272d",
    "klUCB": "#1f6fb4",
    "Thompson": "#5aa469",
    "SW-klUCB": "#8a6fb0",
    "metrics": "#1f6fb4",
    "metrics, explore 0": "#7fb2e0",
    "success": "#5aa469",
    "best fixed": "#6b6b6b",
    "round_robin": "#c9a227",
}
_SHORT: Final = 0.08  # of the payments: a phase whose name needs more room than it has
_SMOOTHED: Final = 100


def save_plots(result: Result, folder: Path) -> list[Path]:
    """Writes the plots of what was played as PNG files and returns their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    with mpl.rc_context({"font.size": 9, "axes.spines.top": False, "axes.spines.right": False}):
        if result.curves:
            written.append(_save(_regret(result), folder / "regret.png"))
        if result.chosen is not None:
            written.append(_save(_world(result, result.chosen), folder / "payment-world.png"))
    return written


def _save(figure: Figure, path: Path) -> Path:
    # Without the version of matplotlib the same figures give the same file.
    figure.savefig(path, dpi=110, metadata={"Software": None})
    return path


def _regret(result: Result) -> Figure:
    listed = problems()
    rows = -(-len(result.curves) // 3)
    figure = Figure(figsize=(11, 3.2 * rows), layout="constrained")
    for number, (name, curves) in enumerate(result.curves.items(), start=1):
        axes = figure.add_subplot(rows, min(3, len(result.curves)), number)
        problem = listed[name]
        steps = problem.steps * np.arange(1, CURVE_POINTS + 1) / CURVE_POINTS
        for algorithm, curve in curves.items():
            axes.plot(
                steps,
                curve,
                label=algorithm,
                color=_COLOURS[algorithm],
                linewidth=2 if algorithm == OURS else 1.2,
            )
        if problem.changes < 20:
            for start in problem.starts[1:]:
                axes.axvline(start, color="0.85", linewidth=0.8, zorder=0)
        axes.set_title(f"problem {name}")
        axes.set_xlabel("step")
        axes.set_ylabel("mean regret")
        axes.set_ylim(bottom=0)
        if number == 1:
            axes.legend(frameon=False)
    return figure


def _world(result: Result, chosen: np.ndarray) -> Figure:
    figure = Figure(figsize=(11, 6.4), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True)
    kernel = np.ones(_SMOOTHED) / _SMOOTHED
    payments = np.arange(PAYMENTS)
    for column, psp in enumerate(PSPS):
        smooth = np.convolve(chosen[:, column], kernel, mode="valid")
        above.plot(payments[_SMOOTHED - 1 :], smooth, label=psp.name)
    above.set_ylabel("share of the payments, adaptive")
    above.set_ylim(0, 1.15)
    above.legend(frameon=False, ncols=len(PSPS), loc="lower center", bbox_to_anchor=(0.5, 1.0))
    for strategy, so_far in result.lost.items():
        below.plot(
            payments,
            so_far,
            label=strategy,
            color=_COLOURS[strategy],
            linewidth=2 if strategy == OURS else 1.2,
        )
    below.set_ylim(0, 1.05 * max(v[-1] for name, v in result.lost.items() if name != "round_robin"))
    below.set_ylabel("approvals lost so far, mean")
    below.set_xlabel("payment")
    below.legend(frameon=False)
    for axes in (above, below):
        for name, since, until in PHASES:
            axes.axvline(since * PAYMENTS, color="0.8", linewidth=0.8, zorder=0)
            if axes is above:
                height = 1.08 if until - since < _SHORT else 1.02
                axes.text(since * PAYMENTS + 20, height, name, fontsize=7, color="0.35", va="bottom")
    return figure
