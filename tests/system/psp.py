"""What a test does at the PSP: at its switches, and as a customer at the bank's page."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import aiohttp

from tests.system.running import SIMULATOR_KEY, Running


@asynccontextmanager
async def failing(stack: Running) -> AsyncIterator[None]:
    """It answers every call with 503."""
    headers = {"Authorization": f"Bearer {SIMULATOR_KEY}"}
    url = f"http://127.0.0.1:{stack.simulator_port}/_simulator"
    async with aiohttp.ClientSession(headers=headers, raise_for_status=True) as http:
        try:
            await http.post(url, json={"down_s": 120, "down": "failing"})
            yield
        finally:
            await http.post(url, json={"down_s": 0.001, "down": "failing"})


async def challenge(action_url: str, result: Literal["pass", "fail"]) -> str | None:
    """The customer presses a button at the bank. Where the PSP sends it then, if anywhere."""
    async with (
        aiohttp.ClientSession() as bank,
        bank.post(action_url, data={"result": result}, allow_redirects=False) as answer,
    ):
        assert answer.status in {200, 303}, await answer.text()
        return answer.headers.get("Location")
