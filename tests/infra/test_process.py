"""What only a test may ask of a process, refused everywhere else before anything is started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.misconfigured import EXIT_MISCONFIGURED

_STARTS = """
from infra.process import run
from infra.settings import ProcessSettings
async def main(process, settings):
    process.log.info("started")
run("thing", ProcessSettings, main)
"""


def _start(**settings: str) -> subprocess.CompletedProcess:
    env = {f"AEGISPAY_{name.upper()}": value for name, value in settings.items()}
    env |= {"PYTHONPATH": str(Path(__file__).parent.parent.parent), "PATH": os.environ["PATH"]}
    return subprocess.run(
        [sys.executable, "-c", _STARTS], env=env, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("environment", ["production", "development"])
@pytest.mark.parametrize(
    "asked",
    [{"crash_points": "relay.after_send:kill"}, {"clock_offset_s": "600"}],
    ids=lambda one: next(iter(one)),
)
def test_a_process_that_is_no_test_refuses_crash_points_and_another_clock(environment, asked):
    ended = _start(environment=environment, **asked)

    (name,) = asked
    assert ended.returncode == EXIT_MISCONFIGURED
    assert f"AEGISPAY_{name.upper()}: " in ended.stderr
    assert "only where AEGISPAY_ENVIRONMENT is test" in ended.stderr


def test_an_unknown_crash_point_is_a_configuration_error_that_names_the_known():
    ended = _start(environment="test", crash_points="relay.sometime:kill")

    assert ended.returncode == EXIT_MISCONFIGURED
    assert "no crash point is called relay.sometime; known: command.before_save" in ended.stderr


def test_a_test_may_arm_them(tmp_path):
    ended = _start(
        environment="test",
        crash_points="relay.after_send:kill",
        crash_marks=str(tmp_path),
        clock_offset_s="600",
    )

    assert ended.returncode == 0
    assert "started" in ended.stdout
