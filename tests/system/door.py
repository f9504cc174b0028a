"""A shop at AegisPay's HTTP door."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import psycopg

from infra.api import keys
from tests.system.running import Running


@dataclass(frozen=True)
class Door:
    session: aiohttp.ClientSession
    url: str

    async def post(
        self, path: str, body: dict[str, Any], key: str, wait_s: int = 0
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Idempotency-Key": key, "Prefer": f"wait={wait_s}"}
        async with self.session.post(self.url + path, json=body, headers=headers) as answer:
            return answer.status, await answer.json(content_type=None)

    async def get(self, path: str) -> tuple[int, dict[str, Any]]:
        async with self.session.get(self.url + path) as answer:
            return answer.status, await answer.json(content_type=None)


@asynccontextmanager
async def door(stack: Running) -> AsyncIterator[Door]:
    options = f"-c search_path={stack.place.schema}"
    with psycopg.connect(stack.place.dsn(), options=options, autocommit=True) as connection:
        key = keys.create(connection, "demo", keys.SCOPES)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        yield Door(session, f"http://127.0.0.1:{stack.api_port}")
