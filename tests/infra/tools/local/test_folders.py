import pwd
from pathlib import Path

import pytest

from infra.errors import LocalProblem
from infra.tools.local import folders

_NOBODY = pwd.getpwnam("nobody")


def test_a_folder_that_the_service_user_may_not_pass_is_named(tmp_path: Path):
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    open_to_all = [tmp_path, *tmp_path.parents]
    if any(not folder.stat().st_mode & 0o001 for folder in open_to_all):
        closed = folders.closed_folder(tmp_path, _NOBODY) or closed

    with pytest.raises(LocalProblem, match=rf"may not pass {closed}") as caught:
        folders.require_reachable(tmp_path / "closed" / "data", _NOBODY)

    assert "--data" in caught.value.remedy


def test_a_plain_user_needs_no_other_user(tmp_path: Path):
    folders.require_reachable(tmp_path, None)


def test_the_folders_can_be_chosen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AEGISPAY_DATA", str(tmp_path / "a b"))
    monkeypatch.setenv("AEGISPAY_CACHE", str(tmp_path / "c"))

    assert folders.default_data_folder() == tmp_path / "a b"
    assert folders.cache_folder() == tmp_path / "c"
