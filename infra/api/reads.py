"""Serves what a merchant can read: a payment and its history, a customer's payments, the money at risk.

Invariant: each query takes the merchant of the API key, so that nobody reads another merchant's payments.
"""

import asyncio
import time
from collections.abc import Iterable
from dataclasses import asdict
from typing import Annotated, Any, Final
from uuid import UUID

import orjson
import psycopg
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from aggregates import money
from infra.api import examples, openapi, schemas
from infra.api.deps import ApiContext, Reader, context_of, json_response
from infra.api.problems import Problem, payment_not_found
from infra.api.transport import tagged
from infra.process import clock
from projections import customer_payments, history, payments, reviews
from projections import in_doubt as doubts
from projections.cursors import Cursor, CursorInvalid

router = APIRouter(prefix="/v1", tags=["payments"])

_VERSION_WITHIN_S: Final = 5.0
_POLL_S: Final = (0.002, 0.005, 0.01, 0.02)
_PARTS: Final = ("operations", "contradictions", "disputes")
_NOT_SHOWN: Final = ("merchant_id", "stored_version", "stale_since", "gateway")

PaymentId = Annotated[str, Path(description="A UUID", examples=[examples.PAYMENT_ID])]


def uuid_of(text: str) -> UUID:
    """Reads a payment's id from a path. Raises `Problem`: a text that is no UUID is an unknown payment."""
    try:
        return UUID(text)
    except ValueError:
        raise payment_not_found() from None


@router.get(
    "/payments/{payment_id}",
    operation_id="getPayment",
    summary="One payment",
    response_model=schemas.Payment,
    responses=openapi.NOT_MODIFIED | openapi.problems("payment_not_found", "version_not_reached"),
    openapi_extra=openapi.CONDITIONAL,
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
            description="Wait up to 5 s until the payment has this version, e.g. the one that a change returned. "
            "A payment that does not exist yet has version 0. After that: 409 version_not_reached, or 404.",
        ),
    ] = 0,
) -> Response:
    """Returns the payment, once it has reached `min_version`."""
    context, id_ = context_of(request), uuid_of(payment_id)
    if min_version:
        await reached(context, id_, principal.merchant_id, min_version, time.monotonic() + _VERSION_WITHIN_S)
    row = await shown(context, id_, principal.merchant_id)
    if row is None:
        raise payment_not_found()
    if row["version"] < min_version:
        raise Problem(
            "version_not_reached",
            f"the payment is at version {row['version']}: try again",
            headers={"Retry-After": "1"},
            version=row["version"],
        )
    return tagged(request, row, f"{row['version']}.{row['read_model']['events_behind']}")


@router.get(
    "/customers/{customer_id}/payments",
    operation_id="listCustomerPayments",
    summary="A customer's payments, newest first",
    response_model=schemas.PaymentPage,
    responses=openapi.problems("cursor_invalid"),
)
async def of_customer(
    request: Request,
    customer_id: Annotated[str, Path(max_length=64, pattern=r"^[A-Za-z0-9._:-]+$", examples=["customer-7"])],
    principal: Reader,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[
        str | None, Query(max_length=200, description="next_cursor of the previous page")
    ] = None,
) -> Response:
    """Returns a page of the customer's payments."""
    context = context_of(request)
    after = _place(cursor, customer_payments.FIRST_PAGE)

    async def query(conn: psycopg.AsyncConnection) -> dict[str, Any]:
        page, following = await customer_payments.page(conn, principal.merchant_id, customer_id, after, limit)
        return {"payments": _listed(page)} | await _rest(context, conn, following)

    return json_response(await context.read(query))


@router.get(
    "/in-doubt",
    operation_id="listInDoubt",
    summary="The money at risk: operations with an unknown outcome, contradictions, parked payments",
    response_model=schemas.InDoubt,
    responses=openapi.problems("cursor_invalid"),
)
async def in_doubt(
    request: Request,
    principal: Reader,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[
        str | None, Query(max_length=300, description="next_cursor of the previous page")
    ] = None,
) -> Response:
    """Returns a page of the merchant's doubts, with the totals of all of them."""
    context, now, merchant_id = context_of(request), clock.now(), principal.merchant_id
    after = _place(cursor, doubts.FIRST_PAGE)

    async def query(conn: psycopg.AsyncConnection) -> dict[str, Any]:
        page, following = await doubts.page(conn, merchant_id, now, after, limit)
        totals = await doubts.totals(conn, merchant_id, now)
        lists = {"totals": _listed(map(asdict, totals)), "in_doubt": _listed(map(asdict, page))}
        return lists | await _rest(context, conn, following)

    return json_response(await context.read(query))


