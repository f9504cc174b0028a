"""A shop's checkout and back office, over Kafka or HTTP, and a customer at the bank's challenge page."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any, Final
from uuid import UUID

import aiohttp
from yarl import URL

from commands.client import ENDED, SETTLED, Client, NoReply, NotSettled, Refused
from commands.reply import Reply
from infra.tools.traffic.lifecycles import OrderLifecycle, Step

PATIENCE_S: Final = 120.0
"""A lost response is noticed after 10 s, and a PSP whose first look is of no use is queried 30 s after it: a
slow machine needs some time beside them."""
REPLY_WITHIN_S: Final = 15.0
"""The time that one try has, of several."""
_AGAIN_AFTER_S: Final = 0.25
_LATER: Final = frozenset({429, 503})
_REDIRECTS: Final = frozenset({301, 302, 303})
_REDIRECTS_MAX: Final = 10
_PATHS: Final = {"capture": "captures", "void": "voids", "refund": "refunds"}


class Stopped(Exception):
    """Raised for a lifecycle that does not go on. Its text shows how far it came."""


class Late(Exception):
    """Raised for a lifecycle that had not ended when the shop's patience did: a busy machine is enough for
    that."""


@dataclass(frozen=True, slots=True)
class Checkout:
    """Plays lifecycles against a running stack."""

    client: Client
    http: aiohttp.ClientSession

    async def serve(self, life: OrderLifecycle, *, by_http: bool) -> str:
        """Returns the payment's status after the last step, or where it stopped before. Raises `Late`."""
        try:
            payment_id, status = await (self._by_http(life) if by_http else self._by_kafka(life))
            for number, step in enumerate(life.steps, 1):
                if step.verb == "challenge":
                    status = await self._challenged(payment_id, status)
                else:
                    key = f"{life.order.idempotency_key}-{number}"
                    change = self._change_by_http if by_http else self._change_by_kafka
                    status = await change(payment_id, step, key)
        except Stopped as stopped:
            return str(stopped)
        except Refused as refused:
            return f"refused: {refused.code}"
        except NoReply:
            raise Late("no reply") from None
        except NotSettled as late:
            raise Late(f"still {late.status}") from None
        if status not in SETTLED:
            raise Late(f"still {status}")
        return status

    async def _by_kafka(self, life: OrderLifecycle) -> tuple[UUID, str]:
        reply = await _repeated(
            lambda: self.client.pay(
                timeout_s=PATIENCE_S,
                idempotency_key=life.order.idempotency_key,
                capture=life.capture,
                **life.order.content,
            )
        )
        assert reply.payment_id is not None, "an accepted reply names its payment"
        return reply.payment_id, str(reply.status)

    async def _by_http(self, life: OrderLifecycle) -> tuple[UUID, str]:
        headers = {"Idempotency-Key": life.order.idempotency_key, "Prefer": "wait=5"}
        body = life.order.content | {"capture": life.capture}
        payment = await self._post("/v1/payments", body, headers)
        payment_id = UUID(payment["payment_id"])
        shown = await self._shown(payment_id, SETTLED, payment)
        return payment_id, str(shown.get("status"))

    async def _change_by_kafka(self, payment_id: UUID, step: Step, key: str) -> str:
        async def decided() -> Reply:
            match step.verb:
                case "capture":
                    return await self.client.capture(
                        payment_id, idempotency_key=key, amount_minor=step.amount_minor
                    )
                case "void":
                    return await self.client.void(payment_id, idempotency_key=key)
                case _:
                    return await self.client.refund(
                        payment_id, idempotency_key=key, amount_minor=step.amount_minor
                    )

        return _approved(step, await self.client.wait(await _repeated(decided), PATIENCE_S))

    async def _change_by_http(self, payment_id: UUID, step: Step, key: str) -> str:
        headers = {"Idempotency-Key": key, "Prefer": "wait=5"}
        body = {} if step.amount_minor is None else {"amount_minor": step.amount_minor}
        until = time.monotonic() + PATIENCE_S
        while True:
            # The same key again: the command that it named gets its first decision again, and is not executed
            # twice.
            decided = await self._post(f"/v1/payments/{payment_id}/{_PATHS[step.verb]}", body, headers)
            if decided.get("operation_state") in ENDED:
                break
            if time.monotonic() > until:
                raise Late(f"the {step.verb} is still {decided.get('operation_state')}")
        if decided["operation_state"] != "APPROVED":
            raise Stopped(f"the {step.verb} ended as {decided['operation_state']}")
        return str(decided["status"])

    async def _challenged(self, payment_id: UUID, status: str) -> str:
        """Acts as a browser does: loads the bank's page, presses its button, and follows wherever that
        leads, back to the shop."""
        if status != "REQUIRES_ACTION":
            raise Stopped(f"no challenge: {status}")
        payment = await self._shown(payment_id, {"REQUIRES_ACTION"}, {})
        if not payment.get("action_url"):
            raise Stopped("a challenge without a page")
        # A session of its own: the bank must not get the shop's API key.
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_S)) as browser:
            status_code, came_back = await _pass(browser, payment["action_url"])
            if status_code != 200 or not came_back:
                raise Stopped(f"the way back from the challenge ended with HTTP {status_code}")
        shown = await self._shown(payment_id, SETTLED - {"REQUIRES_ACTION"}, {})
        return str(shown.get("status"))

    async def _post(self, path: str, body: dict[str, Any], headers: dict[str, str]) -> dict[str, Any]:
        response = await _patiently(lambda: self.http.post(path, json=body, headers=headers))
        if response.status in _LATER:
            raise Late(f"HTTP {response.status} for {path.rpartition('/')[2]}")
        if response.status not in {200, 201, 202}:
            raise Stopped(f"HTTP {response.status} for {path.rpartition('/')[2]}")
        content: dict[str, Any] = await response.json()
        return content

    async def _shown(
        self, payment_id: UUID, statuses: set[str] | frozenset[str], payment: dict[str, Any]
    ) -> dict[str, Any]:
        """Returns the payment as the query API shows it once it has one of these statuses, or when the
        patience ended."""
        until = time.monotonic() + PATIENCE_S
        while payment.get("status") not in statuses and time.monotonic() < until:
            response = await _patiently(lambda: self.http.get(f"/v1/payments/{payment_id}"))
            # 404: the read model has not seen it yet.
            payment = payment | (await response.json() if response.status == 200 else {})
            if payment.get("status") not in statuses:
                await asyncio.sleep(_AGAIN_AFTER_S)
        return payment


