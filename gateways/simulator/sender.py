"""Posts the webhooks: at least once each, until it is taken or the tries are over."""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
import structlog

from gateways.simulator import hooks, metrics
from gateways.simulator.accounts import Account, Accounts
from gateways.simulator.ledger import Ledger
from gateways.simulator.psp import Dialect
from gateways.simulator.rows import Hook

FIRST_GAP_S: Final = 0.5
TRIES: Final = 10
_AT_ONCE: Final = 32
_ANSWER_WITHIN_S: Final = 10.0
_AGAIN_AFTER_S: Final = 0.2  # of one that is to come twice
_FIRST_WITHIN_S: Final = 5.0  # an answer waits no longer for its webhooks

_log: Any = structlog.get_logger(simulator="webhooks")


@dataclass(slots=True)
class Sender:
    """`pace`: by what the gaps are multiplied."""

    ledger: Ledger
    accounts: Accounts
    dialects: Mapping[str, Dialect]
    pace: float = 1.0
    _posting: dict[int, "asyncio.Task[None]"] = field(default_factory=dict)
    _woken: asyncio.Event = field(default_factory=asyncio.Event)
    _http: aiohttp.ClientSession | None = None
    _loop: "asyncio.Task[None] | None" = None

    async def __aenter__(self) -> Self:
        timeout = aiohttp.ClientTimeout(total=_ANSWER_WITHIN_S)
        self._http = aiohttp.ClientSession(timeout=timeout, cookie_jar=aiohttp.DummyCookieJar())
        self.ledger.told = self._woken.set
        self._loop = asyncio.create_task(self._run())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.ledger.told = lambda: None
        tasks = [*self._posting.values(), *([self._loop] if self._loop else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._http is not None:
            await self._http.close()

    async def first(self, stored: list[int]) -> None:
        """Of these the ones that go out before the answer. Called without a pause after their commit."""
        if stored and (before := hooks.to_tell_first(self.ledger, stored)):
            await asyncio.wait([self._start(hook) for hook in before], timeout=_FIRST_WITHIN_S)

    async def _run(self) -> None:
        while True:
            self._woken.clear()
            room = max(_AT_ONCE - len(self._posting), 0)
            for hook in hooks.waiting(self.ledger, time.time(), self._posting, room):
                self._start(hook)
            await self._pause()

    async def _pause(self) -> None:
        """Until there is something to do again."""
        full = len(self._posting) >= _AT_ONCE
        due = None if full else hooks.next_due(self.ledger, self._posting)
        wait_s = None if due is None else max(due - time.time(), 0.001)
        try:
            async with asyncio.timeout(wait_s):
                await self._woken.wait()
        except TimeoutError:
            return

    def _start(self, hook: Hook) -> "asyncio.Task[None]":
        task = asyncio.create_task(self._deliver(hook))
        self._posting[hook.seq] = task
        task.add_done_callback(lambda _: self._done(hook, task))
        return task

    def _done(self, hook: Hook, task: "asyncio.Task[None]") -> None:
        del self._posting[hook.seq]
        self._woken.set()
        if not task.cancelled() and (error := task.exception()) is not None:
            # A bug of the dialect: not again and again.
            _log.error("no webhook could be made", type=hook.type, exc_info=error)
            hooks.failed(self.ledger, hook, None)

    async def _deliver(self, hook: Hook) -> None:
        account = self.accounts.named(hook.gateway, hook.account)
        if account is None or account.webhook_url is None:
            hooks.failed(self.ledger, hook, None)
            return
        if hook.forged:
            await self._post(hook, account, forged=True)
            hooks.forgery_sent(self.ledger, hook)
        if await self._post(hook, account, forged=False):
            hooks.delivered(self.ledger, hook, time.time() + _AGAIN_AFTER_S)
        else:
            gap_s = FIRST_GAP_S * 2**hook.tries * self.pace
            again_at = time.time() + gap_s if hook.tries + 1 < TRIES else None
            hooks.failed(self.ledger, hook, again_at)

    async def _post(self, hook: Hook, account: Account, *, forged: bool) -> bool:
        """Whether it was taken."""
        assert self._http is not None
        assert account.webhook_url is not None
        signed = self.dialects[hook.gateway].sign(hook, account, time.time(), forged=forged)
        try:
            async with self._http.post(
                account.webhook_url, data=signed.body, headers=signed.headers, allow_redirects=False
            ) as answer:
                taken = 200 <= answer.status < 300
        except (aiohttp.ClientError, TimeoutError):
            taken = False
        metrics.WEBHOOKS.labels(hook.gateway, "forged" if forged else "taken" if taken else "not_taken").inc()
        return taken
