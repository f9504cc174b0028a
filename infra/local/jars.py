"""Kafka's jars, from Maven. Invariant: nothing runs that is not on the list of SHA-256 beside this file, byte for byte."""

import hashlib
import logging
import secrets
import shutil
import sys
from pathlib import Path
from typing import Final

from infra.local import folders
from infra.local.problem import LocalProblem

KAFKA_VERSION: Final = "4.4.0"
# One by one: resolved together, the second one's older bill of materials would set the versions of the first.
_ENDPOINTS: Final = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5",  # without it Kafka logs nothing
)
_SCRATCH: Final = "maven"
_LIST: Final = Path(__file__).with_name("jars.sha256")


def folder() -> Path:
    return folders.cache_folder() / f"kafka-{KAFKA_VERSION}"


def kafka_jars() -> Path:
    """The folder to run Kafka from: downloaded where it is missing, checked every time."""
    if not folder().exists():
        _download(folder())
    verify(folder())
    return folder()


def downloaded_bytes() -> int:
    """Of the jars, by a download that is under way."""
    under_way = folder().parent.glob(f"{folder().name}.*/{_SCRATCH}/repository/**/*.jar")
    return sum(jar.stat().st_size for jar in under_way)


def verify(place: Path) -> None:
    expected = listed()
    found = {path.name: path for path in place.iterdir()}
    wrong = sorted(
        [f"{name} is missing" for name in expected.keys() - found.keys()]
        + [f"{name} is not on the list" for name in found.keys() - expected.keys()]
        + [
            f"{name} has another content"
            for name in expected.keys() & found.keys()
            if sha256(found[name]) != expected[name]
        ]
    )
    if wrong:
        raise LocalProblem(
            f"Kafka's jars in {place} are not those that this version was checked with: {'; '.join(wrong[:5])}",
            f"Nothing of them was run. If you did not change them yourself, find out who did. Then delete {place} "
            "and start again: they are downloaded anew.",
        )


def listed() -> dict[str, str]:
    pairs = (line.split() for line in _LIST.read_text().splitlines())
    return {name: digest for digest, name in pairs}


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(target: Path) -> None:
    unfinished = target.with_name(f"{target.name}.{secrets.token_hex(4)}")
    unfinished.mkdir(parents=True)
    try:
        for jar in _resolve(unfinished / _SCRATCH):
            if jar.name in listed():
                shutil.copyfile(jar, unfinished / jar.name)
        shutil.rmtree(unfinished / _SCRATCH)
        verify(unfinished)
        unfinished.rename(target)
    except OSError as error:
        if not target.exists():  # else another start was quicker
            raise LocalProblem(
                f"{target} cannot be filled: {error}", "Choose another with AEGISPAY_CACHE"
            ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _resolve(scratch: Path) -> list[Path]:
    import requests  # noqa: PLC0415  # jgo and requests take 0.3 s, and only the first start needs them
    from jgo.env import EnvironmentBuilder, LinkStrategy  # noqa: PLC0415
    from jgo.maven import MavenContext  # noqa: PLC0415

    logging.getLogger("jgo").setLevel(logging.ERROR)
    builder = EnvironmentBuilder(
        context=MavenContext(repo_cache=scratch / "repository"),
        cache_dir=scratch / "environments",
        link_strategy=LinkStrategy.HARD,
    )
    try:
        return [jar for endpoint in _ENDPOINTS for jar in builder.from_endpoint(endpoint).all_jars]
    except (requests.RequestException, RuntimeError) as error:
        raise LocalProblem(
            f"Kafka's jars (44 MB, once) could not be downloaded from Maven Central: {type(error).__name__}: {error}",
            "Check the network (HTTPS_PROXY is heeded) and start again, or copy the folder "
            f"kafka-{KAFKA_VERSION} from the cache of a machine that has it to {folders.cache_folder()}",
        ) from error


if __name__ == "__main__":
    try:
        kafka_jars()
    except LocalProblem as problem:
        sys.exit(f"{problem.what}\n{problem.remedy}")
