import json
import re
import shutil
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from infra.cli import app
from infra.errors import LocalProblem


def _run(*arguments: str):
    return CliRunner().invoke(app, ["chaos", *arguments])


def test_a_seed_shows_the_same_plan_each_time_and_does_nothing():
    shown = [_run("--random", "7", "--payments", "300", "--show-plan").stdout for _ in range(2)]

    assert shown[0] == shown[1]
    assert json.loads(shown[0])["payments"] == 300


def test_a_shown_plan_is_a_plan_that_a_file_may_hold(tmp_path):
    file = tmp_path / "plan.json"
    file.write_text(_run("--random", "7", "--show-plan").stdout)

    assert _run("--plan", str(file), "--show-plan").stdout == file.read_text()


@pytest.mark.parametrize("arguments", [[], ["--plan", "plan.toml", "--random", "7"]])
def test_it_takes_a_plan_or_a_seed_and_says_so(arguments):
    problem = _run(*arguments).exception

    assert isinstance(problem, LocalProblem)
    assert problem.what == "Name one of the two: --plan FILE or --random SEED"


@pytest.mark.stack
def test_a_run_that_leaves_payments_in_flight_is_not_clean_and_says_so_by_its_exit_code(tmp_path):
    plan = tmp_path / "plan.toml"
    plan.write_text(
        'seed = 7\npayments = 3\nconditions = "calm"\nsettle_s = 0\n[stack]\nsimulator_latency_ms = 9000\n'
    )

    ended = subprocess.run(
        [sys.executable, "-c", "from infra.cli import main; main()", "chaos", "--plan", plan, "--json"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert ended.returncode == 1, ended.stdout + ended.stderr
    content = json.loads(ended.stdout)
    assert (content["ok"], content["seed"], content["unsettled"], content["faults"]) == (False, 7, 3, [])
    kept = re.search("Data and logs are in (.*)", ended.stderr)
    assert kept is not None
    shutil.rmtree(kept[1])
