"""A create by HTTP: the same command, by the same rules, that a producer on Kafka sends. The merchant is the API key's."""

import time
from datetime import timedelta
from typing import Final
from uuid import uuid4

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from aggregates.status import RESTING
from commands.handlers import check
from commands.messages import CreatePayment, InvalidMessage, Reply, parse_command, payment_id
from infra import clock
from infra.api import documented, reads, sending, shapes
from infra.api.bus import Expected
from infra.api.door import Door, Writer, answer, door_of, json_body, preferred_wait_s
from infra.api.problems import Problem

router = APIRouter(prefix="/v1", tags=["payments"])

_EXPIRES_AFTER: Final = timedelta(hours=1)
_OURS: Final = ("type", "command_id", "payment_id", "merchant_id", "idempotency_key")


@router.post(
    "/payments",
    summary="Take a payment",
    status_code=202,
    response_model=shapes.Accepted,
    responses=documented.CREATED
    | documented.problems(
        "not_json",
        "idempotency_key_missing",
        "idempotency_mismatch",
        "message_too_large",
        "media_type",
        "sensitive_data",
        "kafka_unavailable",
    ),
    openapi_extra=documented.CREATE,
)
async def create(request: Request, principal: Writer) -> Response:
    wait_s = preferred_wait_s(request)
    until = time.monotonic() + (wait_s or 0)
    door, command = door_of(request), await _command(request, principal.merchant_id)
    with door.bus.expect(command) as expected:
        await sending.send(door, command, request)
        if wait_s is None:
            return sending.accepted(command, {})
        headers = {"Preference-Applied": f"wait={wait_s}"}
        rest = await sending.before(until, _rest(expected))
    if rest is None:
        return sending.accepted(command, headers)
    if rest.result == "refused":
        raise sending.refused(rest, command, headers)
    return await _finished(door, command, rest, until, headers)


async def _command(request: Request, merchant_id: str) -> CreatePayment:
    """Raises `Problem`."""
    body = await json_body(request)
    key = sending.idempotency_key(request)
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
        check(command)
    except InvalidMessage as invalid:
        raise Problem.of(invalid) from None
    except orjson.JSONEncodeError:
        raise Problem("request_invalid", "the body is nested too deeply") from None
    # Not earlier: the search for card numbers comes before everything else.
    if ours := sorted(body.keys() & set(_OURS)):
        raise Problem("field_unknown", "there is no such field", path=ours[0])
    return command


async def _rest(expected: Expected) -> Reply | None:
    """The reply that says where the payment came to rest, or why it was refused."""
    decided = await expected.answer()
    if decided is None or decided.result == "refused" or decided.status in RESTING:
        return decided
    return await expected.until(lambda news: news.status in RESTING)


async def _finished(
    door: Door, command: CreatePayment, rest: Reply, until: float, headers: dict[str, str]
) -> Response:
    """201 where this command made the payment, 200 where an earlier one with the same key had."""
    id_, merchant_id = command.payment_id, command.merchant_id
    if not await reads.reached(door, id_, merchant_id, rest.version or 1, until):
        return sending.accepted(command, headers)
    row = await reads.shown(door, id_, merchant_id)
    assert row is not None, "it was there a moment ago"
    status = 201 if row["command_id"] == command.command_id else 200
    return answer(row, status, headers | {"Location": sending.url_of(id_)})
