"""The problems of the published table (Besson and Kaufmann, arXiv 1902.01575, section 6), and its figures."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Problem:
    """Bernoulli arms whose success rates change at the first steps of the segments. `rates`: segment by arm.
    `published`: mean regret and its standard deviation over `runs`, by algorithm."""

    name: str
    steps: int
    starts: tuple[int, ...]
    rates: Floats
    runs: int
    published: dict[str, tuple[int, int]]

    @property
    def arms(self) -> int:
        """The number of arms."""
        return int(self.rates.shape[1])

    @property
    def changes(self) -> int:
        """How many times the rates change. Only algorithms that are said to know it may read it."""
        return len(self.starts) - 1

    def segments(self) -> list[tuple[int, int, Floats]]:
        """Returns the first step, the end and the rates of each segment."""
        return [
            (start, end, rates)
            for (start, end), rates in zip(pairwise((*self.starts, self.steps)), self.rates, strict=True)
        ]


ALGORITHMS: Final = (
    "oracle restart klUCB",
    "klUCB",
    "SW-klUCB",
    "discounted klUCB",
    "Thompson",
    "discounted Thompson",
    "M-klUCB",
    "CUSUM-klUCB",
    "GLR-klUCB local",
    "GLR-klUCB global",
    "Exp3.S",
)
_FIGURES: Final = {
    "1": "37±37 270±76 177±34 1456±214 493±175 209±38 290±29 148±32 74±31 97±32 352±51",
    "2": "45±34 162±59 182±34 1442±440 388±147 249±39 534±93 152±42 113±34 134±33 310±62",
    "3": "257±86 529±148 1794±71 1376±37 1019±245 2492±52 645±141 490±133 513±97 621±103 665±93",
    "4": "68±40 615±74 202±33 911±210 756±65 250±39 337±46 267±69 99±32 128±32 551±63",
    "4x2": "86±50 1218±123 322±47 1741±200 1476±137 481±58 544±47 343±94 128±42 185±47 860±109",
    "5": "126±54 106±36 228±27 2085±910 88±39 238±24 116±36 117±34 149±34 152±32 723±121",
}


def _problem(
    name: str, steps: int, rates: Sequence[Sequence[float]], runs: int, at: Sequence[float] | None = None
) -> Problem:
    parts = at or [part / len(rates) for part in range(len(rates))]
    figures = [(int(mean), int(sd)) for mean, sd in (one.split("±") for one in _FIGURES[name].split())]
    return Problem(
        name=name,
        steps=steps,
        starts=tuple(int(part * steps + 1e-9) for part in parts),
        rates=np.array(rates),
        runs=runs,
        published=dict(zip(ALGORITHMS, figures, strict=True)),
    )


def problems() -> dict[str, Problem]:
    """Returns the published problems by name, in the table's order."""
    fourth = [(0.1, 0.5, 0.9), (0.3, 0.4, 0.1), (0.5, 0.3, 0.2), (0.7, 0.4, 0.3), (0.1, 0.5, 0.2)]
    at = (0, 1 / 2, 5 / 8, 6 / 8, 7 / 8)
    third = [
        (0.071, 0.041, 0.032, 0.030, 0.020, 0.011),
        (0.055, 0.053, 0.032, 0.030, 0.008, 0.011),
        (0.040, 0.063, 0.032, 0.030, 0.008, 0.011),
        (0.040, 0.042, 0.043, 0.030, 0.008, 0.011),
        (0.030, 0.032, 0.055, 0.030, 0.008, 0.011),
        (0.030, 0.032, 0.020, 0.030, 0.008, 0.021),
        (0.020, 0.022, 0.020, 0.045, 0.008, 0.021),
        (0.020, 0.022, 0.020, 0.057, 0.008, 0.011),
        (0.020, 0.022, 0.034, 0.057, 0.022, 0.011),
    ]
    first = [(0.3, 0.5, 0.9), (0.3, 0.2, 0.9), (0.3, 0.2, 0.1), (0.7, 0.2, 0.1), (0.7, 0.5, 0.1)]
    second = [(0.4, 0.5, 0.9), (0.5, 0.4, 0.7), (0.6, 0.3, 0.5), (0.7, 0.2, 0.3), (0.8, 0.1, 0.1)]
    fifth = np.loadtxt(Path(__file__).parent / "yahoo.csv", delimiter=",").tolist()
    listed = (
        _problem("1", 5_000, first, 1_000),
        _problem("2", 5_000, second, 1_000),
        _problem("3", 100_000, third, 500),
        _problem("4", 5_000, fourth, 1_000, at),
        _problem("4x2", 10_000, fourth, 1_000, at),
        _problem("5", 20_000, fifth, 500),
    )
    return {problem.name: problem for problem in listed}
