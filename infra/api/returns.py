"""The page to which a customer comes back from a challenge. Public: what it may do stands in its signed token.

Invariant: nothing is decided by the visit. The PSP is asked how the challenge went, at most once in `_ASKED_EVERY_S` for
each token however often the page is opened, and not after its operation has ended; and the customer is sent on to the
payment's own return page and nowhere else.
"""

import asyncio
import html
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final
from urllib.parse import urlencode, urlsplit
from uuid import UUID, uuid5

import orjson
import psycopg
from fastapi import APIRouter, Path, Request
from psycopg_pool import PoolTimeout
from starlette.responses import HTMLResponse, RedirectResponse, Response

from aggregates.operation import ENDED, payment_id_of
from commands.client import is_end
from commands.messages import CompleteAction, Reply
from infra import clock, return_token
from infra.adapters import ADAPTERS
from infra.api import reads, sending
from infra.api.bus import Expected, Unreachable
from infra.api.door import Door, door_of

router = APIRouter(tags=["customers"])

_TOKENS: Final = UUID("8f6f3c52-7d1b-5b7e-8a54-2d9f4f1c6a03")
_SETTLED_WITHIN_S: Final = 5.0
_ASKED_EVERY_S: Final = 4.0
"""Less than a visit takes: one that came just after another, which had been too early, asks and is told before it ends."""
_AT_ONCE_MAX: Final = 200
_RETURNED: Final = re.compile(r"[\x20-\x7e]{1,8000}")
_REMEMBERED_S: Final = 2.0
"""A page that is opened again sooner, after the end, gets the same answer."""
_ASKED_FOR: Final = """
    SELECT e.state, o.state FROM payment_events e LEFT JOIN operations o ON o.operation_id = %s
    WHERE e.originator_id = %s AND e.originator_version = 1
"""


@dataclass(frozen=True, slots=True)
class _Visit:
    payment_id: UUID
    return_page: str | None
    status: str | None
    ended: bool


class Returns:
    """Of one process. Each token is followed once at a time, so that no visitor can keep the others out."""

    def __init__(self, pages: return_token.ReturnPages | None) -> None:
        self._pages = pages
        self._visits: dict[str, asyncio.Task[_Visit]] = {}

    async def visit(self, door: Door, token: str, returned: dict[str, str]) -> _Visit:
        """`returned`: what the PSP's page added. Raises `return_token.Refused`, `Busy`, and PostgreSQL's errors."""
        if self._pages is None:
            raise return_token.Refused("forged")
        operation_id = return_token.read(self._pages.key, token, clock.now())
        earlier = self._visits.get(token)
        if earlier is not None and (visit := await asyncio.shield(earlier)).ended:
            return visit
        # An earlier one without an end may have asked for the last time before this customer passed the challenge.
        return await asyncio.shield(
            self._visits.get(token) or self._begun(door, token, operation_id, returned)
        )

    def _begun(
        self, door: Door, token: str, operation_id: str, returned: dict[str, str]
    ) -> asyncio.Task[_Visit]:
        if len(self._visits) >= _AT_ONCE_MAX:
            raise Busy
        visit = self._visits[token] = asyncio.create_task(_followed(door, token, operation_id, returned))

        def forget(done: asyncio.Task[_Visit]) -> None:
            if not done.cancelled() and done.exception() is None and not done.result().ended:
                # Before those who wait for it go on: they begin another.
                del self._visits[token]
            else:
                asyncio.get_running_loop().call_later(_REMEMBERED_S, self._visits.pop, token, None)

        visit.add_done_callback(forget)
        return visit


class Busy(Exception):
    """Too many customers at once."""


def returns_of(request: Request) -> Returns:
    returns: Returns = request.app.state.returns
    return returns


@router.get(
    "/return/{token}",
    summary="Where a customer comes back from a challenge",
    response_class=HTMLResponse,
    status_code=303,
    responses={
        200: {"description": "A page that says how the payment stands, where the shop has none of its own"},
        303: {"description": "On to the payment's return_page, with payment_id and status in its query"},
        400: {"description": "A page: the address is not one of ours", "content": {"text/html": {}}},
        410: {"description": "A page: the time for it is over", "content": {"text/html": {}}},
        503: {"description": "A page: try again", "content": {"text/html": {}}},
    },
)
async def came_back(
    request: Request, token: Annotated[str, Path(description="Signed; of one challenge, until its end")]
) -> Response:
    door, returns = door_of(request), returns_of(request)
    try:
        visit = await returns.visit(door, token, _named_by_a_psp(request.query_params))
    except return_token.Refused as refused:
        if refused.reason == "expired":
            return _page(
                410, "This link has expired", "Please go back to the shop to see how your payment stands."
            )
        return _page(400, "This link is not valid", "Please go back to the shop and try again.")
    except (Busy, psycopg.OperationalError, PoolTimeout):
        text = "Your payment is not lost. Please load this page again in a few seconds."
        return _page(503, "One moment, please", text, {"Retry-After": "2"})
    if visit.return_page is None:
        return _page(200, *_WORDS.get(visit.status or "", _UNDER_WAY))
    return RedirectResponse(_with_status(visit), 303)


