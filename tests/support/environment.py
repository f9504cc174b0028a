"""Real servers for tests, and an environment of one's own on them: a schema, a topic prefix. Topics cost
Kafka more than most tests do: an environment has them once its prefix is read, and not before."""

import asyncio
import os
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, TypeVar

import psycopg
from aiokafka.admin import AIOKafkaAdminClient
from psycopg import sql
from pydantic_settings import BaseSettings

from infra.kafka import topic_admin
from infra.kafka.topics import Topic, declared
from infra.postgres import migrate
from infra.settings import DatabaseSettings, KafkaSettings

S = TypeVar("S", bound=BaseSettings)

# Of servers that live for one test run, on loopback.
_ROLE_PASSWORD: Final = "for-tests-only"
_PASSWORDS: Final = dict.fromkeys(migrate.ROLES, _ROLE_PASSWORD)
_AT_ONCE_MAX: Final = 16
# So that a test that kills a worker waits less for the next one.
_SESSION_TIMEOUT_S: Final = 2


@dataclass(frozen=True, slots=True)
class Servers:
    kafka: str
    admin_dsn: str

    def dsn(self, role: str = "admin") -> str:
        if role == "admin":
            return self.admin_dsn
        assert f"aegispay_{role}" in migrate.ROLES
        _, _, address = self.admin_dsn.rpartition("@")
        return f"postgresql://aegispay_{role}:{_ROLE_PASSWORD}@{address}"


@dataclass(frozen=True, slots=True)
class Environment:
    servers: Servers
    schema: str
    partitions: int
    take_prefix: Callable[[], str]
    """Makes the topics when it is called first."""

    @property
    def prefix(self) -> str:
        return self.take_prefix()

    @property
    def kafka(self) -> str:
        return self.servers.kafka

    def dsn(self, role: str = "admin") -> str:
        return self.servers.dsn(role)

    def connect(self, role: str = "command") -> psycopg.Connection[Any]:
        """In autocommit, with both schemas on the search path."""
        options = f"-c search_path={self.schema},{self.schema}_read"
        return psycopg.connect(self.dsn(role), autocommit=True, options=options)

    def settings(self, kind: type[S], role: str, **more: Any) -> S:
        kafka = self._kafka() if "topic_prefix" in kind.model_fields else {}
        return kind(**(self._values(role) | kafka | more))

    def env(self, role: str, **more: Any) -> dict[str, str]:
        """For a subprocess: the settings of the process that runs as `role`."""
        values = self._values(role) | self._kafka() | more
        return {f"AEGISPAY_{name.upper()}": str(value) for name, value in values.items()}

    def _kafka(self) -> dict[str, Any]:
        return {"kafka": self.kafka, "topic_prefix": self.prefix, "partitions": self.partitions}

    def _values(self, role: str) -> dict[str, Any]:
        return {
            "one_node": True,
            "session_timeout_s": _SESSION_TIMEOUT_S,
            "database_url": self.dsn(role),
            "database_schema": self.schema,
            "environment": "test",
        }

    def make(self) -> None:
        self.make_schema()
        asyncio.run(topic_admin.create(self.settings(KafkaSettings, "admin")))

    def make_schema(self, passwords: Mapping[str, str] = _PASSWORDS) -> None:
        migrate.migrate(self.settings(DatabaseSettings, "admin"), passwords)

    def remove_schema(self) -> None:
        with psycopg.connect(self.dsn(), autocommit=True) as conn:
            for schema in (self.schema, f"{self.schema}_read"):
                conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))

    @property
    def topics(self) -> list[Topic]:
        return list(declared(self.partitions, self.prefix))


def new_environment(servers: Servers, partitions: int) -> Environment:
    """Without a schema, and without topics."""
    name = _new_name()
    return Environment(servers, name, partitions, lambda: f"{name}.")


def _new_name() -> str:
    return f"t{os.getpid()}_{secrets.token_hex(4)}"


def _topics(prefixes: Sequence[str], partitions: int) -> list[Topic]:
    return [topic for prefix in prefixes for topic in declared(partitions, prefix)]


@dataclass
class Environments:
    """The places of a test run. Topics are made and deleted for many places at once: a request costs more
    than they do."""

    servers: Servers
    _unused: defaultdict[int, list[str]] = field(default_factory=lambda: defaultdict(list))  # prefixes
    _used: list[tuple[str, int]] = field(default_factory=list)
    _taken: dict[str, tuple[str, int]] = field(default_factory=dict)  # by schema
    _at_once: defaultdict[int, int] = field(default_factory=lambda: defaultdict(lambda: 1))
    _passwords: Mapping[str, str] = field(default_factory=lambda: _PASSWORDS)

    def take(self, partitions: int) -> Environment:
        schema = _new_name()
        return self._with_schema(
            Environment(
                self.servers, schema, partitions, cache(lambda: self._take_prefix(schema, partitions))
            )
        )

    def take_without_topics(self) -> Environment:
        return self._with_schema(new_environment(self.servers, 4))

    def _with_schema(self, environment: Environment) -> Environment:
        environment.make_schema(self._passwords)
        self._passwords = {}  # the roles have them now, and making their verifiers takes long
        return environment

    def _take_prefix(self, schema: str, partitions: int) -> str:
        if not self._unused[partitions]:
            # The test's own loop may run, and is held up.
            with ThreadPoolExecutor(1) as thread:
                thread.submit(asyncio.run, self._prepare(partitions)).result()
        prefix = self._unused[partitions].pop()
        self._taken[schema] = (prefix, partitions)
        return prefix

    def give_back(self, environment: Environment) -> None:
        environment.remove_schema()
        if environment.schema in self._taken:
            self._used.append(self._taken.pop(environment.schema))

    def close(self) -> None:
        unused = [(prefix, partitions) for partitions, some in self._unused.items() for prefix in some]
        if self._used or unused:
            asyncio.run(self._close(unused))

    async def _prepare(self, partitions: int) -> None:
        """Twice as many as the last time, so that a run of one test does not pay for those that never
        come."""
        count = self._at_once[partitions]
        self._at_once[partitions] = min(2 * count, _AT_ONCE_MAX)
        prefixes = [f"{_new_name()}." for _ in range(count)]
        wanted = _topics(prefixes, partitions)
        settings = new_environment(self.servers, partitions).settings(KafkaSettings, "admin")
        async with _admin(self.servers) as admin:
            await self._delete(admin, self._used)
            self._used = []
            response = await admin.create_topics([topic_admin.new_topic(topic, settings) for topic in wanted])
            assert all(code == 0 for _, code, *_ in response.topic_errors), response
            # The broker that gets the next request learns of them a little later than the controller.
            async with asyncio.timeout(30):
                while topic_admin._missing(await topic_admin._found(admin, wanted), wanted):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        self._unused[partitions] += prefixes

    async def _close(self, unused: Sequence[tuple[str, int]]) -> None:
        async with _admin(self.servers) as admin:
            await self._delete(admin, [*self._used, *unused])

    @staticmethod
    async def _delete(admin: AIOKafkaAdminClient, places: Sequence[tuple[str, int]]) -> None:
        if places:
            names = [topic.name for prefix, partitions in places for topic in _topics([prefix], partitions)]
            await admin.delete_topics(names)


@asynccontextmanager
async def _admin(servers: Servers) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers.kafka)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()
