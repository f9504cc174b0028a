"""Waiting for what has no event: a state in another process, or in a server."""

import asyncio
from collections.abc import Awaitable, Callable


async def until(
    condition: Callable[[], object | Awaitable[object]], what: str = "the condition", within_s: float = 60.0
) -> None:
    """Looks 20 times a second, and fails where it does not come true in time."""
    try:
        async with asyncio.timeout(within_s):
            while True:
                found = condition()
                if await found if isinstance(found, Awaitable) else found:
                    return
                await asyncio.sleep(0.05)
    except TimeoutError:
        raise AssertionError(f"not within {within_s:g} s: {what}") from None
