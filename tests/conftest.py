"""The servers of a test run: those that the environment names, or containers where asked for, or the local stack's."""

import asyncio
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.local.children import Child
from infra.local.kafka import Kafka, new_cluster_id, train
from infra.local.ports import HOST
from infra.local.postgres import Postgres
from tests import ports
from tests.place import Place, Places, Servers

_FOLDERS = "aegispay-test-"
_TESTS = Path(__file__).parent
# Of what is shared out to several workers by file: the longest files first, so that the workers end together.
_FIRST = (
    "faults",
    "infra/cli",
    "infra/local",
    "system",
    "commands/test_client.py",
    "infra/test_faust_runtime.py",
)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    path = item.path.relative_to(_TESTS).as_posix()
    return next((rank for rank, start in enumerate(_FIRST) if path.startswith(start)), len(_FIRST))


@pytest.fixture(scope="session")
def servers() -> Iterator[Servers]:
    kafka, dsn = os.environ.get("AEGISPAY_TEST_KAFKA"), os.environ.get("AEGISPAY_TEST_DATABASE_URL")
    if kafka and dsn:
        yield Servers(kafka, dsn)
    elif os.environ.get("AEGISPAY_TEST_CONTAINERS") == "1":
        yield from _containers()
    else:
        yield from _local_servers()


@pytest.fixture(scope="session")
def places(servers: Servers) -> Iterator[Places]:
    places = Places(servers)
    yield places
    places.close()


@pytest.fixture
def place_of(places: Places) -> Iterator[Callable[[int], Place]]:
    """Places with another partition count than 4."""
    taken: list[Place] = []

    def take(partitions: int) -> Place:
        taken.append(places.take(partitions))
        return taken[-1]

    yield take
    for place in taken:
        places.give_back(place)


@pytest.fixture
def place(place_of: Callable[[int], Place]) -> Place:
    return place_of(4)


@pytest.fixture
def database(places: Places) -> Iterator[Place]:
    """A place without topics: for what only needs PostgreSQL."""
    place = places.take_without_topics()
    yield place
    place.remove_schema()


@pytest.fixture(scope="module")
def shared_place(places: Places) -> Iterator[Place]:
    """For a module whose tests tell what is theirs from what is not."""
    place = places.take(4)
    yield place
    places.give_back(place)


def _local_servers() -> Iterator[Servers]:
    _remove_folders_of_killed_runs()
    folder = Path(tempfile.mkdtemp(prefix=f"{_FOLDERS}{os.getpid()}-"))
    folder.chmod(0o711)  # as root, PostgreSQL runs as another user
    port, kafka_port, controller_port = ports.free(3)
    postgres = Postgres(folder / "postgres", port, secrets.token_hex(16), folder / "postgres.log")
    kafka = Kafka(folder / "kafka", kafka_port, controller_port, new_cluster_id(), folder / "kafka.log")
    children: list[Child] = []

    async def start() -> None:
        await train()
        await asyncio.gather(kafka.prepare(), postgres.prepare())
        # Its better compiler costs more in a run of some minutes than it saves.
        programs = (kafka.program("-XX:TieredStopAtLevel=1"), postgres.program())
        children.extend(Child(program) for program in programs)
        await asyncio.gather(*(child.ready_within(60) for child in children))

    async def stop() -> None:
        await asyncio.gather(*(child.stop() for child in children))

    try:
        asyncio.run(start())
        yield Servers(kafka.bootstrap, postgres.dsn())
    finally:
        asyncio.run(stop())
        shutil.rmtree(folder)


def _remove_folders_of_killed_runs() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{_FOLDERS}*"):
        pid = folder.name.removeprefix(_FOLDERS).partition("-")[0]
        if not Path("/proc", pid).exists():
            shutil.rmtree(folder, ignore_errors=True)


def _containers() -> Iterator[Servers]:
    from testcontainers.core.container import DockerContainer  # noqa: PLC0415
    from testcontainers.core.waiting_utils import wait_for_logs  # noqa: PLC0415
    from testcontainers.postgres import PostgresContainer  # noqa: PLC0415

    (port,) = ports.free(1)
    kafka = (
        DockerContainer("apache/kafka:4.4.0")
        .with_bind_ports(port, port)
        .with_env("KAFKA_NODE_ID", "1")
        .with_env("KAFKA_PROCESS_ROLES", "broker,controller")
        .with_env("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@localhost:9093")
        .with_env("KAFKA_CONTROLLER_LISTENER_NAMES", "CONTROLLER")
        .with_env("KAFKA_LISTENERS", f"PLAINTEXT://:{port},CONTROLLER://:9093")
        .with_env("KAFKA_ADVERTISED_LISTENERS", f"PLAINTEXT://{HOST}:{port}")
        .with_env("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT")
        .with_env("KAFKA_AUTO_CREATE_TOPICS_ENABLE", "false")
        .with_env("KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR", "1")
        .with_env("KAFKA_OFFSETS_TOPIC_NUM_PARTITIONS", "1")
        .with_env("KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS", "0")
        .with_env("KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS", "1000")
    )
    with kafka, PostgresContainer("postgres:18", driver=None) as postgres:
        wait_for_logs(kafka, "Kafka Server started", timeout=60)
        yield Servers(f"{HOST}:{port}", postgres.get_connection_url())
