"""What the routes share, and how they reach it; reading the body and the caller's preferences."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar

import orjson
import psycopg
from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from starlette.responses import Response

from commands.messages import MESSAGE_BYTES_MAX
from infra import clock
from infra.api.bus import Bus
from infra.api.keys import Keys, Principal, Scope
from infra.api.problems import Problem
from infra.process import Process
from projections import lag

T = TypeVar("T")
Pool = AsyncConnectionPool[psycopg.AsyncConnection[Any]]

_LAG_FOR_S: Final = 1.0
_BODY_WITHIN_S: Final = 10.0
_WAIT_MAX_S: Final = 30
_WAIT: Final = re.compile(r"(?:^|,|;)\s*wait\s*=\s*\"?(\d{1,9})\"?\s*(?:$|,|;)")


@dataclass(slots=True)
class Door:
    process: Process
    pool: Pool
    keys: Keys
    bus: Bus
    _lag_ms: float = 0.0
    _lag_until: float = 0.0

    async def read(self, query: Callable[[psycopg.AsyncConnection], Awaitable[T]]) -> T:
        """Once more where the connection was of a server that has been restarted since."""
        try:
            async with self.pool.connection() as conn:
                return await query(conn)
        except PoolTimeout:
            raise
        except psycopg.OperationalError:
            await self.pool.check()
            async with self.pool.connection() as conn:
                return await query(conn)

    async def lag_ms(self, conn: psycopg.AsyncConnection) -> float:
        """How long the oldest event has waited that the read models lack; at most a second old."""
        if time.monotonic() >= self._lag_until:
            self._lag_until = time.monotonic() + _LAG_FOR_S
            oldest = await lag.oldest_missing(conn)
            age = (clock.now() - oldest).total_seconds() if oldest else 0.0
            self._lag_ms = max(round(age * 1000, 1), 0.0)
        return self._lag_ms


def door_of(request: Request) -> Door:
    door: Door = request.app.state.door
    return door


_BEARER: Final = HTTPBearer(auto_error=False, description="An API key: ak_<id>_<secret>")
_Credentials = Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]


def allowed(scope: Scope) -> Callable[..., Awaitable[Principal]]:
    """As a dependency: who the API key is of, where it has the scope."""

    async def principal(request: Request, given: _Credentials) -> Principal:
        return await door_of(request).keys.authenticate(given.credentials if given else None, scope)

    return principal


Reader = Annotated[Principal, Depends(allowed("payments:read"))]
Writer = Annotated[Principal, Depends(allowed("payments:write"))]


def preferred_wait_s(request: Request) -> int | None:
    """Of `Prefer: wait=N` (RFC 7240), 1 to 30; None where it is absent or makes no sense, as the RFC has it."""
    match = _WAIT.search(",".join(request.headers.getlist("prefer")))
    return min(int(match[1]), _WAIT_MAX_S) or None if match else None


async def json_body(request: Request, *, required: bool = True) -> dict[str, Any]:
    """Raises `Problem`. `required`: otherwise no body at all is an empty object."""
    if not required and not _has_body(request):
        return {}
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem("media_type", "send Content-Type: application/json")
    try:
        content = orjson.loads(await raw_body(request, MESSAGE_BYTES_MAX))
    except orjson.JSONDecodeError:
        raise Problem("not_json", "the body is not JSON in UTF-8") from None
    if not isinstance(content, dict):
        raise Problem("not_an_object", "the body is not a JSON object")
    return content


def _has_body(request: Request) -> bool:
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


async def raw_body(request: Request, bytes_max: int) -> bytes:
    """Raises `Problem`."""
    try:
        async with asyncio.timeout(_BODY_WITHIN_S):
            return await _bounded(request, bytes_max)
    except TimeoutError:
        raise Problem("body_too_slow", f"it has {_BODY_WITHIN_S:.0f} s") from None


async def _bounded(request: Request, bytes_max: int) -> bytes:
    """Not what Starlette bounds by itself: its 413 is no problem document."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > bytes_max:
            raise Problem("message_too_large", f"the body may have {bytes_max} bytes")
    return bytes(raw)


def answer(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, headers, "application/json")
