"""A merchant's address for webhooks: keeps what came, and responds as the test sets."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from tests.support import ports


@dataclass(frozen=True, slots=True)
class Came:
    headers: dict[str, str]
    body: bytes

    @property
    def event(self) -> dict[str, Any]:
        event: dict[str, Any] = orjson.loads(self.body)
        return event


@dataclass(slots=True)
class Receiver:
    """`responses`: the next statuses; 200 where there is none left."""

    port: int = field(default_factory=lambda: ports.free(1)[0])
    came: list[Came] = field(default_factory=list)
    responses: list[int] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/webhooks"

    @property
    def types(self) -> list[str]:
        return [one.event["type"] for one in self.came]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        async def take(request: web.Request) -> web.Response:
            headers = {name.lower(): value for name, value in request.headers.items()}
            self.came.append(Came(headers, await request.read()))
            return web.Response(status=self.responses.pop(0) if self.responses else 200)

        app = web.Application()
        app.router.add_post("/webhooks", take)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", self.port).start()
        try:
            yield
        finally:
            await runner.cleanup()
