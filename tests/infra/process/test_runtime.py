"""What only a test may ask of a process, refused everywhere else before anything is started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from infra.errors import EXIT_MISCONFIGURED

_STARTS = """
from infra.process.runtime import run
from infra.settings import ProcessSettings
async def main(process, settings):
    process.log.info("started")
run("thing", ProcessSettings, main)
"""

_SHOWS_METRICS = """
from prometheus_client import Counter, generate_latest
from infra.process.runtime import run
from infra.settings import ProcessSettings
Counter("things", "Counted").inc()
async def main(process, settings):
    print(generate_latest().decode())
run("thing", ProcessSettings, main)
"""


def _start(starts: str = _STARTS, **settings: str) -> subprocess.CompletedProcess:
    env = {f"AEGISPAY_{name.upper()}": value for name, value in settings.items()}
    env |= {"PYTHONPATH": str(Path(__file__).parents[3]), "PATH": os.environ["PATH"]}
    return subprocess.run(
        [sys.executable, "-c", starts], env=env, capture_output=True, text=True, check=False
    )


@pytest.mark.parametrize("environment", ["production", "development"])
@pytest.mark.parametrize(
    "requested",
    [{"failpoints": "relay.after_send:kill"}, {"clock_offset_s": "600"}],
    ids=lambda one: next(iter(one)),
)
def test_a_process_that_is_no_test_refuses_crash_points_and_another_clock(environment, requested):
    ended = _start(environment=environment, **requested)

    (name,) = requested
    assert ended.returncode == EXIT_MISCONFIGURED
    assert f"AEGISPAY_{name.upper()}: " in ended.stderr
    assert "only where AEGISPAY_ENVIRONMENT is test" in ended.stderr


def test_an_unknown_crash_point_is_a_configuration_error_that_names_the_known():
    ended = _start(environment="test", failpoints="relay.sometime:kill")

    assert ended.returncode == EXIT_MISCONFIGURED
    assert "no failpoint is called relay.sometime; known: command.before_save" in ended.stderr


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"metrics_port": "http"}, "AEGISPAY_METRICS_PORT: must be a whole number: digits only"),
        ({"metrics_port": "70000"}, "AEGISPAY_METRICS_PORT: must be 65535 or less"),
        ({"log_level": "loud"}, "AEGISPAY_LOG_LEVEL: must be 'debug', 'info', 'warning' or 'error'"),
    ],
)
def test_a_setting_that_makes_no_sense_is_one_line_that_says_what_would(settings, message):
    ended = _start(**settings)

    assert ended.returncode == EXIT_MISCONFIGURED
    assert ended.stderr == f"aegispay thing: {message}\n"


def test_metrics_report_nothing_of_when_a_counter_began():
    ended = _start(starts=_SHOWS_METRICS)

    assert "things_total 1.0" in ended.stdout
    assert "_created" not in ended.stdout


def test_a_test_may_arm_them(tmp_path):
    ended = _start(
        environment="test",
        failpoints="relay.after_send:kill",
        failpoint_marks=str(tmp_path),
        clock_offset_s="600",
    )

    assert ended.returncode == 0
    assert "started" in ended.stdout
