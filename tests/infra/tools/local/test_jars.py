import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.errors import LocalProblem
from infra.tools.local import jars

# The first use downloads 44 MB.
pytestmark = pytest.mark.stack


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A cache of its own, with all of Kafka's jars in it."""
    source = jars.kafka_jars()
    monkeypatch.setenv("AEGISPAY_CACHE", str(tmp_path))
    yield Path(shutil.copytree(source, jars.folder()))
    shutil.rmtree(jars.folder())


def test_untouched_jars_are_accepted_without_a_download(copy: Path):
    assert jars.kafka_jars() == copy


def test_a_tampered_jar_is_refused_and_named(copy: Path):
    with (copy / "kafka-clients-4.4.0.jar").open("ab") as jar:
        jar.write(b"\0")

    with pytest.raises(LocalProblem, match=r"kafka-clients-4\.4\.0\.jar has another content"):
        jars.kafka_jars()


def test_a_jar_that_is_not_on_the_list_is_refused_and_named(copy: Path):
    (copy / "extra.jar").write_bytes(b"PK")

    with pytest.raises(LocalProblem, match=r"extra\.jar is not on the list"):
        jars.kafka_jars()


def test_a_missing_jar_is_refused_and_named(copy: Path):
    (copy / "kafka_2.13-4.4.0.jar").unlink()

    with pytest.raises(LocalProblem, match=r"kafka_2\.13-4\.4\.0\.jar is missing"):
        jars.kafka_jars()


def test_a_failed_download_says_so_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("AEGISPAY_CACHE", str(tmp_path))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")

    with pytest.raises(LocalProblem, match=r"could not be downloaded from Maven Central"):
        jars.kafka_jars()

    assert list(tmp_path.iterdir()) == []
