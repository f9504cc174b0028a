"""The door for PSPs. Invariant: a webhook is verified before anything is done with it, and stored before it is answered.

What it tells becomes a command in another process: infra/inbox.py.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final

import psycopg
from fastapi import APIRouter, Path, Request
from prometheus_client import Counter
from psycopg.types.json import Jsonb
from pydantic import TypeAdapter
from starlette.responses import PlainTextResponse, Response

from gateways.contract import Gateway, Hook, HookKeys, HookRefused, Notice
from infra import clock
from infra.accounts import HookAccount
from infra.api.certificates import Certificates, Unavailable
from infra.api.documented import only_problems
from infra.api.door import door_of, raw_body
from infra.api.problems import Problem
from infra.watched import Watched

router: Final = APIRouter(tags=["webhooks"])

_BODY_BYTES_MAX: Final = 256 * 1024
_ANSWER: Final = "[accepted]"  # Adyen wants it; the others look at the status alone
_EVENT_ID_MAX: Final = 255
_HEADER_MAX: Final = 4000
NOTICE: Final = TypeAdapter(Notice)

TAKEN = Counter("aegispay_webhooks_taken", "Events that PSPs told", ["gateway", "account", "result"])
REFUSED = Counter("aegispay_webhooks_refused", "Webhooks not taken", ["gateway", "account", "reason"])

# One statement: the events of one body are stored together or not at all. Those that are known are not stored again,
# nor is a body that tells nothing new.
_STORE: Final = """
WITH told AS (
    SELECT * FROM unnest(%(event_ids)s::text[], %(notices)s::jsonb[]) AS t (event_id, notice)
), fresh AS (
    SELECT * FROM told
    WHERE NOT EXISTS (SELECT FROM webhooks_in w WHERE (w.account, w.event_id) = (%(account)s, told.event_id))
), delivery AS (
    INSERT INTO webhook_deliveries (account, headers, body)
    SELECT %(account)s, %(headers)s, %(body)b WHERE EXISTS (SELECT FROM fresh)
    ON CONFLICT DO NOTHING RETURNING delivery_id
)
INSERT INTO webhooks_in (gateway, account, event_id, delivery_id, notice)
SELECT %(gateway)s, %(account)s, fresh.event_id, delivery.delivery_id, fresh.notice FROM fresh, delivery
ORDER BY fresh.event_id
ON CONFLICT (account, event_id) DO NOTHING RETURNING event_id
"""


@dataclass(frozen=True, slots=True)
class Webhooks:
    """Of one process."""

    adapters: Mapping[str, Gateway]
    accounts: Watched[dict[str, HookAccount]] | None  # None: no webhooks are taken
    certificates: Certificates

    def account(self, gateway: str, account: str) -> HookAccount:
        """Raises `Problem`, the same for what does not exist and for what takes no webhooks."""
        found = None if self.accounts is None else self.accounts.now().get(account)
        if found is None or found.gateway != gateway:
            REFUSED.labels("unknown", "unknown", "unknown").inc()
            raise Problem("not_found", "no webhooks are taken here")
        return found

    async def read(self, adapter: Gateway, hook: Hook, keys: HookKeys) -> tuple[Notice, ...] | HookRefused:
        """Raises `Unavailable`."""
        url = adapter.certificate_url(hook, keys.options)
        certificate = None if url is None else await self.certificates.of(url)
        return adapter.read_hook(hook, HookKeys(keys.secrets, keys.options, certificate), clock.now())


def webhooks_of(request: Request) -> Webhooks:
    webhooks: Webhooks = request.app.state.webhooks
    return webhooks


_Gateway = Annotated[str, Path(description="The PSP, e.g. stripe")]
_Account = Annotated[str, Path(description="The PSP account, as the accounts' file names it")]


@router.post(
    "/webhooks/{gateway}/{account}",
    summary="What a PSP tells by itself, signed as it signs",
    response_class=PlainTextResponse,
    responses={
        200: {"description": "Stored, now or before", "content": {"text/plain": {"example": _ANSWER}}},
        **only_problems(
            "webhook_unreadable",
            "webhook_refused",
            "not_found",
            "body_too_slow",
            "message_too_large",
            "certificate_unavailable",
            "database_unavailable",
        ),
    },
)
async def told(request: Request, gateway: _Gateway, account: _Account) -> Response:
    """It is believed no further than the PSP's scheme signs it. Where the answer is 503 the PSP sends it again."""
    webhooks = webhooks_of(request)
    keys = webhooks.account(gateway, account).keys
    body = await raw_body(request, _BODY_BYTES_MAX)
    hook = Hook(dict(request.headers), body)
    try:
        read = await webhooks.read(webhooks.adapters[gateway], hook, keys)
    except Unavailable:
        REFUSED.labels(gateway, account, "certificate_unavailable").inc()
        raise Problem("certificate_unavailable", "send it again", headers={"Retry-After": "10"}) from None
    if isinstance(read, HookRefused):
        raise _refused(gateway, account, read.why)
    if not read or not all(0 < len(notice.event_id) <= _EVENT_ID_MAX for notice in read):
        raise _refused(gateway, account, "malformed")
    try:
        stored = await door_of(request).read(lambda conn: _store(conn, gateway, account, hook, read))
    except (psycopg.DataError, UnicodeEncodeError):
        # E.g. NUL, which PostgreSQL's texts cannot hold.
        raise _refused(gateway, account, "malformed") from None
    TAKEN.labels(gateway, account, "stored").inc(stored)
    TAKEN.labels(gateway, account, "repeated").inc(len(read) - stored)
    return PlainTextResponse(_ANSWER)


@router.get(
    "/webhooks/{gateway}/{account}",
    summary="A PSP's own check of the address",
    response_class=PlainTextResponse,
    responses={
        200: {"description": "What it wants to read", "content": {"text/plain": {}}},
        **only_problems("not_found"),
    },
)
async def checked(request: Request, gateway: _Gateway, account: _Account) -> Response:
    webhooks = webhooks_of(request)
    keys = webhooks.account(gateway, account).keys
    answer = webhooks.adapters[gateway].hook_challenge(request.query_params, keys)
    if answer is None:
        raise Problem("not_found", "no webhooks are taken here")
    return PlainTextResponse(answer)


def _refused(gateway: str, account: str, why: str) -> Problem:
    """Says no more than this: which part of it was wrong is for the metric alone."""
    REFUSED.labels(gateway, account, why).inc()
    return Problem("webhook_unreadable" if why == "malformed" else "webhook_refused", None)


async def _store(
    conn: psycopg.AsyncConnection[Any], gateway: str, account: str, hook: Hook, notices: tuple[Notice, ...]
) -> int:
    """How many of them were new."""
    written = await conn.execute(
        _STORE,
        {
            "gateway": gateway,
            "account": account,
            "headers": Jsonb(_evidence(gateway, hook.headers)),
            "body": hook.body,
            "event_ids": [notice.event_id for notice in notices],
            "notices": [
                Jsonb(NOTICE.dump_python(notice, mode="json", exclude_none=True)) for notice in notices
            ],
        },
        prepare=True,
    )
    return len(await written.fetchall())


def _evidence(gateway: str, headers: Mapping[str, str]) -> dict[str, str]:
    """What a signature is checked with, and no credential: only headers of the PSP's own, and two that say what sent it."""
    ours = ("content-type", "user-agent")
    return {
        name: value[:_HEADER_MAX]
        for name, value in headers.items()
        if name in ours or name.startswith((f"{gateway}-", f"x-{gateway}-")) or "signature" in name
    }
