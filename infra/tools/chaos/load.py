"""A shop that keeps ordering whatever is down: it repeats every command, with its key, until it gets a reply.

Some orders are captured later, released or refunded; one in ten comes by HTTP. The recovery is measured from
when each order was due, accepted, settled and visible in the read models.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Self, assert_never
from uuid import UUID

import aiohttp
import orjson
import psycopg
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError
from psycopg import sql

from commands.client import SETTLED, Client, ClientError, NoReply, Refused
from infra.kafka import reader, topics
from infra.tools.local.state import StackState
from infra.tools.local.target import MERCHANT
from infra.tools.traffic.chaos_orders import COURSES, ONE_IN_BY_HTTP, RefusedChange, Sale
from infra.tools.traffic.orders import Order

_AGAIN_AFTER_S: Final = 0.25
_REPLY_TIMEOUT_S: Final = 5.0
_LOST_AT_ONCE_S: Final = 0.5
_LOOK_EVERY_S: Final = 0.1
_AT_REST_WITHIN_S: Final = 60.0


class Load:
    """Sends orders and follows them: `async with Load(...) as load: await load.run(...)`. It reads replies
    until the end of the block."""

    def __init__(self, stack: StackState, expires_in: timedelta, seed: int) -> None:
        self._stack = stack
        self._chance = random.Random(seed)  # noqa: S311  # it makes up a shop, not secrets
        self._expires_in = expires_in
        self._client: Client | None = None
        self._opening = asyncio.Lock()
        self._by_payment: dict[UUID, Sale] = {}
        self.sales: list[Sale] = []

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(
            base_url=self._stack.api_url,
            headers={"Authorization": f"Bearer {self._stack.api_key}"},
            timeout=aiohttp.ClientTimeout(total=_REPLY_TIMEOUT_S),
        )
        self._consumer = await self._reader()
        self._tasks = [asyncio.create_task(self._read()), asyncio.create_task(self._look())]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.wait(self._tasks)
        await self._consumer.stop()
        if self._client is not None:
            await self._client.__aexit__(None, None, None)
        await self._http.close()

    async def run(self, wanted: list[Order], taken: Callable[[int], None]) -> None:
        """Sends every order at its time and returns when all are accepted. `taken` receives the number of
        those so far."""
        began = time.monotonic()
        done = 0
        async with asyncio.TaskGroup() as customers:
            for number, order in enumerate(wanted):
                await asyncio.sleep(max(0.0, began + order.arrives_s - time.monotonic()))
                by_http = number % ONE_IN_BY_HTTP == 0
                (course,) = self._chance.choices(list(COURSES), list(COURSES.values()))
                sale = Sale(order, by_http, "sale" if by_http else course, began + order.arrives_s)
                self.sales.append(sale)
                self._by_payment[sale.name] = sale

                def one_more(_: Any) -> None:
                    nonlocal done
                    done += 1
                    taken(done)

                customers.create_task(self._serve(sale)).add_done_callback(one_more)

    async def _serve(self, sale: Sale) -> None:
        send = self._by_http if sale.by_http else self._by_kafka
        while not await send(sale):  # noqa: ASYNC110  # the shop's own patience
            await asyncio.sleep(_AGAIN_AFTER_S)
        sale.taken_s = time.monotonic()
        if sale.course != "sale":
            await self._go_on(sale)

    async def _go_on(self, sale: Sale) -> None:
        """Sends the rest of the order's course once its payment has settled. Does nothing if it has not
        within a minute."""
        try:
            async with asyncio.timeout(_AT_REST_WITHIN_S):
                await sale.at_rest.wait()
        except TimeoutError:
            return
        payment, key = sale.name, sale.order.idempotency_key
        # A third of it, in a step that every currency has.
        part = max(sale.order.amount_minor // 30 * 10, 10)
        match sale.course:
            case "capture":
                await self._insist(
                    sale, "capture", lambda client: client.capture(payment, idempotency_key=f"{key}-c")
                )
            case "capture a part and release the rest":
                await self._insist(
                    sale,
                    "capture",
                    lambda client: client.capture(
                        payment, idempotency_key=f"{key}-c", amount_minor=part, final=True
                    ),
                )
            case "release":
                await self._insist(
                    sale, "void", lambda client: client.void(payment, idempotency_key=f"{key}-v")
                )
            case "refund":
                await self._insist(
                    sale, "refund", lambda client: client.refund(payment, idempotency_key=f"{key}-r")
                )
            case "sale":
                return
            case "refund two parts":
                for number in (1, 2):
                    await self._insist(
                        sale,
                        "refund",
                        lambda client, number=number: client.refund(  # type: ignore[misc]
                            payment, idempotency_key=f"{key}-r{number}", amount_minor=part
                        ),
                    )
            case _:
                assert_never(sale.course)

    async def _insist(self, sale: Sale, what: str, command: Callable[[Client], Awaitable[Any]]) -> None:
        while not (outcome := await self._has_reply(command)):  # noqa: ASYNC110  # the shop's own patience
            await asyncio.sleep(_AGAIN_AFTER_S)
        if isinstance(outcome, str):
            sale.refused.append(RefusedChange(what, outcome))

    async def _by_kafka(self, sale: Sale) -> bool:
        """Returns True if the create got a reply."""
        sale.tries += 1
        refused = await self._has_reply(
            lambda client: client.create_payment(
                idempotency_key=sale.order.idempotency_key,
                expires_in=self._expires_in,
                capture="manual" if sale.manual else "automatic",
                **sale.order.content,
            )
        )
        if isinstance(refused, str):
            sale.ended = f"refused: {refused}"
        return bool(refused)

    async def _has_reply(self, command: Callable[[Client], Awaitable[Any]]) -> bool | str:
        """Returns True if the command got a reply, False if not, and the code if it was refused."""
        sent_s, client = time.monotonic(), None
        try:
            client = await self._connected()
            await command(client)
        except Refused as refused:
            return refused.code
        except NoReply:
            if time.monotonic() - sent_s < _LOST_AT_ONCE_S:
                await self._reopen(client)
            return False
        except ClientError:
            return False
        return True

    async def _connected(self) -> Client:
        async with self._opening:
            if self._client is None:
                client = Client(
                    self._stack.kafka,
                    merchant_id=MERCHANT,
                    topic_prefix=self._stack.topic_prefix,
                    reply_timeout_s=_REPLY_TIMEOUT_S,
                )
                self._client = await client.__aenter__()
            return self._client

    async def _reopen(self, lost: Client | None) -> None:
        """Replaces a client that has lost its connection, which it reports at once."""
        async with self._opening:
            if lost is not None and self._client is lost:
                self._client = None
                await lost.__aexit__(None, None, None)

    async def _by_http(self, sale: Sale) -> bool:
        """Returns True if the create got a final response."""
        sale.tries += 1
        expires_at = (datetime.now(UTC) + self._expires_in).isoformat()
        headers = {"Idempotency-Key": sale.order.idempotency_key}
        body = sale.order.content | {"expires_at": expires_at}
        try:
            async with self._http.post("/v1/payments", json=body, headers=headers) as response:
                if response.status < 300:
                    return True
                if response.status < 500 and response.status not in {408, 425, 429}:
                    sale.ended = f"refused: HTTP {response.status}"
                    return True
                return False
        except (aiohttp.ClientError, TimeoutError):
            return False

    # The replies

    async def _reader(self) -> AIOKafkaConsumer:
        consumer = reader.consumer(
            self._stack.kafka,
            self._stack.topic_prefix + topics.REPLIES,
            group_id=None,
            auto_offset_reset="earliest",  # the stack is new
        )
        await consumer.start()
        return consumer

    async def _read(self) -> None:
        while True:
            try:
                for records in (await self._consumer.getmany(timeout_ms=200)).values():
                    now_s = time.monotonic()
                    for record in records:
                        self._take(orjson.loads(record.value), now_s)
            except KafkaError:
                await self._consumer.stop()
                with suppress(KafkaError):
                    self._consumer = await self._reader()

    def _take(self, reply: dict[str, Any], now_s: float) -> None:
        if reply["status"] not in SETTLED or reply["payment_id"] is None:
            return
        sale = self._by_payment.get(UUID(reply["payment_id"]))
        if sale is not None and sale.settled_s is None:
            sale.settled_s = now_s
            sale.ended = sale.ended or reply["status"]
            sale.at_rest.set()

    # The read models

    async def _look(self) -> None:
        """Notes when each settled payment became visible in the read models."""
        while True:
            with suppress(psycopg.OperationalError):
                async with await psycopg.AsyncConnection.connect(
                    self._stack.database_url, autocommit=True, connect_timeout=5
                ) as connection:
                    while True:
                        await self._look_once(connection)
                        await asyncio.sleep(_LOOK_EVERY_S)
            await asyncio.sleep(_AGAIN_AFTER_S)

    async def _look_once(self, connection: psycopg.AsyncConnection) -> None:
        wanted = [
            name
            for name, sale in self._by_payment.items()
            if sale.settled_s is not None and sale.shown_s is None
        ]
        if not wanted:
            return
        query = sql.SQL("SELECT payment_id FROM {}.payments WHERE payment_id = ANY(%s) AND status = ANY(%s)")
        schema = sql.Identifier(f"{self._stack.database_schema}_read")
        cursor = await connection.execute(query.format(schema), (wanted, list(SETTLED)))
        now_s = time.monotonic()
        for (name,) in await cursor.fetchall():
            self._by_payment[name].shown_s = now_s
