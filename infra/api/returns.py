"""Serves the page to which a customer returns from a challenge. Public: its signed token limits what it may
do.

Invariant: the visit decides nothing. It makes AegisPay query the PSP, or send the step that waits for the
customer, while the operation is open: at most `RETURNS_MAX` (aggregates/merchant_commands.py) visits of one
operation do, however often the page is opened. Visits in one slot of the clock, `_QUERY_EVERY_S` long, that
bring the same parameters count as one. The customer is redirected to the payment's own return page and
nowhere else.
"""

import asyncio
import html
import re
import time
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Annotated, Any, Final
from urllib.parse import urlencode, urlsplit
from uuid import UUID, uuid5

import orjson
import psycopg
from fastapi import APIRouter, Path, Request
from psycopg_pool import PoolTimeout
from starlette.responses import HTMLResponse, RedirectResponse, Response

from aggregates.operation import ENDED, payment_id_of
from commands.card_data import holds_card_data
from commands.client import is_end
from commands.messages import CompleteAction
from commands.reply import Reply
from commands.reply_stream import PendingReply
from commands.sql import statements
from gateways.registry import ADAPTERS
from infra.api import reads
from infra.api.command_bus import Unreachable
from infra.api.deps import ApiContext, by_deadline, context_of
from infra.process import clock
from infra.psp import return_token

router = APIRouter(tags=["customers"])

_SQL: Final = statements(__file__)
_TOKENS: Final = UUID("8f6f3c52-7d1b-5b7e-8a54-2d9f4f1c6a03")
_SETTLED_WITHIN_S: Final = 5.0
_QUERY_EVERY_S: Final = 4.0
"""The length of a slot, s. It is shorter than a visit, so that one that begins just after another's query,
too early, sends its own in the next slot."""
_AT_ONCE_MAX: Final = 200
_RETURNED: Final = re.compile(r"[\x20-\x7e]{1,8000}")
_REMEMBERED_S: Final = 2.0
"""Seconds for which the result of an ended operation is kept for a page that is opened again."""


@dataclass(frozen=True, slots=True)
class _Visit:
    payment_id: UUID
    return_page: str | None
    status: str | None
    ended: bool


class Returns:
    """The visits of one process: one at a time for a token, so that no visitor keeps the others out."""

    def __init__(self, pages: return_token.ReturnPages | None) -> None:
        self._pages = pages
        self._visits: dict[str, asyncio.Task[_Visit]] = {}

    async def visit(self, context: ApiContext, token: str, returned: dict[str, str]) -> _Visit:
        """Follows a challenge to its result. `returned`: the parameters that the PSP's page added. Raises
        `return_token.TokenRefused`, `Busy`, and PostgreSQL's errors."""
        if self._pages is None:
            raise return_token.TokenRefused("forged")
        operation_id = return_token.read(self._pages.key, token, clock.now())
        earlier = self._visits.get(token)
        if earlier is not None and (visit := await asyncio.shield(earlier)).ended:
            return visit
        # An earlier visit without a result may have sent its last query before the customer passed the
        # challenge.
        return await asyncio.shield(
            self._visits.get(token) or self._begun(context, token, operation_id, returned)
        )

    def _begun(
        self, context: ApiContext, token: str, operation_id: str, returned: dict[str, str]
    ) -> asyncio.Task[_Visit]:
        if len(self._visits) >= _AT_ONCE_MAX:
            raise Busy
        visit = self._visits[token] = asyncio.create_task(_followed(context, token, operation_id, returned))

        def forget(done: asyncio.Task[_Visit]) -> None:
            if not done.cancelled() and done.exception() is None and not done.result().ended:
                # Before those who wait for it resume: they begin a new visit.
                del self._visits[token]
            else:
                asyncio.get_running_loop().call_later(_REMEMBERED_S, self._visits.pop, token, None)

        visit.add_done_callback(forget)
        return visit


class Busy(Exception):
    """The process follows too many challenges at once: `_AT_ONCE_MAX`."""


def returns_of(request: Request) -> Returns:
    """Returns what the process set when it started."""
    returns: Returns = request.app.state.returns
    return returns


_PAGES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "A page with the payment's state, where the payment has no return_page",
        "content": {"text/html": {}},
    },
    303: {
        "description": "Redirects to the payment's return_page, with payment_id and status in its query",
        "headers": {"Location": {"description": "The payment's return_page", "schema": {"type": "string"}}},
    },
    400: {"description": "A page: the token is not valid", "content": {"text/html": {}}},
    410: {"description": "A page: the token has expired", "content": {"text/html": {}}},
    503: {"description": "A page: the process is busy, try again", "content": {"text/html": {}}},
}


@router.get(
    "/return/{token}",
    operation_id="returnFromChallenge",
    summary="The page to which a customer returns from a challenge",
    response_class=RedirectResponse,
    status_code=303,
    responses=_PAGES,
)
async def came_back(
    request: Request,
    token: Annotated[str, Path(description="Signed, for one challenge; valid until its end")],
) -> Response:
    """Follows the challenge and redirects the customer, or shows a page of its own."""
    context, returns = context_of(request), returns_of(request)
    try:
        visit = await returns.visit(context, token, _named_by_a_psp(request.query_params))
    except return_token.TokenRefused as refused:
        if refused.reason == "expired":
            return _page(
                410, "This link has expired", "Please go back to the shop to see how your payment stands."
            )
        return _page(400, "This link is not valid", "Please go back to the shop and try again.")
    except (Busy, psycopg.OperationalError, PoolTimeout):
        text = "Your payment is not lost. Please load this page again in a few seconds."
        return _page(503, "One moment, please", text, {"Retry-After": "2"})
    if visit.return_page is None:
        return _page(200, *_TEXTS.get(visit.status or "", _UNDER_WAY))
    return RedirectResponse(_with_status(visit), 303)


