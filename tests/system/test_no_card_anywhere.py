"""No card number that anybody sends is anywhere afterwards, in any spelling, whichever way it came in: not in
a table, not in a topic but the one that its producer wrote to, not in a log, not at the PSP."""

import asyncio
import hashlib
import json
import unicodedata
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from uuid import UUID, uuid4

import psycopg
import pytest
from aiokafka import AIOKafkaProducer
from psycopg import sql

from commands.ids import payment_id
from commands.messages import CreatePayment, dump
from infra.kafka import topics
from tests.commands.spellings import PLACES, SPELLINGS
from tests.commands.test_security_codes import CODE_NAMES, TEXTS
from tests.relay.history import records_of
from tests.support.builders import create_payment
from tests.support.environment import Environment
from tests.support.http_api import api_client
from tests.support.processes import Running

pytestmark = pytest.mark.stack

CARD = "4988438843884305"  # docs.adyen.com: test card numbers
SPELLED = {name: spell(CARD) for name, spell in SPELLINGS.items()}
MARK = "beside-a-security-code"
SEEN = "what-may-be-seen"
_AT_ONCE = 20


@pytest.mark.timeout(300)
async def test_no_card_number_is_anywhere_whichever_way_it_came_in(stack: Running):
    refused, taken = await _by_kafka(stack)
    more_refused, more_taken = await _by_http(stack)
    last = [_order(description=SEEN) for _ in range(stack.environment.partitions)]
    await _behind_all_others(stack.environment, last)

    for payment in (*taken, *more_taken, *(order.payment_id for order in last)):
        await stack.has_status(payment, "CAPTURED")
    made = await stack.rows(
        "SELECT DISTINCT originator_id FROM payment_events WHERE originator_id = ANY(%s)",
        refused + more_refused,
    )
    stored = dict(await _everything(stack))

    assert made == []
    assert _with(stored, [SEEN.encode()]) >= {"table payment_events", f"topic {topics.EVENTS}"}
    assert _with(stored, list(_needles())) == set()
    assert {name for name, content in stored.items() if _has_digits_of_the_card(content)} == set()


async def _by_kafka(stack: Running) -> tuple[list[UUID], list[UUID]]:
    """Payments that may not be, and those that may: only a header of theirs holds the number."""
    refused, taken, sends = [], [], []
    commands = f"{stack.environment.prefix}{topics.COMMANDS}"
    contents = [put(text) for text in SPELLED.values() for put in PLACES.values()]
    contents += [{"description": text, "customer_id": MARK} for text in TEXTS]
    contents += [{"metadata": {name: "917", "order": MARK}} for name in CODE_NAMES]
    async with AIOKafkaProducer(bootstrap_servers=stack.environment.kafka, linger_ms=50) as producer:
        for content in contents:
            order = _order()
            value = json.dumps(json.loads(dump(order)) | content).encode()
            refused.append(order.payment_id)
            sends.append(await producer.send(commands, value, str(order.payment_id).encode()))
        for text in SPELLED.values():
            raw = text.encode()
            by_key, by_header = _order(), _order()
            headers = [(name, raw) for name in ("correlation_id", "traceparent", "tracestate", "note")]
            refused.append(by_key.payment_id)
            taken.append(by_header.payment_id)
            sends.append(await producer.send(commands, dump(by_key), raw))
            sends.append(await producer.send(commands, raw, raw, headers=[(text, raw)]))
            key = str(by_header.payment_id).encode()
            sends.append(await producer.send(commands, dump(by_header), key, headers=headers))
        await asyncio.gather(*sends)
    return refused, taken


