import os
from pathlib import Path

import pytest

from infra.errors import Misconfigured
from infra.process.reloading import UNUSABLE, Watched


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "key").write_text("one")
    (tmp_path / "list").write_text("key")
    return tmp_path / "list"


def read(file: Path) -> tuple[str, frozenset[Path]]:
    """The first file names the one whose text counts."""
    named = file.parent / file.read_text()
    if not named.exists() or not named.read_text():
        raise Misconfigured(f"{named} is empty")
    return named.read_text(), frozenset({file, named})


def unusable() -> float:
    return UNUSABLE.labels("test")._value.get()


def test_a_change_of_a_file_or_of_what_it_names_is_read(file: Path):
    value = Watched("test", file, read, 0.0)
    assert value.now() == "one"

    (file.parent / "key").write_text("one and more")
    assert value.now() == "one and more"

    (file.parent / "other").write_text("two")
    file.write_text("other")
    assert value.now() == "two"


def test_what_cannot_be_used_changes_nothing_is_counted_once_and_is_tried_until_it_can(file: Path):
    value, before = Watched("test", file, read, 0.0), unusable()

    file.write_text("gone")
    assert [value.now() for _ in range(3)] == ["one"] * 3
    assert unusable() == before + 1

    (file.parent / "gone").write_text("here after all")
    assert value.now() == "here after all"


def test_a_file_that_is_exchanged_for_another_of_the_same_size_and_time_is_read(file: Path):
    value = Watched("test", file, read, 0.0)
    key = file.parent / "key"
    stamp = key.stat()

    (file.parent / "new").write_text("two")
    os.utime(file.parent / "new", ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    (file.parent / "new").replace(key)

    assert value.now() == "two"


def test_files_are_looked_at_once_in_a_while(file: Path):
    value = Watched("test", file, read, 3600.0)

    (file.parent / "key").write_text("two")

    assert value.now() == "one"


def test_the_first_reading_has_to_succeed(file: Path):
    file.write_text("gone")

    with pytest.raises(Misconfigured, match="gone is empty"):
        Watched("test", file, read)
