"""The servers of a test run: those that the environment names, or containers where asked for, or the local
stack's."""

import asyncio
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
import structlog
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import GroupCoordinatorNotAvailableError
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling

from infra.postgres import api_keys
from infra.tools.local.kafka import Kafka, new_cluster_id, train
from infra.tools.local.ports import HOST
from infra.tools.local.postgres import Postgres
from infra.tools.local.subprocesses import Child
from tests.support import ports
from tests.support.environment import Environment, Environments, Servers
from tests.support.examples import EXAMPLES_VARIABLE, PARTS, examples
from tests.support.until import until

# A busy machine is no fault of what is tried: no test is judged by its time.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")

_FOLDERS = "aegispay-test-"


@pytest.fixture(autouse=True)
def _own_log_settings() -> Iterator[None]:
    """A process or a command that a test runs in this process sets up its log: the next test has its own."""
    yield
    structlog.reset_defaults()


_TESTS = Path(__file__).parent
# Kafka's better compiler costs more in a run of some minutes than it saves.
_JAVA_OPTIONS = "-XX:TieredStopAtLevel=1"
os.environ.setdefault("AEGISPAY_KAFKA_JAVA_OPTIONS", _JAVA_OPTIONS)  # of the stacks that tests start
os.environ["AEGISPAY_PORTS"] = ports.OF_STACKS
# The servers of a run live as long as it does, and no test takes the machine's power away. Those that kill a
# PostgreSQL have a stack of their own, with fsync on.
_FORGETFUL = ("fsync=off", "full_page_writes=off")
# Of files that share what they start: one worker runs them.
_TOGETHER = {
    "tests/system/complete/": "the complete local stack",
    **dict.fromkeys(
        (
            f"tests/system/test_{name}.py"
            for name in ("bad_psp", "foreign_clients", "generated_clients", "life", "main_job", "scenarios")
        ),
        "the stack of tests/system/conftest.py",
    ),
}
# Of what is shared out to several workers by file: the longest files first, so that the workers end together.
_FIRST = (
    "faults/test_servers.py",
    "system/complete",
    "faults",
    "system/test_life.py",
    "gateways/simulator",
    "infra/cli/test_demo.py",
    "system/test_workers.py",
    "system",
    "infra/cli",
    "infra/tools/local",
    "infra/api",
    "infra/tools/scaffold",
    "commands/test_client.py",
    "infra/kafka/test_faust_runtime.py",
)


# A test of the whole needs a stack, whatever fixtures it uses.
_NO_UNITS = (
    "faults/",
    "system/",
    "gateways/simulator/",
    "gateways/stripe/test_contract",
    "gateways/conformance/test_simulated",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--unit",
        action="store_true",
        help="only tests that need no Kafka, no PostgreSQL and no other program, with a tenth of the examples",
    )
    parser.addoption(
        "--examples",
        choices=PARTS,
        help="the part of the examples of property and fuzz tests: a third, unless said otherwise",
    )


def pytest_configure(config: pytest.Config) -> None:
    unit = config.getoption("--unit")
    os.environ[EXAMPLES_VARIABLE] = config.getoption("--examples") or ("tenth" if unit else "third")
    if unit:
        sys.addaudithook(_skip_at_a_program)


_in_a_unit_test = False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    global _in_a_unit_test  # noqa: PLW0603 - an audit hook knows nothing of the test that runs
    _in_a_unit_test = item.config.getoption("--unit")
    try:
        return (yield)
    finally:
        _in_a_unit_test = False


_SETTINGS = "_hypothesis_internal_use_settings"
_SCALED = "_aegispay_scaled"  # a parametrized test is one function in many items


def _skip_at_a_program(event: str, _: Any) -> None:
    """Skips a test when it starts another program. No list of such tests has to be kept."""
    if _in_a_unit_test and event == "subprocess.Popen":
        pytest.skip("starts another program")


def _is_unit(item: pytest.Item) -> bool:
    """True if the test uses the servers through no fixture, and is no test of the whole, nor one that speaks
    HTTP with a simulated PSP."""
    path = item.path.relative_to(_TESTS).as_posix()
    return not path.startswith(_NO_UNITS) and "servers" not in getattr(item, "fixturenames", ())


def _try_fewer_examples(test: Any) -> None:
    """Scales the number of examples, which Hypothesis lets no profile lower where a test gives its own."""
    given = getattr(test, _SETTINGS, None)
    if given is not None and not getattr(test, _SCALED, False):
        setattr(test, _SETTINGS, settings(given, max_examples=examples(given.max_examples)))
        setattr(test, _SCALED, True)


class _ByStack(LoadFileScheduling):
    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return next((shared for start, shared in _TOGETHER.items() if file.startswith(start)), file)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling | None:
    return _ByStack(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--unit"):
        others = [item for item in items if not _is_unit(item)]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if _is_unit(item)]
    for item in items:
        _try_fewer_examples(getattr(item, "obj", None))
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
def environments(servers: Servers) -> Iterator[Environments]:
    environments = Environments(servers)
    yield environments
    environments.close()


@pytest.fixture
def environment_of(environments: Environments) -> Iterator[Callable[[int], Environment]]:
    """Places with another partition count than 4."""
    taken: list[Environment] = []

    def take(partitions: int) -> Environment:
        taken.append(environments.take(partitions))
        return taken[-1]

    yield take
    for environment in taken:
        environments.give_back(environment)


@pytest.fixture
def environment(environment_of: Callable[[int], Environment]) -> Environment:
    return environment_of(4)


@pytest.fixture
def database(environments: Environments) -> Iterator[Environment]:
    """An environment that never has topics: for what only needs PostgreSQL."""
    environment = environments.take_without_topics()
    yield environment
    environment.remove_schema()


@pytest.fixture(scope="module")
def shared_environment(environments: Environments) -> Iterator[Environment]:
    """For a module whose tests tell what is theirs from what is not."""
    environment = environments.take(4)
    yield environment
    environments.give_back(environment)


@pytest.fixture
def owner(environment: Environment) -> Iterator[psycopg.Connection[Any]]:
    """Connects as the schema's owner, who may see and change everything."""
    with environment.connect("admin") as connection:
        yield connection


@pytest.fixture
def new_key(environment: Environment) -> Callable[..., str]:
    """Makes an API key: of the merchant `demo` with every scope, unless the test sets others."""

    def make(merchant_id: str = "demo", scopes: Any = api_keys.SCOPES) -> str:
        with environment.connect("admin") as connection:
            return api_keys.create(connection, merchant_id, scopes)

    return make


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
        server = postgres.program()
        programs = (
            kafka.program(_JAVA_OPTIONS),
            replace(server, argv=(*server.argv, *(word for one in _FORGETFUL for word in ("-c", one)))),
        )
        children.extend(Child(program) for program in programs)
        await asyncio.gather(*(child.ready_within(60) for child in children))
        await _groups_form(kafka.bootstrap)

    async def stop() -> None:
        await asyncio.gather(*(child.stop() for child in children))

    try:
        asyncio.run(start())
        yield Servers(kafka.bootstrap, postgres.dsn())
    finally:
        asyncio.run(stop())
        shutil.rmtree(folder)


async def _groups_form(bootstrap: str) -> None:
    """Kafka makes its topic for them at the first query for one; behind the topics of many tests that
    takes long."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await until(lambda: _has_a_coordinator(admin), "a coordinator of groups")
    finally:
        await admin.close()


async def _has_a_coordinator(admin: AIOKafkaAdminClient) -> bool:
    try:
        await admin.find_coordinator("any")
    except GroupCoordinatorNotAvailableError:
        return False
    return True


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
