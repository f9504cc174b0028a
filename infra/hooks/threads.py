"""Runs functions that block in a bounded number of threads, each for a limited time.

Invariant: a function that passes its limit keeps its thread until it returns, since Python cannot end a
thread; when every thread is kept so, a further call fails at once instead of waiting.
"""

import asyncio
import queue
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from typing import Any

_Task = tuple[asyncio.AbstractEventLoop, "asyncio.Future[Any]", Callable[[], Any]]


class NoThreadFree(Exception):
    """Every thread is held by a call that has passed its limit."""


class Threads:
    """At most `most` threads, started when they are first needed, and used again. They are daemons: a stuck
    function does not keep the process from ending."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._taken = 0
        self._idle = 0  # started, and without a function
        self._tasks: queue.SimpleQueue[_Task] = queue.SimpleQueue()
        self._late = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    async def start(self, function: Callable[[], Any]) -> "asyncio.Future[Any]":
        """Starts the function in a thread, once one is free, and returns its future. Raises
        `NoThreadFree`."""
        await self._take()
        loop = asyncio.get_running_loop()
        returned: asyncio.Future[Any] = loop.create_future()
        returned.add_done_callback(self._returned)
        if self._idle:
            self._idle -= 1
        else:
            threading.Thread(target=_work, args=(self._tasks,), name="hook", daemon=True).start()
        self._tasks.put((loop, returned, function))
        return returned

    def late(self, returned: "asyncio.Future[Any]") -> None:
        """Notes that the call has passed its limit, and keeps its thread until it returns."""
        self._late += 1
        returned.add_done_callback(self._returned_late)
        if self._late >= self._most:
            while self._waiting:
                if not (waiter := self._waiting.popleft()).done():
                    waiter.set_exception(NoThreadFree())

    def _returned_late(self, returned: "asyncio.Future[Any]") -> None:
        self._late -= 1
        if not returned.cancelled():
            returned.exception()  # nobody else looks at it any more

    async def _take(self) -> None:
        if self._late >= self._most:
            raise NoThreadFree
        if self._taken < self._most:
            self._taken += 1
            return
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            # A thread may have been granted just before the cancellation.
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                self._give_back()
            raise

    def _returned(self, _: "asyncio.Future[Any]") -> None:
        self._idle += 1
        self._give_back()

    def _give_back(self) -> None:
        while self._waiting:
            waiter = self._waiting.popleft()
            if not waiter.done():
                waiter.set_result(None)  # the thread counts as taken all the while
                return
        self._taken -= 1


def _work(tasks: "queue.SimpleQueue[_Task]") -> None:
    while True:
        _run(*tasks.get())


def _run(
    loop: asyncio.AbstractEventLoop, returned: "asyncio.Future[Any]", function: Callable[[], Any]
) -> None:
    result, failure = None, None
    try:
        result = function()
    except BaseException as error:  # noqa: BLE001  # handed on to whoever waits for the future
        failure = error
    # The loop may be closed by the time a late function returns.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(_settle, returned, result, failure)


def _settle(returned: "asyncio.Future[Any]", result: Any, failure: BaseException | None) -> None:
    if returned.done():
        return
    if failure is None:
        returned.set_result(result)
    elif isinstance(failure, StopIteration):
        returned.set_exception(RuntimeError("StopIteration"))  # a future takes none
    else:
        returned.set_exception(failure)
