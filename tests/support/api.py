"""An API of a test's own, a client of it, and what stands behind it."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Self

import aiohttp
import orjson
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer

from commands.messages import CreatePayment, MerchantCommand, dump
from commands.parsing import parse_command
from commands.reply import Reply
from infra.kafka import topics
from infra.process.runtime import Process
from infra.settings import ApiSettings, KafkaSettings
from infra.workers.api import main
from tests.support.environment import Environment


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: Any
    raw: bytes

    @property
    def body(self) -> Any:
        return orjson.loads(self.raw)


@dataclass(frozen=True, slots=True)
class Api:
    """A client with an API key of the merchant `demo`."""

    http: aiohttp.ClientSession
    key: str
    process: Process

    async def get(self, path: str, key: str | None = None, **headers: str) -> Answer:
        return await self.ask("GET", path, key, headers)

    async def post(self, body: Any, *, key: str | None = None, **headers: str | None) -> Answer:
        chosen = {"Idempotency-Key": "order-1", "Content-Type": "application/json"} | headers
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return await self.ask("POST", "/v1/payments", key, chosen, data)

    async def change(
        self, payment: Any, what: str, body: Any, *, key: str | None = None, **headers: str | None
    ) -> Answer:
        """The header Idempotency-Key is `change-1` unless it is given."""
        chosen = {"Idempotency-Key": "change-1", "Content-Type": "application/json"} | headers
        return await self.ask(
            "POST", f"/v1/payments/{payment}/{what}", key, chosen, json.dumps(body).encode()
        )

    async def ask(
        self, method: str, path: str, key: str | None = None, headers: Any = None, data: Any = None
    ) -> Answer:
        sent = {"Authorization": f"Bearer {key or self.key}"} | (headers or {})
        sent = {name: value for name, value in sent.items() if value is not None}
        async with self.http.request(
            method,
            path,
            headers=sent,
            data=data,
            skip_auto_headers=["Content-Type"],
            allow_redirects=False,
        ) as response:
            return Answer(response.status, response.headers, await response.read())


@asynccontextmanager
async def served(settings: ApiSettings, key: str) -> AsyncIterator[Api]:
    """The API's own main function, until the block ends."""
    of_its_own = Process("api")
    running = asyncio.create_task(main(of_its_own, settings))
    try:
        while of_its_own.state != "ready" and not running.done():
            await of_its_own.stopped_within(0.02)
        assert not running.done(), running.exception()
        url = f"http://{settings.api_host}:{settings.api_port}"
        async with aiohttp.ClientSession(url) as http:
            yield Api(http, key, of_its_own)
    finally:
        of_its_own.stop.set()
        await running


class Worker:
    """What stands behind the API: reads the commands, and replies as the test sets."""

    def __init__(self, environment: Environment) -> None:
        self._prefix = environment.prefix
        kafka = environment.settings(KafkaSettings, "admin").kafka
        self._producer = AIOKafkaProducer(bootstrap_servers=kafka)
        self._consumer = AIOKafkaConsumer(
            environment.prefix + topics.COMMANDS, bootstrap_servers=kafka, auto_offset_reset="earliest"
        )

    async def __aenter__(self) -> Self:
        await self._producer.start()
        await self._consumer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._consumer.stop()
        await self._producer.stop()

    async def record(self) -> Any:
        async with asyncio.timeout(20):
            return await self._consumer.getone()

    async def command(self) -> CreatePayment | MerchantCommand:
        command = parse_command((await self.record()).value)
        assert isinstance(command, CreatePayment | MerchantCommand)
        return command

    async def reply(self, command: CreatePayment | MerchantCommand, **other: Any) -> None:
        fields: dict[str, Any] = {
            "kind": "decision",
            "command_id": command.command_id,
            "payment_id": command.payment_id,
            "result": "accepted",
        }
        reply = Reply(**fields | other)
        await self.raw_reply(str(command.payment_id).encode(), dump(reply))

    async def raw_reply(self, key: bytes, value: bytes) -> None:
        await self._producer.send_and_wait(self._prefix + topics.REPLIES, value, key=key)
