import shutil
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from infra.errors import LocalProblem
from infra.process.runtime import Process, _serve_health
from infra.settings import ProcessSettings
from infra.tools.local.doctor import _process, examine, require_room
from infra.tools.local.settings import StackSettings
from infra.tools.local.state import ProcessState


class _Usage(NamedTuple):
    free: int


class _Memory(NamedTuple):
    available: int


def test_a_disk_that_is_nearly_full_is_refused_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: _Usage(10**9))

    with pytest.raises(LocalProblem, match=r"(?s)disk: 1\.0 GB free.*AEGISPAY_DATA"):
        require_room(tmp_path / "not" / "yet" / "there")


def test_too_little_memory_is_refused_with_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(psutil, "virtual_memory", lambda: _Memory(10**9))

    with pytest.raises(LocalProblem, match=r"(?s)memory: 1\.0 GB available.*Close other programs"):
        require_room(tmp_path)


@pytest.mark.parametrize("cache", ["/proc/aegispay", __file__])
def test_a_cache_that_cannot_be_written_is_short_and_says_what_to_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: str
):
    monkeypatch.setenv("AEGISPAY_CACHE", cache)

    (found,) = (one for one in examine(StackSettings(data=tmp_path)) if one.what == "cache")

    assert found.found.startswith(f"{cache} cannot be written to")
    assert found.remedy == "Choose another with AEGISPAY_CACHE"


def test_everything_that_is_looked_at_is_named_once(tmp_path: Path):
    names = [finding.what for finding in examine(StackSettings(data=tmp_path))]

    assert len(names) == len(set(names))
    assert {"system", "memory", "disk", "cache", "Kafka", "running stack"} <= set(names)


def test_a_data_folder_that_cannot_be_made_is_short(tmp_path: Path):
    file = tmp_path / "file"
    file.touch()

    for folder in (file, file / "below", Path("/proc/d")):
        (found,) = [one for one in examine(StackSettings(data=folder)) if one.what == "data folder"]

        assert not found.ok, folder
        assert str(folder) in found.found
        assert "AEGISPAY_DATA" in str(found.remedy)


def test_a_process_that_has_started_and_takes_no_work_is_named_with_its_own_words(tmp_path: Path):
    process = Process("command")
    server = _serve_health(process, ProcessSettings(metrics_port=0))
    running = ProcessState(
        name="command",
        pid=1,
        state="ready",
        restarts=0,
        ended=None,
        metrics_url=f"http://127.0.0.1:{server.server_port}",
        log=tmp_path / "command.log",
    )
    process.ready()
    well = _process(running)
    process.not_ready("records wait")
    waits = _process(running)
    server.shutdown()
    server.server_close()
    gone = _process(running)

    assert (well.ok, well.found) == (True, "ready")
    assert (waits.ok, waits.found.endswith(": records wait")) == (False, True)
    assert (gone.ok, gone.found) == (False, "ready, does not respond now")