async def _pass(browser: aiohttp.ClientSession, url: str) -> tuple[int, bool]:
    """Passes the challenge at this address and follows its response, by a redirect or by a form that a
    script would post. Returns the last status code, and whether it led anywhere."""
    page = await _patiently(lambda: browser.post(url, data={"result": "pass"}, allow_redirects=False))
    form = _posts_itself(await page.text()) if page.status not in _REDIRECTS else None
    came_back = form is not None or page.status in _REDIRECTS
    if form is not None:
        action, fields = form
        page = await _patiently(lambda: browser.post(action, data=fields, allow_redirects=False))
    # One by one: a page that is not there for the moment is loaded again, without a second response to the
    # bank's.
    for _ in range(_REDIRECTS_MAX):
        if page.status not in _REDIRECTS:
            break
        to = page.url.join(URL(page.headers["Location"]))
        page = await _patiently(lambda to=to: browser.get(to, allow_redirects=False))  # type: ignore[misc]
    return page.status, came_back


async def _patiently(
    send: Callable[[], AbstractAsyncContextManager[aiohttp.ClientResponse]],
) -> aiohttp.ClientResponse:
    """Sends until the response is no 429 or 503, or the patience ends, and returns it read. Only for
    requests that may be sent twice. Raises `Late`."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            async with send() as response:
                await response.read()
        except (aiohttp.ClientError, TimeoutError, OSError) as lost:
            if time.monotonic() > until:
                raise Late(f"no response by HTTP: {type(lost).__name__}") from lost
            pause_s = _AGAIN_AFTER_S
        else:
            if response.status not in _LATER or time.monotonic() > until:
                return response
            after = response.headers.get("Retry-After", "")
            pause_s = float(after) if after.isdecimal() else _AGAIN_AFTER_S
        await asyncio.sleep(pause_s)


async def _repeated(send: Callable[[], Awaitable[Reply]]) -> Reply:
    """Sends a command again, with its key, until a reply comes or the patience ends. Raises `NoReply`."""
    until = time.monotonic() + PATIENCE_S
    while True:
        try:
            return await send()
        except NoReply:
            if time.monotonic() > until:
                raise


class _Form(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.action: str | None = None
        self.fields: dict[str, str] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "form":
            self.action = attributes.get("action")
        elif tag == "input" and attributes.get("name"):
            self.fields[str(attributes["name"])] = attributes.get("value") or ""


def _posts_itself(page: str) -> tuple[str, dict[str, str]] | None:
    form = _Form()
    form.feed(page)
    return None if form.action is None else (form.action, form.fields)


def _approved(step: Step, ended: Reply) -> str:
    if ended.operation_state != "APPROVED":
        raise Stopped(f"the {step.verb} ended as {ended.operation_state}")
    return str(ended.status)