@router.post("/return/{token}", summary="The same, for a PSP that sends the customer back with a form")
async def came_back_with_a_form(
    request: Request, token: Annotated[str, Path(description="Signed; of one challenge, until its end")]
) -> Response:
    """Nothing in the form is believed, so it is not read: the PSP is asked."""
    return await came_back(request, token)


def _named_by_a_psp(query: Mapping[str, str]) -> dict[str, str]:
    """Those parameters that a PSP's next step needs, where they could be a PSP's."""
    names = {name for gateway in ADAPTERS.values() for name in gateway.facts.returned}
    return {name: query[name] for name in sorted(names) if _RETURNED.fullmatch(query.get(name, ""))}


async def _followed(door: Door, token: str, operation_id: str, returned: dict[str, str]) -> _Visit:
    id_ = payment_id_of(operation_id)
    requested, state = await door.read(lambda conn: _requested(conn, id_, operation_id))
    merchant_id = requested["merchant_id"]
    status, ended = None, state in ENDED
    if not ended:
        begin = time.monotonic()
        # The first question may be that of an earlier visit, from before the customer passed the challenge.
        for within_s in (min(_ASKED_EVERY_S, _SETTLED_WITHIN_S), _SETTLED_WITHIN_S):
            question = _question(token, id_, merchant_id, operation_id, returned)
            with door.bus.expect(question) as expected:
                status = await sending.before(begin + within_s, _asked(door, question, expected))
            if status is not None:
                ended = True
                break
    if status is None and (shown := await reads.shown(door, id_, merchant_id)) is not None:
        status = shown["status"]
    return _Visit(id_, requested["return_page"], status, ended)


def _question(
    token: str, payment_id: UUID, merchant_id: str, operation_id: str, returned: dict[str, str]
) -> CompleteAction:
    """The same, whichever process the visit came to, for `_ASKED_EVERY_S`."""
    slot = int(clock.now().timestamp() // _ASKED_EVERY_S)
    return CompleteAction(
        command_id=uuid5(_TOKENS, f"{token} {slot} {sorted(returned.items())}"),
        payment_id=payment_id,
        merchant_id=merchant_id,
        operation_id=operation_id,
        returned=returned,
    )


async def _requested(
    conn: psycopg.AsyncConnection, payment_id: UUID, operation_id: str
) -> tuple[dict[str, Any], str | None]:
    """What was asked for, and the operation's state as the read model has it: None where it has none yet."""
    # What never changes is not from the read models, which may be behind. Where the state is, it is asked in vain.
    row = await (await conn.execute(_ASKED_FOR, (operation_id, payment_id))).fetchone()
    assert row is not None, "its operation is named in a token of ours"
    content: dict[str, Any] = orjson.loads(row[0])
    return content, row[1]


async def _asked(door: Door, command: CompleteAction, expected: Expected) -> str | None:
    try:
        await door.bus.send(command, ())
    except Unreachable:
        return None  # it is asked for all the same, when its timer is due
    decided = await expected.answer()
    if decided is None:
        return None
    last = decided if _over(decided) else await expected.until(_over)
    return None if last is None else last.status


def _over(reply: Reply) -> bool:
    """Refused too: then it has ended before."""
    return reply.result == "refused" or is_end(reply, reply)


def _with_status(visit: _Visit) -> str:
    assert visit.return_page is not None
    page = urlsplit(visit.return_page)
    told = {"payment_id": str(visit.payment_id)} | ({"status": visit.status} if visit.status else {})
    query = "&".join(filter(None, (page.query, urlencode(told))))
    return page._replace(query=query).geturl()


_UNDER_WAY: Final = ("Thank you", "Your payment is being checked. The shop will tell you how it ended.")
_WORDS: Final = {
    **dict.fromkeys(
        ("AUTHORIZED", "CAPTURED", "PARTIALLY_CAPTURED"),
        ("Thank you", "Your payment went through. You may close this page."),
    ),
    **dict.fromkeys(
        ("FAILED", "EXPIRED", "VOIDED", "REJECTED"),
        ("The payment did not go through", "You have not been charged. Please go back to the shop."),
    ),
}


def _page(status: int, title: str, text: str, headers: dict[str, str] | None = None) -> Response:
    title, text = html.escape(title), html.escape(text)
    content = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        f'<meta name="viewport" content="width=device-width"><h1>{title}</h1><p>{text}</p></html>'
    )
    return HTMLResponse(content, status, (headers or {}) | {"Referrer-Policy": "no-referrer"})
