import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from commands import failpoints

ROOT = Path(__file__).parent.parent.parent
_PASSES = """
import sys
from pathlib import Path
from commands import failpoints
failpoints.arm(sys.argv[1], Path(sys.argv[2]))
for number in (1, 2, 3):
    failpoints.reached("relay.after_send")
    print(number, flush=True)
"""


def _passed(spec: str, marks: Path) -> tuple[int, str]:
    """The exit code of a process that passes a point three times, and its output."""
    done = subprocess.run(
        [sys.executable, "-c", _PASSES, spec, str(marks)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        text=True,
        check=False,
    )
    return done.returncode, done.stdout


def test_a_point_ends_the_process_when_its_turn_has_come_and_leaves_its_mark(tmp_path):
    assert _passed("relay.after_send:kill:2", tmp_path) == (-9, "1\n")
    assert [mark.name for mark in tmp_path.iterdir()] == ["relay.after_send"]


def test_the_process_that_is_started_in_its_place_goes_on(tmp_path):
    _passed("relay.after_send:kill", tmp_path)

    assert _passed("relay.after_send:kill", tmp_path) == (0, "1\n2\n3\n")


@pytest.mark.parametrize("spec", ["", "relay.before_send:kill", "relay.after_send:kill:4"])
def test_what_is_not_armed_or_not_yet_due_costs_nothing(tmp_path, spec):
    assert _passed(spec, tmp_path) == (0, "1\n2\n3\n")


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ("relay.after:kill", "no failpoint is called relay.after; known: command.before_save, "),
        ("relay.after_send", "name:kill or name:stop"),
        ("relay.after_send:explode", "explode is no action"),
        ("relay.after_send:kill:0", "0 is no count"),
        ("relay.after_send:kill:x", "x is no count"),
    ],
)
def test_a_spec_that_names_nothing_is_refused_and_says_what_would_be_right(tmp_path, spec, why):
    with pytest.raises(failpoints.BadSpec, match=why):
        failpoints.arm(spec, tmp_path)


@given(st.sampled_from(sorted(failpoints.NAMES)), st.sampled_from(["kill", "stop"]), st.integers(1, 999))
def test_every_named_point_can_be_armed_with_every_action(name, action, times):
    assert failpoints.parse(f"{name}:{action}:{times}")[::2] == (name, times)


def test_every_name_is_reached_somewhere_and_nothing_else_is():
    written = {
        name
        for folder in ("commands", "gateways", "relay", "projections", "infra")
        for file in (ROOT / folder).rglob("*.py")
        for name in re.findall(r'reached\("([a-z._-]+)"\)', file.read_text())
    }

    assert written == set(failpoints.NAMES)
