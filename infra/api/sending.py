"""A command on its way out, and what its answer is in HTTP: shared by the routes that change something."""

import asyncio
import re
import time
from collections.abc import Coroutine
from typing import Any, Final, TypeVar
from uuid import UUID

from fastapi import Request
from starlette.responses import Response

from commands.messages import Reply
from infra.api.bus import Ask, Unreachable
from infra.api.door import Door, answer
from infra.api.envelope import CORRELATION_ID
from infra.api.problems import Problem

T = TypeVar("T")

_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")
# The header is the one place where the caller has named the payment or the command.
_IN_THE_HEADER: Final = frozenset({"idempotency_key", "command_id"})


def url_of(payment_id: UUID) -> str:
    return f"/v1/payments/{payment_id}"


def idempotency_key(request: Request) -> str:
    """Raises `Problem`."""
    key = request.headers.get("idempotency-key")
    if not key:
        text = "a key of your own for this payment or for what you ask of it"
        raise Problem("idempotency_key_missing", text, path="Idempotency-Key")
    return key


async def send(door: Door, command: Ask, request: Request) -> None:
    """Returns when Kafka has it. Raises `Problem`."""
    headers = [("correlation_id", CORRELATION_ID.get().encode())]
    traceparent = request.headers.get("traceparent", "")
    if _TRACEPARENT.fullmatch(traceparent):
        headers.append(("traceparent", traceparent.encode()))
    try:
        await door.bus.send(command, headers)
    except Unreachable:
        raise Problem(
            "kafka_unavailable",
            "it is not known whether it was taken: repeat it with the same Idempotency-Key",
            headers={"Retry-After": "2"},
        ) from None


async def before(until: float, what: Coroutine[Any, Any, T | None]) -> T | None:
    """None where it took longer than `until` (monotonic, s)."""
    try:
        async with asyncio.timeout(until - time.monotonic()):
            return await what
    except TimeoutError:
        return None


def accepted(command: Ask, headers: dict[str, str]) -> Response:
    """Kafka has it, and no more is known."""
    url = url_of(command.payment_id)
    content = {"payment_id": command.payment_id, "command_id": command.command_id, "url": url}
    return answer(content, 202, headers | {"Location": url})


def refused(reply: Reply, command: Ask, headers: dict[str, str]) -> Problem:
    path = "Idempotency-Key" if reply.path in _IN_THE_HEADER else reply.path
    found = {} if reply.payment_id is None else {"Location": url_of(command.payment_id)}
    more = {"amounts": reply.amounts, "payment_status": reply.status, "version": reply.version}
    return Problem(reply.code or "request_invalid", reply.detail, path=path, headers=headers | found, **more)
