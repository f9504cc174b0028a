"""Receives PSPs' webhooks.

Invariant: a webhook is verified before anything is done with it, and stored before it is acknowledged.
Another process turns it into a command: infra/workers/inbox.py.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Final

import psycopg
import structlog
from fastapi import APIRouter, Path, Request
from prometheus_client import Counter
from psycopg.types.json import Jsonb
from starlette.responses import PlainTextResponse, Response

from commands import notices
from commands.notices import Notice
from commands.sql import statements
from gateways.contract import (
    ChecksAddress,
    Confirms,
    Gateway,
    NamesIssuer,
    SignsWithCertificate,
    Webhook,
    WebhookKeys,
    WebhookRefused,
)
from infra.api.deps import context_of, raw_body
from infra.api.openapi import only_problems
from infra.api.problems import Problem
from infra.process import clock
from infra.process.reloading import Watched
from infra.psp.accounts import WebhookAccount
from infra.psp.certificates import Certificates, Unavailable

router: Final = APIRouter(tags=["webhooks"])

_BODY_BYTES_MAX: Final = 1024 * 1024  # an invoice with all its lines has some hundred kB
_ACKNOWLEDGEMENT: Final = "[accepted]"  # Adyen requires it; the others read only the status
_EVENT_ID_MAX: Final = 255
_HEADER_MAX: Final = 4000
_SQL: Final = statements(__file__)
_log: Any = structlog.get_logger(api="webhooks")

TAKEN = Counter("aegispay_webhooks_taken", "Events in webhooks of PSPs", ["gateway", "account", "result"])
REFUSED = Counter("aegispay_webhooks_refused", "Webhooks refused", ["gateway", "account", "reason"])


@dataclass(frozen=True, slots=True)
class Webhooks:
    """The adapters, accounts and certificates with which this process verifies webhooks."""

    adapters: Mapping[str, Gateway]
    accounts: Watched[dict[str, WebhookAccount]] | None  # None: no webhooks are received
    certificates: Certificates

    def account(self, gateway: str, account: str) -> WebhookAccount:
        """Returns the account. Raises the same `Problem` for an unknown one and one without webhooks."""
        found = None if self.accounts is None else self.accounts.now().get(account)
        if found is None or found.gateway != gateway:
            REFUSED.labels("unknown", "unknown", "unknown").inc()
            raise Problem("not_found", "no webhooks are received here")
        return found

    async def read(
        self, adapter: Gateway, webhook: Webhook, keys: WebhookKeys
    ) -> tuple[Notice, ...] | WebhookRefused:
        """Verifies and reads a webhook, by the PSP's certificate if it has one. Raises `Unavailable`."""
        url = None
        if isinstance(adapter, SignsWithCertificate):
            url = adapter.certificate_url(webhook, keys.options)
        now = clock.now()
        certificate = None if url is None else await self.certificates.of(url)
        if certificate is not None and isinstance(adapter, NamesIssuer):
            issuer = adapter.issuer_url(certificate, keys.options, now)
            if issuer is not None:
                certificate += b"\n" + await self.certificates.of(issuer)
        return adapter.read_webhook(webhook, WebhookKeys(keys.secrets, keys.options, certificate), now)


def webhooks_of(request: Request) -> Webhooks:
    """Returns what the process set when it started."""
    webhooks: Webhooks = request.app.state.webhooks
    return webhooks


_Gateway = Annotated[str, Path(description="The PSP, e.g. stripe")]
_Account = Annotated[str, Path(description="The PSP account, as the accounts file names it")]


