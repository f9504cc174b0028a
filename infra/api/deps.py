"""The parts that all routes share: the process's connections, the caller's rights, the parts of a request,
and sending a command.

Invariant: what a route takes from a request is bounded in bytes and in time, and a command leaves only with
the fields that the API key, the path and the Idempotency-Key determine, whatever the body holds.
"""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, TypeVar
from uuid import UUID

import orjson
import psycopg
from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from psycopg_pool import AsyncConnectionPool, PoolTimeout
from starlette.responses import Response

from commands import wording
from commands.handlers import check as check_rules
from commands.health_records import HealthRecord
from commands.messages import CreatePayment, InvalidMessage
from commands.parsing import MESSAGE_BYTES_MAX, parse_command
from commands.records import TRACEPARENT, is_traceparent
from commands.reply import Reply
from gateways import registry
from infra.api.auth import Keys, Principal
from infra.api.command_bus import CommandBus, SentCommand, Unreachable
from infra.api.middleware import CORRELATION_ID
from infra.api.problems import Problem
from infra.postgres.api_keys import Scope
from infra.postgres.connections import check
from infra.process import clock
from infra.process.reloading import Watched
from infra.process.runtime import Process
from infra.psp.accounts import Accounts
from projections import lag

T = TypeVar("T")
C = TypeVar("C", bound=SentCommand)
Pool = AsyncConnectionPool[psycopg.AsyncConnection[Any]]

_LAG_FOR_S: Final = 1.0
_BODY_WITHIN_S: Final = 10.0
_WAIT_MAX_S: Final = 30
# The header is the only place where the caller named the payment or the command.
_IN_THE_HEADER: Final = frozenset({"idempotency_key", "command_id"})
_WAIT: Final = re.compile(r"(?:^|,|;)\s*wait\s*=\s*\"?(\d{1,9})\"?\s*(?:$|,|;)")


@dataclass(slots=True)
class ApiContext:
    """The connections and tables that every route uses. `accounts`: None without a file of PSP accounts.
    `health`: the latest record of each PSP account."""

    process: Process
    pool: Pool
    keys: Keys
    bus: CommandBus
    accounts: Watched[Accounts] | None
    health: Callable[[], Mapping[str, HealthRecord]]
    _lag_ms: float = 0.0
    _lag_until: float = 0.0

    async def read(self, query: Callable[[psycopg.AsyncConnection], Awaitable[T]]) -> T:
        """Runs `query` on a pooled connection; once more if its server was restarted in the meantime."""
        try:
            async with self.pool.connection() as conn:
                return await query(conn)
        except PoolTimeout:
            raise
        except psycopg.OperationalError:
            await check(self.pool)
            async with self.pool.connection() as conn:
                return await query(conn)

    def stray(self, command: CreatePayment) -> tuple[str, str] | None:
        """Returns the field whose token names no PSP of the merchant, and what to write instead; None: there
        is none. Without a file of accounts any known PSP's prefix is fine: the command worker decides."""
        if command.payment_method is None:
            path, remedy = "payment_methods", registry.stray_name(command.payment_methods or {})
        else:
            path, first = "payment_method", command.payment_method
            remedy = (
                registry.stray_prefix(first)
                if self.accounts is None
                else self.accounts.now().stray_prefix(command.merchant_id, first)
            )
        return None if remedy is None else (path, remedy)

    async def lag_ms(self, conn: psycopg.AsyncConnection) -> float:
        """Returns the age of the oldest event that the read models lack, ms; cached for 1 s."""
        if time.monotonic() >= self._lag_until:
            self._lag_until = time.monotonic() + _LAG_FOR_S
            oldest = await lag.oldest_missing(conn)
            age = (clock.now() - oldest).total_seconds() if oldest else 0.0
            self._lag_ms = max(round(age * 1000, 1), 0.0)
        return self._lag_ms


def context_of(request: Request) -> ApiContext:
    """Returns the context that the process set when it started."""
    context: ApiContext = request.app.state.context
    return context


_BEARER: Final = HTTPBearer(auto_error=False, description="An API key: ak_<id>_<secret>")
_Credentials = Annotated[HTTPAuthorizationCredentials | None, Security(_BEARER)]


def allowed(scope: Scope) -> Callable[..., Awaitable[Principal]]:
    """Makes a FastAPI dependency that returns the API key's owner and demands the scope."""

    async def principal(request: Request, given: _Credentials) -> Principal:
        return await context_of(request).keys.authenticate(given.credentials if given else None, scope)

    return principal


Reader = Annotated[Principal, Depends(allowed("payments:read"))]
Writer = Annotated[Principal, Depends(allowed("payments:write"))]


def preferred_wait_s(request: Request) -> int | None:
    """Returns N of `Prefer: wait=N` (RFC 7240), 1 to 30 s; None where it is absent or not valid."""
    match = _WAIT.search(",".join(request.headers.getlist("prefer")))
    return min(int(match[1]), _WAIT_MAX_S) or None if match else None


