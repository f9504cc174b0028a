import shutil
from pathlib import Path
from typing import NamedTuple

import psutil
import pytest

from infra.local.doctor import examine, require_room
from infra.local.problem import LocalProblem
from infra.local.settings import StackSettings


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


def test_everything_that_is_looked_at_is_named_once(tmp_path: Path):
    names = [finding.what for finding in examine(StackSettings(data=tmp_path))]

    assert len(names) == len(set(names))
    assert {"system", "memory", "disk", "cache", "Kafka", "running stack"} <= set(names)
