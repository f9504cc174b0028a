"""Calls a hook once, within its limit, and says what came of it. A failure of a hook is never an error here:
the caller decides by the hook's failure mode.

Invariant: a hook that fails, hangs or returns nonsense is counted and logged with its name and the place in
its code, never with its arguments or an error's text, which may hold a token.
"""

import asyncio
import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import structlog

from commands.hooks import Hook
from infra.hooks import metrics
from infra.hooks.threads import NoThreadFree, Threads

_log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Returned:
    """The hook returned `value`."""

    value: Any
    took_ms: float


@dataclass(frozen=True, slots=True)
class Failed:
    """The hook gave no decision, and why, in words."""

    why: str
    took_ms: float


class Calls:
    """The calls of one process to its hooks. `threads`: for those that are not async."""

    def __init__(self, threads: int) -> None:
        self._threads = Threads(threads)
        self._late: set[asyncio.Future[Any]] = set()

    @property
    def late(self) -> int:
        """How many calls have passed their limit and still run."""
        return len(self._late)

    async def wait_late(self, timeout_s: float) -> None:
        """Returns when no call is late any more, at most after this time. A cancelled async one ends at
        once, unless it swallows its cancellation."""
        if self._late:
            await asyncio.wait(set(self._late), timeout=timeout_s)

    async def call(
        self, hook: Hook, function: Callable[..., Any], *arguments: object, gives: tuple[type, ...]
    ) -> Returned | Failed:
        """Calls the function. `gives`: the types that it may return; another is a failure."""
        began = time.monotonic()
        try:
            running = await self._start(function, arguments)
        except NoThreadFree:
            return self._failed(hook, "no_thread", "every thread is held by a call that hangs", began)
        # The limit counts from here: a hook is not charged for the wait for a thread.
        began = time.monotonic()
        await asyncio.wait({running}, timeout=hook.within_s)
        if not running.done():
            self._given_up(hook, running, blocks=not is_async(function))
            return self._failed(hook, "timed_out", f"timed out after {hook.within_s * 1000:g} ms", began)
        if running.cancelled():
            return self._failed(hook, "raised", "it cancelled itself", began)
        if (error := running.exception()) is not None:
            name, place = type(error).__name__, _place(error)
            return self._failed(hook, "raised", f"raised {name}", began, at=place)
        value = running.result()
        if not isinstance(value, gives):
            if inspect.iscoroutine(value):
                value.close()
            expected = ", ".join(one.__name__ for one in gives)
            why = f"returned {type(value).__name__}, not {expected}"
            return self._failed(hook, "unusable", why, began)
        took_s = time.monotonic() - began
        metrics.SECONDS.labels(hook.KIND, hook.name).observe(took_s)
        metrics.CALLS.labels(hook.KIND, hook.name, type(value).__name__.lower()).inc()
        return Returned(value, round(took_s * 1000, 3))

    async def _start(
        self, function: Callable[..., Any], arguments: tuple[object, ...]
    ) -> "asyncio.Future[Any]":
        if is_async(function):
            return asyncio.ensure_future(_awaited(function, arguments))
        return await self._threads.start(partial(function, *arguments))

    def _given_up(self, hook: Hook, running: "asyncio.Future[Any]", *, blocks: bool) -> None:
        late = metrics.LATE.labels(hook.KIND, hook.name)
        late.inc()
        # The loop holds its tasks weakly: without this one could vanish in the middle.
        self._late.add(running)

        def ended(future: "asyncio.Future[Any]") -> None:
            late.dec()
            self._late.discard(future)
            if not future.cancelled():
                future.exception()  # nobody waits for it any more

        running.add_done_callback(ended)
        if blocks:
            self._threads.late(running)
        else:
            # Not awaited: a hook may swallow its cancellation.
            running.cancel()

    def _failed(self, hook: Hook, result: str, why: str, began: float, *, at: str | None = None) -> Failed:
        took_s = time.monotonic() - began
        metrics.SECONDS.labels(hook.KIND, hook.name).observe(took_s)
        metrics.CALLS.labels(hook.KIND, hook.name, result).inc()
        _log.error("a hook failed", hook=hook.name, kind=hook.KIND, why=why, at=at)
        return Failed(why, round(took_s * 1000, 3))


def is_async(function: Callable[..., Any]) -> bool:
    """True if the function is a coroutine's, or an object whose call is."""
    return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
        getattr(function, "__call__", None)  # noqa: B004  # an object whose __call__ is async
    )


async def _awaited(function: Callable[..., Any], arguments: tuple[object, ...]) -> Any:
    try:
        return await function(*arguments)
    except (SystemExit, KeyboardInterrupt) as error:
        # asyncio would let these end the process.
        raise HookExited from error


class HookExited(Exception):
    """A hook tried to end the process."""


def _place(error: BaseException) -> str | None:
    """Returns the innermost function and line of the hook's code."""
    trace = error.__traceback__
    if trace is None:
        return None
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}"
