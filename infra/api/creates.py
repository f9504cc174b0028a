"""Creates a payment by HTTP: sends the same command, by the same rules, as a producer on Kafka.

Invariant: the payment's id follows from the API key's merchant and the Idempotency-Key, so that a repeat
never makes a second payment.
"""

import time
from datetime import timedelta
from typing import Final
from uuid import uuid4

import psycopg
from fastapi import APIRouter, Request
from psycopg_pool import PoolTimeout
from starlette.responses import Response

from aggregates.status import ANNOUNCED
from commands.ids import fingerprint, payment_id
from commands.messages import CreatePayment
from commands.replies import ANOTHER_CONTENT
from commands.reply import Reply
from commands.reply_stream import PendingReply
from infra.api import openapi, reads, schemas
from infra.api.deps import (
    ApiContext,
    Writer,
    accepted,
    by_deadline,
    command_of,
    context_of,
    idempotency_key,
    json_body,
    json_response,
    preferred_wait_s,
    refusal,
    send,
    url_of,
)
from infra.api.problems import Problem
from infra.process import clock
from projections import history

router = APIRouter(prefix="/v1", tags=["payments"])

_EXPIRES_AFTER: Final = timedelta(hours=1)


@router.post(
    "/payments",
    operation_id="createPayment",
    summary="Create a payment",
    status_code=202,
    response_model=schemas.Accepted,
    responses=openapi.CREATED
    | openapi.problems(
        "not_json",
        "idempotency_key_missing",
        "idempotency_key_repeated",
        "idempotency_mismatch",
        "message_too_large",
        "media_type",
        "sensitive_data",
        "denied_by_fraud_check",
        "hook_failed",
        "gateway_unknown",
        "kafka_unavailable",
    ),
    openapi_extra=openapi.CREATE,
)
async def create(request: Request, principal: Writer) -> Response:
    """Sends the command and, with `Prefer: wait`, waits until the payment has settled or is in doubt."""
    wait_s = preferred_wait_s(request)
    until = time.monotonic() + (wait_s or 0)
    context, command = context_of(request), await _command(request, principal.merchant_id)
    await _require_fit(context, command)
    with context.bus.replies.expect(command) as pending:
        await send(context, command, request)
        if wait_s is None:
            return accepted(command, {})
        headers = {"Preference-Applied": f"wait={wait_s}"}
        reply = await by_deadline(until, _announced(pending))
    if reply is None:
        return accepted(command, headers)
    if reply.result == "refused":
        raise refusal(reply, command, headers)
    return await _finished(context, command, reply, until, headers)


async def _command(request: Request, merchant_id: str) -> CreatePayment:
    """Builds the command from the request. Raises `Problem`."""
    body = await json_body(request)
    key = idempotency_key(request)
    expires_at = (clock.now() + _EXPIRES_AFTER).isoformat()
    fixed = {
        "command_id": uuid4(),
        "payment_id": payment_id(merchant_id, key),
        "merchant_id": merchant_id,
        "idempotency_key": key,
    }
    return command_of(CreatePayment, {"expires_at": expires_at} | body, fixed)


async def _require_fit(context: ApiContext, command: CreatePayment) -> None:
    """Raises `Problem` where the key belongs to a payment with other content, or the token names no PSP.

    A first command that is not decided yet cannot be seen here. Then the worker refuses the second one, and
    only a caller that waits receives the refusal.
    """
    try:
        first = await context.read(lambda conn: history.fingerprint(conn, command.payment_id))
    except (psycopg.OperationalError, PoolTimeout):
        return  # Kafka takes payments while PostgreSQL is down, and the worker checks both.
    if first is None:
        if (found := context.stray(command)) is not None:
            path, remedy = found
            raise Problem("gateway_unknown", remedy, path=path)
    elif first != fingerprint(command):
        location = {"Location": url_of(command.payment_id)}
        raise Problem("idempotency_mismatch", ANOTHER_CONTENT, path="Idempotency-Key", headers=location)


async def _announced(pending: PendingReply) -> Reply | None:
    """Waits for the reply with a status that is announced, or the refusal. None: this process stops before it
    comes."""
    decided = await pending.decision
    if decided is None or decided.result == "refused" or decided.status in ANNOUNCED:
        return decided
    return await pending.until(lambda update: update.status in ANNOUNCED)


async def _finished(
    context: ApiContext, command: CreatePayment, reply: Reply, until: float, headers: dict[str, str]
) -> Response:
    """Returns 201 if this command made the payment, 200 if an earlier one with the same key had, 202 if the
    read model does not show the payment by `until`."""
    id_, merchant_id = command.payment_id, command.merchant_id
    if not await reads.reached(context, id_, merchant_id, reply.version or 1, until):
        return accepted(command, headers)
    row = await reads.shown(context, id_, merchant_id)
    assert row is not None, "it was there a moment ago"
    status = 201 if row["command_id"] == command.command_id else 200
    return json_response(row, status, headers | {"Location": url_of(id_)})
