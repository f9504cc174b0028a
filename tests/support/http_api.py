"""A merchant's HTTP client of the API, for tests of a running stack."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import psycopg

from infra.postgres import api_keys
from tests.support.processes import Running


@dataclass(frozen=True)
class ApiClient:
    """Sends requests with a key of the merchant `demo` that has every scope; gives the status and the JSON
    body."""

    session: aiohttp.ClientSession
    url: str

    async def post(
        self, path: str, body: dict[str, Any], key: str, wait_s: int = 0
    ) -> tuple[int, dict[str, Any]]:
        headers = {"Idempotency-Key": key, "Prefer": f"wait={wait_s}"}
        async with self.session.post(self.url + path, json=body, headers=headers) as response:
            return response.status, await response.json(content_type=None)

    async def get(self, path: str) -> tuple[int, dict[str, Any]]:
        async with self.session.get(self.url + path) as response:
            return response.status, await response.json(content_type=None)


@asynccontextmanager
async def api_client(stack: Running) -> AsyncIterator[ApiClient]:
    options = f"-c search_path={stack.environment.schema}"
    with psycopg.connect(stack.environment.dsn(), options=options, autocommit=True) as connection:
        key = api_keys.create(connection, "demo", api_keys.SCOPES)
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:
        yield ApiClient(session, f"http://127.0.0.1:{stack.api_port}")
