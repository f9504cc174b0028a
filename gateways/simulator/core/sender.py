"""Posts webhooks: each at least once, until the receiver takes it or the tries are over."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import structlog

from gateways.simulator.core import metrics, webhooks
from gateways.simulator.core.accounts import Account, Accounts
from gateways.simulator.core.ledger import Ledger
from gateways.simulator.core.psp import Dialect
from gateways.simulator.core.rows import Webhook

FIRST_GAP_S: Final = 0.5
TRIES: Final = 10
_AT_ONCE: Final = 32
_REPLY_WITHIN_S: Final = 10.0
_AGAIN_AFTER_S: Final = 0.2  # of one that is to come twice
_FIRST_WITHIN_S: Final = 5.0  # a response waits no longer for its webhooks

_log: Any = structlog.get_logger(simulator="webhooks")


@dataclass(slots=True)
class Sender:
    """Posts the ledger's webhooks. `pace`: the factor of the gaps between tries."""

    ledger: Ledger
    accounts: Accounts
    dialects: Mapping[str, Dialect]
    pace: float = 1.0
    _posting: dict[int, "asyncio.Task[None]"] = field(default_factory=dict)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _http: aiohttp.ClientSession | None = None
    _loop: "asyncio.Task[None] | None" = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=_REPLY_WITHIN_S)
        self._http = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        self.ledger.on_webhooks = self._woken.set
        self._loop = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ledger.on_webhooks = lambda: None
        tasks = [*self._posting.values(), *([self._loop] if self._loop else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._http is not None:
            await self._http.close()

    async def first(self, stored: list[int]) -> None:
        """Sends those of the webhooks just stored that go out before the response, and waits for them, at
        most 5 s. Called without a pause after their commit."""
        if stored and (before := webhooks.due_before_response(self.ledger, stored)):
            await asyncio.wait([self._start(webhook) for webhook in before], timeout=_FIRST_WITHIN_S)

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            room = max(_AT_ONCE - len(self._posting), 0)
            for webhook in webhooks.waiting(self.ledger, time.time(), self._posting, room):
                self._start(webhook)
            await self._pause()

    async def _pause(self) -> None:
        """Waits until there is something to do again."""
        full = len(self._posting) >= _AT_ONCE
        due = None if full else webhooks.next_due(self.ledger, self._posting)
        wait_s = None if due is None else max(due - time.time(), 0.001)
        try:
            async with asyncio.timeout(wait_s):
                await self._woken.wait()
        except TimeoutError:
            return

    def _start(self, webhook: Webhook) -> "asyncio.Task[None]":
        task = asyncio.create_task(self._deliver(webhook))
        self._posting[webhook.seq] = task
        task.add_done_callback(lambda _: self._done(webhook, task))
        return task

    def _done(self, webhook: Webhook, task: "asyncio.Task[None]") -> None:
        del self._posting[webhook.seq]
        self._woken.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # A bug of the dialect: not again and again.
            _log.error("no webhook could be made", type=webhook.type, exc_info=error)
            webhooks.failed(self.ledger, webhook, None)

    async def _deliver(self, webhook: Webhook) -> None:
        account = self.accounts.named(webhook.gateway, webhook.account)
        if account is None or account.webhook_url is None:
            webhooks.failed(self.ledger, webhook, None)
            return
        if webhook.forged:
            await self._post(webhook, account, forged=True)
            webhooks.forgery_sent(self.ledger, webhook)
        if await self._post(webhook, account, forged=False):
            webhooks.delivered(self.ledger, webhook, time.time() + _AGAIN_AFTER_S)
        else:
            gap_s = FIRST_GAP_S * 2**webhook.tries * self.pace
            again_at = time.time() + gap_s if webhook.tries + 1 < TRIES else None
            webhooks.failed(self.ledger, webhook, again_at)

    async def _post(self, webhook: Webhook, account: Account, *, forged: bool) -> bool:
        """Posts a webhook. True: the receiver took it."""
        assert self._http is not None
        assert account.webhook_url is not None
        signed = self.dialects[webhook.gateway].sign(webhook, account, time.time(), forged=forged)
        try:
            async with self._http.post(
                account.webhook_url, data=signed.body, headers=signed.headers, allow_redirects=False
            ) as response:
                taken = 200 <= response.status < 300
        except (aiohttp.ClientError, TimeoutError):
            taken = False
        metrics.WEBHOOKS.labels(
            webhook.gateway, "forged" if forged else "taken" if taken else "not_taken"
        ).inc()
        return taken
