"""Short runs: the published rows come out, and a broken detector would not hold its bound."""

import json

import numpy as np
import pytest

from infra.cli import main
from infra.tools.bench.regret.ours import ByPropensities, Ours
from infra.tools.bench.regret.problems import problems
from infra.tools.bench.regret.run import ALGORITHMS, OURS, play

RUNS = 60


def _mean(problem: str, algorithm: str) -> tuple[float, float]:
    return _played(problem, ALGORITHMS[algorithm])


def _played(problem: str, make) -> tuple[float, float]:
    chosen = problems()[problem]
    chance = np.random.default_rng(3)
    played = play(chosen, make(chosen, RUNS, chance), RUNS, chance)
    return float(played.pseudo.mean()), float(played.realised.mean())


@pytest.mark.parametrize("algorithm", ["klUCB", "Thompson", "SW-klUCB"])
def test_the_published_rows_come_out(algorithm):
    published, sd = problems()["1"].published[algorithm]

    mean, realised = _mean("1", algorithm)

    assert mean == pytest.approx(published, abs=3 * sd / RUNS**0.5)
    assert realised == pytest.approx(mean, abs=3 * sd / RUNS**0.5)


@pytest.mark.parametrize("make", [Ours, pytest.param(ByPropensities, marks=pytest.mark.soak)])
def test_ours_loses_less_than_cusum_klucb_is_published_to_lose(make):
    mean, _ = _played("4", make)

    assert mean < 0.9 * problems()["4"].published["CUSUM-klUCB"][0]


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("problem", ["1", "2", "3", "4", "4x2", "5"])
def test_every_problem_holds_its_bounds(problem):
    published = problems()[problem].published

    for algorithm in ("klUCB", "Thompson", "SW-klUCB"):
        mean, _ = _mean(problem, algorithm)
        assert mean == pytest.approx(published[algorithm][0], abs=3 * published[algorithm][1] / RUNS**0.5)
    bound = 1.2 * published["klUCB"][0] if problem == "5" else published["CUSUM-klUCB"][0]
    assert _mean(problem, OURS)[0] < bound


def test_the_rates_of_the_fifth_problem_are_the_published_ones():
    fifth = problems()["5"]

    assert (fifth.changes, fifth.arms) == (81, 5)
    assert fifth.rates.min() == pytest.approx(0.012)
    assert fifth.rates.max() == pytest.approx(0.07)


def test_the_command_writes_its_figures_and_plots(monkeypatch, tmp_path, capsys):
    file, folder = tmp_path / "regret.json", tmp_path / "plots"
    arguments = ["--problems", "1", "--runs", "1", "--json", str(file), "--plots", str(folder)]
    monkeypatch.setattr("sys.argv", ["aegispay", "bench", "regret", *arguments])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 0
    figures = json.loads(file.read_text())
    assert set(figures["problems"]["1"]["algorithms"]) == set(ALGORITHMS)
    assert (folder / "regret.png").read_bytes().startswith(b"\x89PNG")
    assert "published 493" in capsys.readouterr().out


def test_an_unknown_problem_is_named(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["aegispay", "bench", "regret", "--problems", "1,9"])

    with pytest.raises(SystemExit) as ended:
        main()

    assert ended.value.code == 2
    assert "'9'" in capsys.readouterr().err
