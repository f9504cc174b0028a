"""What a merchant can read: one payment and its history, a customer's payments, the money at risk. Each query takes the
merchant.
"""

import asyncio
import time
from dataclasses import asdict
from typing import Annotated, Any, Final
from uuid import UUID

import orjson
import psycopg
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from infra import clock
from infra.api import documented, shapes
from infra.api.door import Door, Reader, answer, door_of
from infra.api.problems import Problem, payment_not_found
from projections import customer_payments, history, payments
from projections import in_doubt as doubts

router = APIRouter(prefix="/v1", tags=["payments"])

_VERSION_WITHIN_S: Final = 5.0
_POLL_S: Final = (0.002, 0.005, 0.01, 0.02)
_NOT_SHOWN: Final = ("merchant_id", "stored_version", "stale_since", "gateway")

PaymentId = Annotated[str, Path(description="A UUID", examples=[shapes.PAYMENT_ID])]


def uuid_of(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise payment_not_found() from None


@router.get(
    "/payments/{payment_id}",
    summary="One payment",
    response_model=shapes.Payment,
    responses=documented.problems("payment_not_found", "version_not_reached"),
)
async def payment(
    request: Request,
    payment_id: PaymentId,
    principal: Reader,
    min_version: Annotated[
        int,
        Query(
            ge=0,
            lt=2**31,
            description="Wait up to 5 s for the payment to be at this version: of one's own write, say. "
            "A payment that is not there yet has version 0. In vain: 409 version_not_reached, or 404.",
        ),
    ] = 0,
) -> Response:
    door, id_ = door_of(request), uuid_of(payment_id)
    if min_version:
        await reached(door, id_, principal.merchant_id, min_version, time.monotonic() + _VERSION_WITHIN_S)
    row = await shown(door, id_, principal.merchant_id)
    if row is None:
        raise payment_not_found()
    if row["version"] < min_version:
        raise Problem(
            "version_not_reached",
            f"the payment is at version {row['version']}; ask again",
            headers={"Retry-After": "1"},
            version=row["version"],
        )
    return answer(row)


@router.get(
    "/customers/{customer_id}/payments",
    summary="A customer's payments, newest first",
    response_model=shapes.PaymentPage,
    responses=documented.problems("cursor_invalid"),
)
async def of_customer(
    request: Request,
    customer_id: Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9._:-]+$", examples=["customer-7"])],
    principal: Reader,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=200, description="next_cursor of the page before")] = None,
) -> Response:
    door = door_of(request)
    try:
        after = customer_payments.Cursor.parse(cursor) if cursor else customer_payments.FIRST_PAGE
    except customer_payments.CursorInvalid:
        raise Problem("cursor_invalid", "use next_cursor of an earlier page", path="cursor") from None

    async def query(conn: psycopg.AsyncConnection) -> dict[str, Any]:
        page, following = await customer_payments.page(conn, principal.merchant_id, customer_id, after, limit)
        return {
            "payments": page,
            "next_cursor": str(following) if following else None,
            "read_model": {"lag_ms": await door.lag_ms(conn)},
        }

    return answer(await door.read(query))


@router.get(
    "/in-doubt",
    summary="The money at risk: what nobody knows the end of, and what contradicts the record",
    response_model=shapes.InDoubt,
    responses=documented.problems("cursor_invalid"),
)
async def in_doubt(
    request: Request,
    principal: Reader,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[str | None, Query(max_length=300, description="next_cursor of the page before")] = None,
) -> Response:
    door, now, merchant_id = door_of(request), clock.now(), principal.merchant_id
    try:
        after = doubts.Cursor.parse(cursor) if cursor else doubts.FIRST_PAGE
    except customer_payments.CursorInvalid:
        raise Problem("cursor_invalid", "use next_cursor of an earlier page", path="cursor") from None

    async def query(conn: psycopg.AsyncConnection) -> dict[str, Any]:
        page, following = await doubts.page(conn, merchant_id, now, after, limit)
        shown = [
            {name: value for name, value in asdict(one).items() if name != "merchant_id"} for one in page
        ]
        return {
            "board": await doubts.board(conn, merchant_id, now),
            "in_doubt": shown,
            "next_cursor": str(following) if following else None,
            "read_model": {"lag_ms": await door.lag_ms(conn)},
        }

    return answer(await door.read(query))


@router.get(
    "/payments/{payment_id}/events",
    summary="A payment's history, from the event store",
    response_model=shapes.History,
    responses=documented.problems("payment_not_found"),
)
async def events(
    request: Request,
    payment_id: PaymentId,
    principal: Reader,
    limit: Annotated[int, Query(ge=1, le=100)] = 100,
    after: Annotated[int, Query(ge=0, lt=2**31, description="next_after of the page before")] = 0,
) -> Response:
    id_ = uuid_of(payment_id)
    found = await door_of(request).read(
        lambda conn: history.page(conn, principal.merchant_id, id_, after, limit)
    )
    if found is None:
        raise payment_not_found()
    page, following = found
    return answer({"payment_id": id_, "events": page, "next_after": following})


async def shown(door: Door, payment_id: UUID, merchant_id: str) -> dict[str, Any] | None:
    """The payment as callers see it."""

    async def query(conn: psycopg.AsyncConnection) -> dict[str, Any] | None:
        row = await payments.find(conn, payment_id, merchant_id)
        if row is None:
            return None
        read_model = {
            "events_behind": max((row["stored_version"] or row["version"]) - row["version"], 0),
            "lag_ms": await door.lag_ms(conn),
            "stale_since": row["stale_since"],
        }
        visible = {name: value for name, value in row.items() if name not in _NOT_SHOWN}
        operations = orjson.Fragment(row["operations"] or "[]")
        return visible | {"operations": operations, "read_model": read_model}

    return await door.read(query)


async def reached(door: Door, payment_id: UUID, merchant_id: str, version: int, until: float) -> bool:
    """Whether the payment gets to the version before `until` (monotonic, s)."""

    async def ask(conn: psycopg.AsyncConnection) -> int:
        return await payments.version(conn, payment_id, merchant_id)

    tries = 0
    while await door.read(ask) < version:
        pause_s = _POLL_S[min(tries, len(_POLL_S) - 1)]
        if door.process.stop.is_set() or time.monotonic() + pause_s > until:
            return False
        await asyncio.sleep(pause_s)
        tries += 1
    return True
