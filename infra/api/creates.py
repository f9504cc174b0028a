"""A create by HTTP: the same command, by the same rules, that a producer on Kafka sends. The merchant is the API key's."""

import asyncio
import re
import time
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from aggregates.money import Money, MoneyRefused
from commands.messages import CreatePayment, InvalidMessage, Reply, parse_command, payment_id
from infra import clock
from infra.api import reads, shapes
from infra.api.bus import Expected, Unreachable
from infra.api.door import Door, Writer, answer, door_of, json_body, preferred_wait_s
from infra.api.envelope import CORRELATION_ID
from infra.api.problems import Problem

router = APIRouter(prefix="/v1", tags=["payments"])

_EXPIRES_AFTER: Final = timedelta(hours=1)
_OURS: Final = ("type", "command_id", "payment_id", "merchant_id", "idempotency_key")
_TRACEPARENT: Final = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}")


@router.post(
    "/payments",
    summary="Take a payment",
    status_code=202,
    response_model=shapes.Accepted,
    responses=shapes.CREATED
    | shapes.problems(
        "not_json",
        "idempotency_key_missing",
        "idempotency_mismatch",
        "message_too_large",
        "media_type",
        "sensitive_data",
        "kafka_unavailable",
    ),
    openapi_extra=shapes.CREATE,
)
async def create(request: Request, principal: Writer) -> Response:
    wait_s = preferred_wait_s(request)
    until = time.monotonic() + (wait_s or 0)
    door, command = door_of(request), await _command(request, principal.merchant_id)
    with door.bus.expect(command) as expected:
        try:
            await door.bus.send(command, _headers(request))
        except Unreachable:
            raise Problem(
                "kafka_unavailable",
                "it is not known whether the payment was taken: repeat it with the same Idempotency-Key",
                headers={"Retry-After": "2"},
            ) from None
        if wait_s is None:
            return _accepted(command, {})
        headers = {"Preference-Applied": f"wait={wait_s}"}
        rest = await _rest(expected, until)
    if rest is None:
        return _accepted(command, headers)
    if rest.result == "refused":
        raise _refused(rest, command, headers)
    return await _finished(door, command, rest, until, headers)


async def _command(request: Request, merchant_id: str) -> CreatePayment:
    """Raises `Problem`."""
    body = await json_body(request)
    key = request.headers.get("idempotency-key")
    if not key:
        raise Problem("idempotency_key_missing", "a key of your own for this payment", path="Idempotency-Key")
    expires_at = (clock.now() + _EXPIRES_AFTER).isoformat()
    content = (
        {"expires_at": expires_at}
        | body
        | {
            "type": "create_payment.v1",
            "command_id": uuid4(),
            "payment_id": payment_id(merchant_id, key),
            "merchant_id": merchant_id,
            "idempotency_key": key,
        }
    )
    try:
        command = parse_command(orjson.dumps(content))
        assert isinstance(command, CreatePayment)
        Money.payable(command.amount_minor, command.currency)
    except InvalidMessage as invalid:
        raise Problem.of(invalid) from None
    except orjson.JSONEncodeError:
        raise Problem("request_invalid", "the body is nested too deeply") from None
    except MoneyRefused as refused:
        raise Problem(refused.code, str(refused), path=refused.path) from None
    # Not earlier: the search for card numbers comes before everything else.
    if ours := sorted(body.keys() & set(_OURS)):
        raise Problem("field_unknown", "there is no such field", path=ours[0])
    return command


def _headers(request: Request) -> list[tuple[str, bytes]]:
    headers = [("correlation_id", CORRELATION_ID.get().encode())]
    traceparent = request.headers.get("traceparent", "")
    if _TRACEPARENT.fullmatch(traceparent):
        headers.append(("traceparent", traceparent.encode()))
    return headers


async def _rest(expected: Expected, until: float) -> Reply | None:
    try:
        async with asyncio.timeout(until - time.monotonic()):
            return await expected.rest()
    except TimeoutError:
        return None


def _accepted(command: CreatePayment, headers: dict[str, str]) -> Response:
    content = {
        "payment_id": command.payment_id,
        "command_id": command.command_id,
        "url": _url(command.payment_id),
    }
    return answer(content, 202, headers | {"Location": _url(command.payment_id)})


def _refused(reply: Reply, command: CreatePayment, headers: dict[str, str]) -> Problem:
    path = "Idempotency-Key" if reply.path == "idempotency_key" else reply.path
    headers = headers | {"Location": _url(command.payment_id)}
    return Problem(reply.code or "request_invalid", reply.detail, path=path, headers=headers)


async def _finished(
    door: Door, command: CreatePayment, rest: Reply, until: float, headers: dict[str, str]
) -> Response:
    """201 where this command made the payment, 200 where an earlier one with the same key had."""
    id_, merchant_id = command.payment_id, command.merchant_id
    if not await reads.reached(door, id_, merchant_id, rest.version or 1, until):
        return _accepted(command, headers)
    row = await reads.shown(door, id_, merchant_id)
    assert row is not None, "it was there a moment ago"
    status = 201 if row["command_id"] == command.command_id else 200
    return answer(row, status, headers | {"Location": _url(id_)})


def _url(id_: UUID) -> str:
    return f"/v1/payments/{id_}"