@router.post(
    "/return/{token}",
    operation_id="returnFromChallengeByForm",
    summary="The same page, for a PSP that sends the customer back with a form",
    response_class=RedirectResponse,
    status_code=303,
    responses=_PAGES,
)
async def came_back_with_a_form(
    request: Request,
    token: Annotated[str, Path(description="Signed, for one challenge; valid until its end")],
) -> Response:
    """Does the same. The form is not read, since nothing in it is believed: the PSP is queried."""
    return await came_back(request, token)


def _named_by_a_psp(query: Mapping[str, str]) -> dict[str, str]:
    """Returns the query parameters that a PSP's next step needs, where their values could be a PSP's."""
    names = {name for gateway in ADAPTERS.values() for name in gateway.facts.returned}
    return {name: query[name] for name in sorted(names) if _is_passed_on(query.get(name, ""))}


def _is_passed_on(value: str) -> bool:
    return _RETURNED.fullmatch(value) is not None and not holds_card_data(value)


async def _followed(context: ApiContext, token: str, operation_id: str, returned: dict[str, str]) -> _Visit:
    id_ = payment_id_of(operation_id)
    requested, state = await context.read(lambda conn: _requested(conn, id_, operation_id))
    merchant_id = requested["merchant_id"]
    status, ended = None, state in ENDED
    if not ended:
        begin = time.monotonic()
        # The first command may be an earlier visit's, from before the customer passed the challenge.
        for within_s in (min(_QUERY_EVERY_S, _SETTLED_WITHIN_S), _SETTLED_WITHIN_S):
            command = _command(token, id_, merchant_id, operation_id, returned)
            with context.bus.replies.expect(command) as pending:
                status = await by_deadline(begin + within_s, _result(context, command, pending))
            if status is not None:
                ended = True
                break
    if status is None and (shown := await reads.shown(context, id_, merchant_id)) is not None:
        status = shown["status"]
    return _Visit(id_, requested["return_page"], status, ended)


def _command(
    token: str, payment_id: UUID, merchant_id: str, operation_id: str, returned: dict[str, str]
) -> CompleteAction:
    """Builds the same command in whichever process the visit arrives, within one slot and with the same
    `returned`."""
    slot = int(clock.now().timestamp() // _QUERY_EVERY_S)
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
    """Returns the payment's first event, and its operation's state in the read model; None: not there yet."""
    # The event store is never behind. The read model may be: then a query is sent that was not needed.
    row = await (await conn.execute(_SQL["requested"], (operation_id, payment_id))).fetchone()
    assert row is not None, "a token of ours names its operation"
    content: dict[str, Any] = orjson.loads(row[0])
    return content, row[1]


async def _result(context: ApiContext, command: CompleteAction, pending: PendingReply) -> str | None:
    try:
        await context.bus.send(command, ())
    except Unreachable:
        return None  # a timer queries the PSP anyway
    decided = await pending.decision
    if decided is None:
        return None
    last = decided if _has_ended(decided) else await pending.until(_has_ended)
    return None if last is None else last.status


def _has_ended(reply: Reply) -> bool:
    """True if the operation ended; also for a refused command, since it had ended before."""
    return reply.result == "refused" or is_end(reply, reply)


def _with_status(visit: _Visit) -> str:
    assert visit.return_page is not None
    page = urlsplit(visit.return_page)
    parameters = {"payment_id": str(visit.payment_id)} | ({"status": visit.status} if visit.status else {})
    query = "&".join(filter(None, (page.query, urlencode(parameters))))
    return page._replace(query=query).geturl()


_UNDER_WAY: Final = ("Thank you", "Your payment is being checked. The shop will tell you how it ended.")
_TEXTS: Final = {
    **dict.fromkeys(
        ("AUTHORIZED", "CAPTURED", "PARTIALLY_CAPTURED"),
        ("Thank you", "Your payment went through. You may close this page."),
    ),
    **dict.fromkeys(
        ("FAILED", "EXPIRED", "VOIDED", "REJECTED"),
        ("The payment did not go through", "You have not been charged. Please go back to the shop."),
    ),
}


# Readable on a phone, in light and dark mode.
_STYLE: Final = (
    ":root{color-scheme:light dark}"
    "body{font:1.125rem/1.5 system-ui,sans-serif;color:#1b1b1f;background:#fff;max-width:30rem;margin:0 auto;"
    "padding:15vh 1.5rem 2rem;overflow-wrap:anywhere}"
    "h1{font-size:1.625rem;line-height:1.25;margin:0 0 1rem}p{margin:0}"
    "@media(prefers-color-scheme:dark){body{color:#ececf1;background:#17171b}}"
)


_PAGE_HEADERS: Final = {
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; "
    f"style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'",
}


def _page(status: int, title: str, text: str, headers: dict[str, str] | None = None) -> Response:
    title, text = html.escape(title), html.escape(text)
    content = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style><h1>{title}</h1><p>{text}</p></html>"
    )
    return HTMLResponse(content, status, (headers or {}) | _PAGE_HEADERS)
