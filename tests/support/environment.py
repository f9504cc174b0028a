"""Real servers for tests, and an environment of one's own on them: a schema, a topic prefix."""

import asyncio
import os
import secrets
from collections import defaultdict
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
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
    prefix: str
    partitions: int

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
        return kind(**(self._values(role) | more))

    def env(self, role: str, **more: Any) -> dict[str, str]:
        """For a subprocess: the settings of the process that runs as `role`."""
        return {f"AEGISPAY_{name.upper()}": str(value) for name, value in (self._values(role) | more).items()}

    def _values(self, role: str) -> dict[str, Any]:
        return {
            "kafka": self.kafka,
            "topic_prefix": self.prefix,
            "partitions": self.partitions,
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
    name = f"t{os.getpid()}_{secrets.token_hex(4)}"
    return Environment(servers, schema=name, prefix=f"{name}.", partitions=partitions)


@dataclass
class Environments:
    """The places of a test run. Topics are made and deleted for many places at once: a request costs more
    than they do."""

    servers: Servers
    _unused: defaultdict[int, list[Environment]] = field(default_factory=lambda: defaultdict(list))
    _used: list[Environment] = field(default_factory=list)
    _at_once: defaultdict[int, int] = field(default_factory=lambda: defaultdict(lambda: 1))
    _passwords: Mapping[str, str] = field(default_factory=lambda: _PASSWORDS)

    def take(self, partitions: int) -> Environment:
        if not self._unused[partitions]:
            asyncio.run(self._prepare(partitions))
        return self._with_schema(self._unused[partitions].pop())

    def take_without_topics(self) -> Environment:
        return self._with_schema(new_environment(self.servers, 4))

    def _with_schema(self, environment: Environment) -> Environment:
        environment.make_schema(self._passwords)
        self._passwords = {}  # the roles have them now, and making their verifiers takes long
        return environment

    def give_back(self, environment: Environment) -> None:
        environment.remove_schema()
        self._used.append(environment)

    def close(self) -> None:
        asyncio.run(self._close())

    async def _prepare(self, partitions: int) -> None:
        """Twice as many as the last time, so that a run of one test does not pay for those that never
        come."""
        count = self._at_once[partitions]
        self._at_once[partitions] = min(2 * count, _AT_ONCE_MAX)
        environments = [new_environment(self.servers, partitions) for _ in range(count)]
        async with _admin(self.servers) as admin:
            await self._delete(admin, self._used)
            self._used = []
            wanted = [topic for environment in environments for topic in environment.topics]
            settings = environments[0].settings(KafkaSettings, "admin")
            response = await admin.create_topics([topic_admin.new_topic(topic, settings) for topic in wanted])
            assert all(code == 0 for _, code, *_ in response.topic_errors), response
            # The broker that gets the next request learns of them a little later than the controller.
            async with asyncio.timeout(30):
                while topic_admin._missing(await topic_admin._found(admin, wanted), wanted):  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
        self._unused[partitions] += environments

    async def _close(self) -> None:
        async with _admin(self.servers) as admin:
            await self._delete(admin, [*self._used, *(one for some in self._unused.values() for one in some)])

    @staticmethod
    async def _delete(admin: AIOKafkaAdminClient, environments: Sequence[Environment]) -> None:
        if environments:
            await admin.delete_topics(
                [topic.name for environment in environments for topic in environment.topics]
            )


@asynccontextmanager
async def _admin(servers: Servers) -> AsyncIterator[AIOKafkaAdminClient]:
    admin = AIOKafkaAdminClient(bootstrap_servers=servers.kafka)
    await admin.start()
    try:
        yield admin
    finally:
        await admin.close()