@router.post(
    "/webhooks/{gateway}/{account}",
    operation_id="receiveWebhook",
    summary="Receive a PSP's webhook, signed by the PSP's scheme",
    response_class=PlainTextResponse,
    responses={
        200: {
            "description": "Stored, now or earlier, or not needed",
            "content": {"text/plain": {"example": _ACKNOWLEDGEMENT}},
        },
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
async def receive(request: Request, gateway: _Gateway, account: _Account) -> Response:
    """Stores the events of a verified webhook. Only what the PSP's scheme signs is believed. After a 503 the
    PSP sends the webhook again."""
    webhooks = webhooks_of(request)
    keys = webhooks.account(gateway, account).keys
    body = await raw_body(request, _BODY_BYTES_MAX)
    webhook = Webhook(dict(request.headers), body)
    try:
        read = await webhooks.read(webhooks.adapters[gateway], webhook, keys)
    except Unavailable:
        REFUSED.labels(gateway, account, "certificate_unavailable").inc()
        raise Problem("certificate_unavailable", "send it again", headers={"Retry-After": "10"}) from None
    if isinstance(read, WebhookRefused):
        raise _refused(gateway, account, read.reason)
    if not all(0 < len(notice.event_id) <= _EVENT_ID_MAX for notice in read):
        raise _refused(gateway, account, "malformed")
    counting = [notice for notice in read if notice.is_reportable]
    adapter = webhooks.adapters[gateway]
    try:
        if isinstance(adapter, Confirms):
            transmission = adapter.transmission(webhook)
            if transmission is None:
                raise _refused(gateway, account, "malformed")
            if not await context_of(request).read(
                lambda conn: _is_its_body(conn, account, transmission, body)
            ):
                _log.error("a second body under one signed transmission", gateway=gateway, account=account)
                raise _refused(gateway, account, "second_body")
        stored = 0
        if counting:
            stored = await context_of(request).read(
                lambda conn: _store(conn, gateway, account, webhook, counting)
            )
    except (psycopg.DataError, UnicodeEncodeError):
        # NUL, for one, which PostgreSQL's text cannot hold.
        raise _refused(gateway, account, "malformed") from None
    TAKEN.labels(gateway, account, "stored").inc(stored)
    TAKEN.labels(gateway, account, "repeated").inc(len(counting) - stored)
    TAKEN.labels(gateway, account, "nothing").inc(len(read) - len(counting) or int(not read))
    return PlainTextResponse(_ACKNOWLEDGEMENT)


@router.get(
    "/webhooks/{gateway}/{account}",
    operation_id="checkWebhookAddress",
    summary="A PSP's check of the webhook address",
    response_class=PlainTextResponse,
    responses={
        200: {"description": "The response that the PSP expects", "content": {"text/plain": {}}},
        **only_problems("not_found"),
    },
)
async def check_address(request: Request, gateway: _Gateway, account: _Account) -> Response:
    """Responds to the challenge in the query, for a PSP that checks an address before it uses it."""
    webhooks = webhooks_of(request)
    keys = webhooks.account(gateway, account).keys
    adapter = webhooks.adapters[gateway]
    response = None
    if isinstance(adapter, ChecksAddress):
        response = adapter.webhook_challenge(request.query_params, keys)
    if response is None:
        raise Problem("not_found", "no webhooks are received here")
    return PlainTextResponse(response)


def _refused(gateway: str, account: str, reason: str) -> Problem:
    """Returns a problem without the reason, which only the metric has: a forger learns nothing."""
    REFUSED.labels(gateway, account, reason).inc()
    return Problem("webhook_unreadable" if reason == "malformed" else "webhook_refused", None)


async def _store(
    conn: psycopg.AsyncConnection[Any],
    gateway: str,
    account: str,
    webhook: Webhook,
    received: Sequence[Notice],
) -> int:
    """Returns how many events were new. Known ones that awaited an operator are matched again: their payment
    may exist by now."""
    written = await conn.execute(
        _SQL["store"],
        {
            "gateway": gateway,
            "account": account,
            "headers": Jsonb(_evidence(gateway, webhook.headers)),
            "body": webhook.body,
            "event_ids": [notice.event_id for notice in received],
            "notices": [Jsonb(notices.dump(notice)) for notice in received],
        },
        prepare=True,
    )
    fresh = {event_id for (event_id,) in await written.fetchall()}
    if known := [notice.event_id for notice in received if notice.event_id not in fresh]:
        await conn.execute(_SQL["received_again"], {"account": account, "event_ids": known}, prepare=True)
    return len(fresh)


async def _is_its_body(
    conn: psycopg.AsyncConnection[Any], account: str, transmission: str, body: bytes
) -> bool:
    """True if the body is the first one that arrived under this transmission id, or equal to it."""
    values = {"account": account, "transmission": transmission, "body": body}
    await conn.execute(_SQL["bind"], values, prepare=True)
    found = await (await conn.execute(_SQL["is_bound"], values, prepare=True)).fetchone()
    return found is not None and bool(found[0])


def _evidence(gateway: str, headers: Mapping[str, str]) -> dict[str, str]:
    """Returns the headers to keep as evidence: the PSP's own and two on the sender, no credentials."""
    ours = ("content-type", "user-agent")
    return {
        name: value[:_HEADER_MAX]
        for name, value in headers.items()
        if name in ours or name.startswith((f"{gateway}-", f"x-{gateway}-")) or "signature" in name
    }