async def json_body(request: Request, *, required: bool = True) -> dict[str, Any]:
    """Reads a JSON object; if not `required`, no body gives an empty one. Raises `Problem`."""
    if not required and not _has_body(request):
        return {}
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise Problem("media_type", "send Content-Type: application/json")
    try:
        content = orjson.loads(await raw_body(request, MESSAGE_BYTES_MAX))
    except orjson.JSONDecodeError as error:
        text = f"the body is not JSON in UTF-8: look at line {error.lineno}, column {error.colno}"
        raise Problem("not_json", text) from None
    if not isinstance(content, dict):
        raise Problem("not_an_object", "the body has to be a JSON object, { … }")
    return content


def _has_body(request: Request) -> bool:
    return request.headers.get("content-length", "0") != "0" or "transfer-encoding" in request.headers


async def raw_body(request: Request, bytes_max: int) -> bytes:
    """Reads at most `bytes_max` of body within 10 s. Raises `Problem`."""
    try:
        async with asyncio.timeout(_BODY_WITHIN_S):
            return await _bounded(request, bytes_max)
    except TimeoutError:
        raise Problem("body_too_slow", f"the body has to arrive within {_BODY_WITHIN_S:.0f} s") from None


async def _bounded(request: Request, bytes_max: int) -> bytes:
    # Starlette has a bound of its own, but its 413 is no problem document.
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > bytes_max:
            raise Problem("message_too_large", f"the body may have at most {bytes_max} bytes")
    return bytes(raw)


def json_response(content: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """Builds a response from what orjson can write: dicts, lists, UUIDs, datetimes with a zone."""
    return Response(orjson.dumps(content), status, headers, "application/json")


def idempotency_key(request: Request) -> str:
    """Reads the one Idempotency-Key header. Raises `Problem`."""
    keys = request.headers.getlist("idempotency-key")
    if len(keys) > 1:
        text = f"the request has this header {len(keys)} times: send it once"
        raise Problem("idempotency_key_repeated", text, path="Idempotency-Key")
    if not keys or not keys[0]:
        text = "send a key of your own, one for each payment or change"
        raise Problem("idempotency_key_missing", text, path="Idempotency-Key")
    return keys[0]


def command_of(model: type[C], body: dict[str, Any], fixed: Mapping[str, Any]) -> C:
    """Builds a command from a request's body and the fields that only the API sets. Raises `Problem`."""
    fixed = {"type": model.model_fields["type"].default, **fixed}
    try:
        command = parse_command(orjson.dumps(body | fixed))
        check_rules(command)
    except InvalidMessage as invalid:
        raise Problem.of(invalid) from None
    except orjson.JSONEncodeError:
        raise Problem("request_invalid", "the body is nested too deeply") from None
    # Only now: the search for card numbers in `parse_command` comes before every other check.
    if taken := sorted(body.keys() & fixed.keys()):
        text = "leave it out: it follows from the API key, the path and the Idempotency-Key"
        raise Problem("field_unknown", text, path=taken[0])
    assert isinstance(command, model), "its type is one of the fixed fields"
    return command


async def send(context: ApiContext, command: SentCommand, request: Request) -> None:
    """Sends a command with the correlation id and trace; returns once Kafka has it. Raises `Problem`."""
    headers = [("correlation_id", CORRELATION_ID.get().encode())]
    if trace := next(filter(is_traceparent, request.headers.getlist(TRACEPARENT)), None):
        headers.append((TRACEPARENT, trace.encode()))
    try:
        await context.bus.send(command, headers)
    except Unreachable:
        raise Problem(
            "kafka_unavailable",
            "the command may or may not have been taken: repeat it with the same Idempotency-Key",
            headers={"Retry-After": "2"},
        ) from None


async def by_deadline(deadline: float, work: Awaitable[T | None]) -> T | None:
    """Awaits `work` until `deadline` (monotonic clock, s); None: it took longer."""
    try:
        async with asyncio.timeout(deadline - time.monotonic()):
            return await work
    except TimeoutError:
        return None


def url_of(payment_id: UUID) -> str:
    """The path at which a payment can be read."""
    return f"/v1/payments/{payment_id}"


def accepted(command: SentCommand, headers: dict[str, str]) -> Response:
    """Builds the 202 of a command that Kafka has and of which no more is known."""
    url = url_of(command.payment_id)
    content = {"payment_id": command.payment_id, "command_id": command.command_id, "url": url}
    return json_response(content, 202, headers | {"Location": url})


def refusal(reply: Reply, command: SentCommand, headers: dict[str, str]) -> Problem:
    """Translates the worker's refusal of a command into a problem document."""
    path = "Idempotency-Key" if reply.path in _IN_THE_HEADER else reply.path
    found = {} if reply.payment_id is None else {"Location": url_of(command.payment_id)}
    more = {"amounts": reply.amounts, "payment_status": reply.status, "version": reply.version}
    detail = reply.detail
    # The caller sent a key, from which the command's id follows.
    if (reply.code, reply.path) == ("idempotency_mismatch", "command_id"):
        detail = wording.KEY_OF_ANOTHER_CHANGE
    return Problem(reply.code or "request_invalid", detail, path=path, headers=headers | found, **more)
