"""The figures of `aegispay bench regret` as lines."""

from typing import Any, Final

NAMES: Final = ("1", "2", "3", "4", "4x2", "5", "world")
"""The published problems, and the payment world. `4x2`: the fourth over twice as many steps."""


def lines(figures: dict[str, Any]) -> list[str]:
    """Returns a line for each algorithm and strategy."""
    found = []
    for name, problem in figures["problems"].items():
        found.append(f"problem {name}: {problem['steps']:,} steps, {problem['changes']} changes")
        for algorithm, one in problem["algorithms"].items():
            line = f"  {algorithm}: regret {one['mean']} ± {one['se']} (standard error, {one['runs']} runs)"
            if "published" in one:
                line += f"; published {one['published']}, {one['errors_apart']:+} standard errors apart"
            found.append(line)
    for strategy, one in figures.get("world", {}).items():
        phases = ", ".join(f"{phase} {share}" for phase, share in one["phases"].items())
        found.append(f"world, {strategy}: {one['lost']} ± {one['se']} approvals lost; {phases}")
    return found
