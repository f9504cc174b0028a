import json
import os
from pathlib import Path

import pytest

from infra.errors import LocalProblem
from infra.tools.local.data import DataFolder, holder


def _complete(path: Path) -> str:
    """A folder as a first start leaves it. Returns its id."""
    data = DataFolder(path, fresh=False)
    (path / "postgres").mkdir()
    (path / "kafka" / "logs").mkdir(parents=True)
    (path / "kafka" / "logs" / "meta.properties").write_text(f"version=1\ncluster.id={data.id}\n")
    data.completed()
    data.close()
    return data.id


def test_a_folder_keeps_its_id(tmp_path: Path):
    made = _complete(tmp_path / "data")

    again = DataFolder(tmp_path / "data", fresh=False)

    assert again.id == made
    again.close()


def test_the_folder_of_a_running_stack_is_refused_with_its_process(tmp_path: Path):
    running = DataFolder(tmp_path / "data", fresh=False)

    with pytest.raises(LocalProblem, match=rf"belongs to a running stack \(process {os.getpid()}\)"):
        DataFolder(tmp_path / "data", fresh=True)

    assert holder(tmp_path / "data") == os.getpid()
    running.close()
    assert holder(tmp_path / "data") is None


def test_a_folder_with_other_things_is_refused_and_never_emptied(tmp_path: Path):
    (tmp_path / "thesis.txt").write_text("ten years")
    (tmp_path / "lock").touch()

    with pytest.raises(LocalProblem, match="holds things that this stack did not make"):
        DataFolder(tmp_path, fresh=True)

    assert (tmp_path / "thesis.txt").read_text() == "ten years"


def test_fresh_empties_the_folder_and_gives_another_id(tmp_path: Path):
    made = _complete(tmp_path / "data")

    fresh = DataFolder(tmp_path / "data", fresh=True)

    assert fresh.id != made
    assert not (tmp_path / "data" / "postgres").exists()
    assert not (tmp_path / "data" / "kafka").exists()
    fresh.close()


@pytest.mark.parametrize("part", ["postgres", "kafka"])
def test_a_folder_where_one_of_the_two_was_wiped_is_refused(tmp_path: Path, part: str):
    _complete(tmp_path / "data")
    (tmp_path / "data" / part).rename(tmp_path / "elsewhere")

    with pytest.raises(LocalProblem, match=f"does not hold the {part} data that it was made with"):
        DataFolder(tmp_path / "data", fresh=False)


def test_what_an_interrupted_first_start_left_is_made_anew(tmp_path: Path):
    begun = DataFolder(tmp_path / "data", fresh=False)
    (tmp_path / "data" / "kafka").mkdir()
    begun.close()

    again = DataFolder(tmp_path / "data", fresh=False)

    assert not (tmp_path / "data" / "kafka").exists()
    again.close()


def test_the_marker_is_for_the_owner_alone(tmp_path: Path):
    _complete(tmp_path / "data")

    marker = tmp_path / "data" / "aegispay.json"

    assert marker.stat().st_mode & 0o077 == 0
    assert json.loads(marker.read_text())["complete"] is True
