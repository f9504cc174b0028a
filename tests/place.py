"""Real servers for tests, and a place of one's own on them: a schema, a topic prefix."""

import asyncio
import os
import secrets
from dataclasses import dataclass
from typing import Any, TypeVar

import psycopg
from aiokafka.admin import AIOKafkaAdminClient
from psycopg import sql
from pydantic_settings import BaseSettings

from infra import migrate, topic_admin
from infra.settings import DatabaseSettings, KafkaSettings
from infra.topics import declared

S = TypeVar("S", bound=BaseSettings)

# Of servers that live for one test run, on loopback.
_ROLE_PASSWORD = "for-tests-only"


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
class Place:
    servers: Servers
    schema: str
    prefix: str
    partitions: int

    @property
    def kafka(self) -> str:
        return self.servers.kafka

    def dsn(self, role: str = "admin") -> str:
        return self.servers.dsn(role)

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
            "database_url": self.dsn(role),
            "database_schema": self.schema,
            "environment": "test",
        }

    def make(self) -> None:
        self.make_schema()
        asyncio.run(topic_admin.create(self.settings(KafkaSettings, "admin")))

    def make_schema(self) -> None:
        passwords = dict.fromkeys(migrate.ROLES, _ROLE_PASSWORD)
        migrate.migrate(self.settings(DatabaseSettings, "admin"), passwords)

    def remove(self) -> None:
        self.remove_schema()
        asyncio.run(self._delete_topics())

    def remove_schema(self) -> None:
        with psycopg.connect(self.dsn(), autocommit=True) as conn:
            for schema in (self.schema, f"{self.schema}_read"):
                conn.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))

    async def _delete_topics(self) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        await admin.start()
        try:
            await admin.delete_topics([topic.name for topic in declared(self.partitions, self.prefix)])
        finally:
            await admin.close()


def new_place(servers: Servers, partitions: int) -> Place:
    name = f"t{os.getpid()}_{secrets.token_hex(4)}"
    return Place(servers, schema=name, prefix=f"{name}.", partitions=partitions)
