"""Kafka's jars, from Maven. Invariant: nothing runs that the list of SHA-256 beside this file does not
have, byte for byte."""

import hashlib
import logging
import os
import re
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from infra.errors import LocalProblem
from infra.tools.local import folders

KAFKA_VERSION: Final = "4.4.0"
# One by one: resolved together, the second one's older bill of materials would set the versions of the first.
_ENDPOINTS: Final = (
    f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}",
    "org.apache.logging.log4j:log4j-slf4j-impl:2.25.5",  # without it Kafka logs nothing
)
_SCRATCH: Final = "maven"
# Variables that name a company's own authorities: requests itself reads the first two, pip the third, and
# OpenSSL the last, which pip uses where it takes the system's trust.
_BUNDLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "PIP_CERT", "SSL_CERT_FILE")
_LIST: Final = Path(__file__).with_name("jars.sha256")


def folder() -> Path:
    """Returns the folder of this Kafka version within the cache."""
    return folders.cache_folder() / f"kafka-{KAFKA_VERSION}"


def kafka_jars() -> Path:
    """Returns the folder to run Kafka from. Downloads it if it is missing and verifies it every time.
    Raises `LocalProblem`."""
    if not folder().exists():
        _download(folder())
    verify(folder())
    return folder()


def downloaded_bytes() -> int:
    """Returns the size of the jars that a running download has fetched so far."""
    under_way = folder().parent.glob(f"{folder().name}.*/{_SCRATCH}/repository/**/*.jar")
    return sum(jar.stat().st_size for jar in under_way)


def verify(place: Path) -> None:
    """Compares the folder with the list. Raises `LocalProblem`, which names what is missing, extra or
    different."""
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
    """Returns the expected SHA-256 of each jar, in hex, by file name."""
    pairs = (line.split() for line in _LIST.read_text().splitlines())
    return {name: digest for digest, name in pairs}


def sha256(path: Path) -> str:
    """Returns the file's digest in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(target: Path) -> None:
    unfinished = target.with_name(f"{target.name}.{secrets.token_hex(4)}")
    try:
        unfinished.mkdir(parents=True)
        for jar in _resolve(unfinished / _SCRATCH):
            if jar.name in listed():
                shutil.copyfile(jar, unfinished / jar.name)
        shutil.rmtree(unfinished / _SCRATCH)
        verify(unfinished)
        unfinished.rename(target)
    except OSError as error:
        if not target.exists():  # else another start was quicker
            raise LocalProblem(
                f"{target} cannot be filled: {error.strerror or error}",
                "Choose another cache with AEGISPAY_CACHE",
            ) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _resolve(scratch: Path) -> list[Path]:
    import requests  # noqa: PLC0415  # jgo and requests take 0.3 s, and only the first start needs them
    from jgo.env import EnvironmentBuilder, LinkStrategy  # noqa: PLC0415
    from jgo.maven import MavenContext  # noqa: PLC0415

    logging.getLogger("jgo").setLevel(logging.ERROR)
    if (bundle := _bundle()) is not None:
        os.environ["REQUESTS_CA_BUNDLE"] = bundle  # jgo passes no such thing on to requests
    builder = EnvironmentBuilder(
        context=MavenContext(repo_cache=scratch / "repository"),
        cache_dir=scratch / "environments",
        link_strategy=LinkStrategy.HARD,
    )
    try:
        return [jar for endpoint in _ENDPOINTS for jar in builder.from_endpoint(endpoint).all_jars]
    except requests.exceptions.SSLError as error:
        raise LocalProblem(
            f"Maven Central's certificate is not trusted: {error}",
            "Behind a company's proxy name the file of its certificates: REQUESTS_CA_BUNDLE, or PIP_CERT as for pip",
        ) from error
    except (requests.RequestException, RuntimeError) as error:
        raise LocalProblem(
            f"Kafka's jars (44 MB, once) could not be downloaded from Maven Central: {type(error).__name__}: {error}",
            "Check the network (HTTPS_PROXY is heeded) and start again, or copy the folder "
            f"kafka-{KAFKA_VERSION} from the cache of a machine that has it to {folders.cache_folder()}",
        ) from error


def _bundle() -> str | None:
    """Returns the certificates file that pip or OpenSSL trusts. None: those that requests brings. Raises
    `LocalProblem`."""
    named = next((name for name in _BUNDLES if os.environ.get(name)), None)
    bundle = os.environ[named] if named else _pips_bundle()
    if bundle and not Path(bundle).exists():
        raise LocalProblem(
            f"{named or 'pip.conf'} names {bundle}, which does not exist",
            "Name the file of your certificates",
        )
    return bundle or None


def _pips_bundle() -> str:
    """Returns the `cert` of all of pip's configuration files; `pip config get` would read the user's
    alone."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False).stdout
    found = re.search("^global.cert='(.+)'$", listed, re.MULTILINE)
    return found[1] if found else ""


if __name__ == "__main__":
    try:
        kafka_jars()
    except LocalProblem as problem:
        sys.exit(f"{problem.what}\n{problem.remedy}")