async def _by_http(stack: Running) -> tuple[list[UUID], list[UUID]]:
    """The same of the HTTP API."""
    body = {"amount_minor": 1099, "currency": "EUR", "payment_method": "pm_card_visa"}
    gate = asyncio.Semaphore(_AT_ONCE)
    async with api_client(stack) as shop:

        async def post(content: dict[str, object], key: str, **headers: str) -> int:
            sent = {"Idempotency-Key": key} | {
                name.replace("_", "-"): value for name, value in headers.items()
            }
            url = f"{shop.url}/v1/payments?note={quote(key)}"
            async with gate, shop.session.post(url, json=body | content, headers=sent) as response:
                assert CARD.encode() not in await response.read()
                return response.status

        async def get(text: str) -> None:
            path = f"{shop.url}/v1/payments/{quote(text, safe='')}?cursor={quote(text)}"
            async with gate, shop.session.get(path) as response:
                assert CARD.encode() not in await response.read()

        bodies = {
            f"order-{name}-{number}".replace(" ", "-"): PLACES[name](text)
            for number, text in enumerate(SPELLED.values())
            for name in ("metadata", "a name in metadata", "description", "payment_method", "return_page")
        }
        heads = [text for text in SPELLED.values() if text.isascii() and text.isprintable()]
        by_key = await asyncio.gather(*(post({}, text) for text in heads))
        by_body = await asyncio.gather(*(post(content, key) for key, content in bodies.items()))
        by_header = await asyncio.gather(
            *(
                post({}, f"head-{n}", X_Correlation_Id=text, traceparent=text, User_Agent=text)
                for n, text in enumerate(heads)
            )
        )
        await asyncio.gather(*map(get, SPELLED.values()))
    assert (set(by_key), set(by_body), set(by_header)) == ({422}, {422}, {202})
    refused = [payment_id("demo", key) for key in (*heads, *bodies)]
    return refused, [payment_id("demo", f"head-{n}") for n in range(len(heads))]


def _order(**more: object) -> CreatePayment:
    unique = {"command_id": uuid4(), "idempotency_key": f"order-{uuid4()}"}
    return create_payment(**unique, expires_at=datetime.now(UTC) + timedelta(hours=1), **more)


async def _behind_all_others(environment: Environment, orders: list[CreatePayment]) -> None:
    """One in each partition of the commands: once it is decided, so is all that was sent before."""
    async with AIOKafkaProducer(bootstrap_servers=environment.kafka) as producer:
        for partition, order in enumerate(orders):
            key = str(order.payment_id).encode()
            await producer.send_and_wait(
                f"{environment.prefix}{topics.COMMANDS}", dump(order), key, partition=partition
            )


async def _everything(stack: Running) -> list[tuple[str, bytes]]:
    files = [file for file in stack.folder.rglob("*") if file.is_file()]
    found = [(f"file {file.name}", file.read_bytes()) for file in files]
    found += await asyncio.to_thread(lambda: list(_tables(stack.environment)))
    for topic in stack.environment.topics:
        name = topic.name.removeprefix(stack.environment.prefix)
        if name != topics.COMMANDS:
            found.append((f"topic {name}", await _records(stack.environment, name)))
    return found


def _tables(environment: Environment) -> Iterator[tuple[str, bytes]]:
    """In PostgreSQL's binary format, which writes texts and bytes as they are."""
    with psycopg.connect(environment.dsn()) as connection:
        tables = connection.execute(
            "SELECT schemaname, tablename FROM pg_tables WHERE schemaname = ANY(%s)",
            [[environment.schema, f"{environment.schema}_read"]],
        ).fetchall()
        for schema, table in tables:
            query = sql.SQL("COPY (SELECT * FROM {}) TO STDOUT (FORMAT binary)")
            with connection.cursor().copy(query.format(sql.Identifier(schema, table))) as copy:
                yield f"table {table}", b"".join(bytes(part) for part in copy)


async def _records(environment: Environment, name: str) -> bytes:
    parts: list[bytes] = []
    for record in await records_of(environment, name):
        parts += [record.key or b"", record.value or b""]
        parts += [part for name, value in record.headers for part in (name.encode(), value or b"")]
    return b"\n".join(parts)


def _needles() -> Iterator[bytes]:
    """Each spelling as it is and as JSON writes it, and what would give it away: a digest, an id made of
    it."""
    yield MARK.encode()
    for text in {CARD, *SPELLED.values()}:
        yield text.encode()
        yield json.dumps(text)[1:-1].encode()
        yield json.dumps(text, ensure_ascii=False)[1:-1].encode()
        yield from (payment_id("demo", text).bytes, str(payment_id("demo", text)).encode())
        for digest in (hashlib.sha256, hashlib.sha1, hashlib.md5):
            yield digest(text.encode()).hexdigest().encode()
            yield digest(text.encode()).digest()


def _with(stored: dict[str, bytes], needles: list[bytes]) -> set[str]:
    return {name for name, content in stored.items() if any(needle in content for needle in needles)}


def _has_digits_of_the_card(content: bytes) -> bool:
    """Twelve of its digits in a row, by their Unicode value, whatever stands between them."""
    text = content.decode("utf-8", "replace")
    digits = "".join(str(unicodedata.digit(character)) for character in text if character.isdigit())
    return any(CARD[start : start + 12] in digits for start in range(len(CARD) - 11))
