"""The commands in an image, which holds everything but infra/tools."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path
from uuid import uuid4

import pytest

from infra.errors import EXIT_MISCONFIGURED, LocalProblem
from infra.postgres.connections import connect
from infra.settings import DatabaseSettings

ROOT = Path(__file__).parents[3]
_CODE = ("aggregates", "commands", "gateways", "relay", "projections")


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("image")
    for name in _CODE:
        (folder / name).symlink_to(ROOT / name)
    (folder / "infra").mkdir()
    for path in (ROOT / "infra").iterdir():
        if path.name not in {"tools", "__pycache__"}:
            (folder / "infra" / path.name).symlink_to(path)
    return folder


def _run(image: Path, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", "from infra.cli import main; main()", *words],
        cwd=image,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(image)} | settings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_image_leaves_the_tools_out():
    assert "infra/tools" in (ROOT / ".dockerignore").read_text().splitlines()


def test_a_wheel_holds_every_statement(tmp_path):
    """The image is made of the folders themselves; a wheel holds what its build selects."""
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True, timeout=60)
    (wheel,) = tmp_path.glob("*.whl")
    files = {
        path.relative_to(ROOT).as_posix()
        for code in (*_CODE, "infra")
        for path in (ROOT / code).rglob("*.sql")
    }

    assert files <= set(zipfile.ZipFile(wheel).namelist())
    assert "relay/sql/log.sql" in files


def test_the_list_of_commands_is_shown(image):
    done = _run(image, "--help")

    assert (done.returncode, done.stderr) == (0, "")


def test_an_operators_command_goes_by_the_environment(image, environment):
    settings = environment.env("audit")
    named = {name: settings[name] for name in settings if name.startswith("AEGISPAY_")}

    done = _run(image, "show", str(uuid4()), **named)

    assert done.returncode == 1, done.stderr
    assert "no payment" in done.stderr.lower()


def test_the_parts_of_the_migrations_are_commands_of_their_own(image, environment):
    settings = environment.env("admin")
    named = {name: settings[name] for name in settings if name.startswith("AEGISPAY_")}

    for words in (("migrate",), ("migrate", "--post")):
        done = _run(image, *words, **named)
        assert (done.returncode, done.stderr) == (0, "")
        assert "nothing to do" in done.stdout

    with connect(environment.settings(DatabaseSettings, "admin"), "test") as connection:
        connection.execute("DELETE FROM schema_migrations WHERE name = '0003_webhooks_in.pre'")
    refused = _run(image, "migrate", "--post", **named)
    assert refused.returncode == EXIT_MISCONFIGURED
    assert "run `aegispay migrate` first, without --post" in " ".join(refused.stderr.split())


@pytest.mark.parametrize("words", [("demo",), ("bench",), ("verify",), ("up",), ("list",)], ids=" ".join)
def test_a_command_that_needs_the_tools_says_that_they_are_not_there(image, words):
    done = _run(image, *words)

    assert done.returncode == LocalProblem.exit_code
    assert "not in the image" in done.stderr
    assert "AEGISPAY_KAFKA" in done.stderr
    assert "Traceback" not in done.stderr
