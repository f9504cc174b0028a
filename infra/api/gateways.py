"""Serves the health of the merchant's PSP accounts, and its history.

Invariant: a merchant sees the accounts that the settings give it, and no other. Of an account that several
merchants use, the figures are of all of them.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Final

import psycopg
from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from aggregates.routing.accounts import PspAccount
from aggregates.routing.health import is_fresh
from commands.health_records import HealthRecord, SegmentRecord
from infra.api import openapi, schemas_gateways
from infra.api.deps import ApiContext, Reader, context_of, json_response
from infra.api.problems import Problem
from infra.process import clock
from projections import gateway_history

router = APIRouter(prefix="/v1", tags=["gateways"])

Account = Annotated[
    str, Path(max_length=64, pattern=r"^[A-Za-z0-9._:-]+$", examples=["stripe-eu"], description="Its name")
]
_COUNTS: Final = ("approved", "declined", "failed", "unknown")


@router.get(
    "/gateways",
    operation_id="listGateways",
    summary="The health of the merchant's PSP accounts",
    response_model=schemas_gateways.Gateways,
    responses=openapi.problems("accounts_unknown"),
)
async def gateways(request: Request, principal: Reader) -> Response:
    """Returns each account of the merchant, in the order of the settings."""
    context = context_of(request)
    known, now = context.health(), clock.now()
    accounts = _accounts(context, principal.merchant_id)
    return json_response({"gateways": [shown(one, known.get(one.account), now) for one in accounts]})


@router.get(
    "/gateways/{account}/history",
    operation_id="listGatewayHistory",
    summary="An account by the minute, and the changes of its circuits; 90 days",
    response_model=schemas_gateways.GatewayHistory,
    responses=openapi.problems("accounts_unknown", "account_not_found"),
)
async def history(
    request: Request,
    account: Account,
    principal: Reader,
    *,
    segment: Annotated[
        str,
        Query(
            max_length=64,
            pattern=r"^([a-z_]+(/[a-z0-9_]+)?)?$",
            description="Such as `sale` or `sale/card`; empty: the whole account. Narrower ones are not kept",
        ),
    ] = "",
    limit: Annotated[int, Query(ge=1, le=gateway_history.PAGE_MAX, description="Minutes")] = 60,
    before: Annotated[
        datetime | None,
        Query(description="`next_before` of the previous page, or any time with its offset; default: now"),
    ] = None,
) -> Response:
    """Returns a page of minutes, the newest first; a minute without a transaction is left out."""
    context = context_of(request)
    if account not in {one.account for one in _accounts(context, principal.merchant_id)}:
        raise Problem("account_not_found", "the merchant has no such PSP account")
    if before is not None and before.tzinfo is None:
        raise Problem("request_invalid", "write the time with its offset from UTC", path="before")
    until = before or clock.now()

    async def query(conn: psycopg.AsyncConnection) -> Any:
        return await gateway_history.page(conn, account, segment, until, limit)

    minutes, changes, following = await context.read(query)
    content = {
        "account": account,
        "segment": segment,
        "minutes": minutes,
        "circuit_changes": changes,
        "next_before": following,
    }
    return json_response(content)


def _accounts(context: ApiContext, merchant_id: str) -> Sequence[PspAccount]:
    """Raises `Problem` where the API was started without the accounts."""
    if context.accounts is None:
        raise Problem("accounts_unknown", "the API was started without AEGISPAY_ACCOUNTS_FILE")
    return context.accounts.now().of_merchant(merchant_id)


def shown(account: PspAccount, record: HealthRecord | None, now: datetime) -> dict[str, Any]:
    """Returns the account as callers see it. Health that is older than 30 s is shown with its age, and counts
    as no information for routing."""
    named: dict[str, Any] = {"account": account.account, "gateway": account.gateway}
    if record is None:
        return named | {"health": "unknown", "as_of": None, "circuits": [], "segments": [], "figures": None}
    segments = dict(record.segments)
    whole = segments.pop("", None)
    return named | {
        "health": "known" if is_fresh(record.as_of, now) else "stale",
        "as_of": record.as_of,
        "circuits": [{"kind": kind} | one.model_dump() for kind, one in sorted(record.circuits.items())],
        "figures": None if whole is None else figures(whole),
        "segments": [{"segment": name} | figures(one) for name, one in sorted(segments.items())],
    }


def figures(segment: SegmentRecord) -> dict[str, Any]:
    """Returns the figures of a segment with the rates that people read. None: nothing to divide by."""
    transactions = sum(getattr(segment, name) for name in _COUNTS)
    return segment.model_dump() | {
        "transactions": transactions,
        "approval_rate": _rate(segment.approved, segment.approved + segment.declined),
        "error_rate": _rate(segment.failed, transactions),
        "unknown_rate": _rate(segment.unknown, transactions),
    }


def _rate(part: int, whole: int) -> float | None:
    return round(part / whole, 4) if whole else None