@router.get(
    "/reviews",
    operation_id="listReviews",
    summary="The payments that a fraud hook holds until a person decides, the longest held first",
    response_model=schemas.Reviews,
    responses=openapi.problems("cursor_invalid"),
)
async def held(
    request: Request,
    principal: Reader,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    cursor: Annotated[
        str | None, Query(max_length=200, description="next_cursor of the previous page")
    ] = None,
) -> Response:
    """Returns a page of the merchant's held payments."""
    context, after = context_of(request), _place(cursor, reviews.FIRST_PAGE)

    async def query(conn: psycopg.AsyncConnection) -> dict[str, Any]:
        page, following = await reviews.page(conn, principal.merchant_id, after, limit)
        return {"reviews": _listed(map(asdict, page))} | await _rest(context, conn, following)

    return json_response(await context.read(query))


@router.get(
    "/payments/{payment_id}/events",
    operation_id="listPaymentEvents",
    summary="A payment's history, from the event store",
    response_model=schemas.History,
    responses=openapi.problems("payment_not_found"),
)
async def events(
    request: Request,
    payment_id: PaymentId,
    principal: Reader,
    limit: Annotated[int, Query(ge=1, le=100)] = 100,
    after: Annotated[int, Query(ge=0, lt=2**31, description="next_after of the previous page")] = 0,
) -> Response:
    """Returns a page of the payment's events."""
    id_ = uuid_of(payment_id)
    found = await context_of(request).read(
        lambda conn: history.page(conn, principal.merchant_id, id_, after, limit)
    )
    if found is None:
        raise payment_not_found()
    page, following = found
    return json_response({"payment_id": id_, "events": page, "next_after": following})


def _place(cursor: str | None, first: Cursor) -> Cursor:
    """Reads the `cursor` parameter; without it, `first`. Raises `Problem`."""
    try:
        return Cursor.parse(cursor) if cursor else first
    except CursorInvalid:
        raise Problem("cursor_invalid", "use next_cursor of an earlier page", path="cursor") from None


def _with_exponents(row: dict[str, Any]) -> dict[str, Any]:
    """Adds `currency_exponent` to the row and to the operations, contradictions and disputes in it, so that
    no client places the decimal point by another library's table."""
    currency = row["currency"]
    exponent = money.exponent(currency) if currency in money.CURRENCIES else None
    parts = {name: [_with_exponents(one) for one in row[name]] for name in _PARTS if name in row}
    return row | {"currency_exponent": exponent} | parts


def _listed(page: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    return [
        _with_exponents({name: value for name, value in one.items() if name != "merchant_id"}) for one in page
    ]


async def _rest(
    context: ApiContext, conn: psycopg.AsyncConnection, following: Cursor | None
) -> dict[str, Any]:
    """Returns what each page has beside its list."""
    read_model = {"lag_ms": await context.lag_ms(conn)}
    return {"next_cursor": str(following) if following else None, "read_model": read_model}


async def shown(context: ApiContext, payment_id: UUID, merchant_id: str) -> dict[str, Any] | None:
    """Returns the payment as callers see it; None: the merchant has no such payment."""

    async def query(conn: psycopg.AsyncConnection) -> dict[str, Any] | None:
        row = await payments.find(conn, payment_id, merchant_id)
        if row is None:
            return None
        read_model = {
            "events_behind": max((row["stored_version"] or row["version"]) - row["version"], 0),
            "lag_ms": await context.lag_ms(conn),
            "stale_since": row["stale_since"],
        }
        visible = {name: value for name, value in row.items() if name not in _NOT_SHOWN}
        operations = orjson.loads(row["operations"] or "[]")
        return _with_exponents(visible | {"operations": operations}) | {"read_model": read_model}

    return await context.read(query)


async def reached(
    context: ApiContext, payment_id: UUID, merchant_id: str, version: int, until: float
) -> bool:
    """Waits until the read model has this version; False: not by `until` (monotonic clock, s)."""

    async def current(conn: psycopg.AsyncConnection) -> int:
        return await payments.version(conn, payment_id, merchant_id)

    tries = 0
    while await context.read(current) < version:
        pause_s = _POLL_S[min(tries, len(_POLL_S) - 1)]
        if context.process.stop.is_set() or time.monotonic() + pause_s > until:
            return False
        await asyncio.sleep(pause_s)
        tries += 1
    return True
