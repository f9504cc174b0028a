"""Producers that are not ours: librdkafka always, and Java's, Go's and Node.js's where a toolchain is at
hand."""

import asyncio
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, Protocol

from confluent_kafka import Producer

from infra.tools.local import jars

CODECS: Final = ("none", "gzip", "snappy", "lz4", "zstd")
How = Literal["plain", "committed", "aborted"]
HOWS: Final[tuple[How, ...]] = ("plain", "committed", "aborted")
_FOLDER: Final = Path(__file__).parent
_SEND_MAX_S: Final = 60.0


class NotAtHand(Exception):
    """Why this client cannot be used here."""


class Batch(NamedTuple):
    """What one producer sends, and how."""

    codec: str
    how: How
    records: Sequence[tuple[str, bytes]]


class Foreign(Protocol):
    codecs: Sequence[str]

    async def send_all(self, bootstrap: str, topic: str, batches: Sequence[Batch]) -> None:
        """Returns when the broker has them, with the ends of the transactions."""
        ...


class Librdkafka:
    """Its default partitioner is CRC-32 of the key: `consistent_random`."""

    codecs = CODECS

    def __init__(self, **settings: Any) -> None:
        self._settings = settings

    async def send_all(self, bootstrap: str, topic: str, batches: Sequence[Batch]) -> None:
        for batch in batches:
            await self.send(bootstrap, topic, *batch)

    async def send(
        self, bootstrap: str, topic: str, codec: str, how: How, records: Sequence[tuple[str, bytes]]
    ) -> None:
        await asyncio.to_thread(self._send, bootstrap, topic, codec, how, records)

    def _send(
        self, bootstrap: str, topic: str, codec: str, how: How, records: Sequence[tuple[str, bytes]]
    ) -> None:
        settings = {"bootstrap.servers": bootstrap, "compression.type": codec, "linger.ms": 100}
        if how != "plain":
            settings["transactional.id"] = f"rdkafka-{topic}-{codec}-{how}"
        producer = Producer(settings | self._settings)
        if how != "plain":
            producer.init_transactions(_SEND_MAX_S)
            producer.begin_transaction()
        for key, value in records:
            producer.produce(topic, value, key.encode())
        assert producer.flush(_SEND_MAX_S) == 0
        if how == "committed":
            producer.commit_transaction(_SEND_MAX_S)
        if how == "aborted":
            producer.abort_transaction(_SEND_MAX_S)


class Java:
    """Of the broker's own classpath. The local stack's Java has no compiler, which a program in one file
    needs."""

    codecs = CODECS

    def __init__(self, folder: Path) -> None:
        if shutil.which("javac") is None or shutil.which("java") is None:
            raise NotAtHand("no JDK with a compiler is at hand")
        self._folder = folder
        self._classes = f"{jars.kafka_jars()}/*:{folder}"
        source = _FOLDER / "Produce.java"
        subprocess.run(["javac", "-cp", self._classes, "-d", folder, source], check=True, capture_output=True)

    async def send_all(self, bootstrap: str, topic: str, batches: Sequence[Batch]) -> None:
        program = ["java", "-XX:TieredStopAtLevel=1", "-cp", self._classes, "Produce"]
        await _run([*program, bootstrap, topic, *_files(self._folder, batches)])


class Go:
    """franz-go, whose default codec is snappy.

    `make soak` alone builds what is written in Go: with an empty cache, which a clean machine has, a build
    takes a minute of CPU. librdkafka sends the same codecs in `make test`.
    """

    codecs = CODECS

    def __init__(self, folder: Path) -> None:
        if shutil.which("go") is None:
            raise NotAtHand("no Go toolchain is at hand")
        self._folder = folder
        self._program = folder / "produce"
        for name in ("go.mod", "go.sum", "produce.go"):
            shutil.copy(_FOLDER / name, folder / name)
        built = subprocess.run(
            ["go", "build", "-o", self._program, "."],
            cwd=folder,
            capture_output=True,
            check=False,
        )
        if built.returncode:
            raise NotAtHand("franz-go could not be fetched or built")

    async def send_all(self, bootstrap: str, topic: str, batches: Sequence[Batch]) -> None:
        await _run([str(self._program), bootstrap, topic, *_files(self._folder, batches)])


class KafkaJs:
    """The other codecs are packages of their own."""

    codecs = ("none", "gzip")

    def __init__(self, folder: Path) -> None:
        if shutil.which("node") is None or shutil.which("npm") is None:
            raise NotAtHand("no Node.js with npm is at hand")
        self._folder = folder
        for name in ("package.json", "produce.js"):
            shutil.copy(_FOLDER / name, folder / name)
        fetch = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts"]
        if subprocess.run(fetch, cwd=folder, capture_output=True, check=False).returncode:
            raise NotAtHand("kafkajs could not be fetched")

    async def send_all(self, bootstrap: str, topic: str, batches: Sequence[Batch]) -> None:
        program = ["node", str(self._folder / "produce.js")]
        await _run([*program, bootstrap, topic, *_files(self._folder, batches)])


def _files(folder: Path, batches: Sequence[Batch]) -> list[str]:
    """As the programs take them: of each batch its codec, how it is sent, and a file of its records."""
    arguments = []
    for number, (codec, how, records) in enumerate(batches):
        file = folder / f"records-{number}"
        file.write_bytes(b"".join(key.encode() + b"\t" + value + b"\n" for key, value in records))
        arguments += [codec, how, str(file)]
    return arguments


async def _run(argv: Sequence[str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *argv, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()[-2000:]
