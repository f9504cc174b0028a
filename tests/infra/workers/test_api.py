import asyncio
import os
import signal
import socket
import subprocess
import sys

import aiohttp
import pytest

from infra.errors import EXIT_MISCONFIGURED
from tests.infra.api.test_creates import BODY
from tests.support import ports
from tests.support.api import Api

pytestmark = pytest.mark.stack


async def started(environment, port: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "infra.workers.api",
        env=os.environ | environment.env("api", api_port=port),
        stdout=subprocess.PIPE,
    )


async def logged(process: asyncio.subprocess.Process, what: bytes) -> bytes:
    assert process.stdout is not None
    async with asyncio.timeout(30):
        async for line in process.stdout:
            if what in line:
                return line
    raise AssertionError("it ended without a word of it")


async def test_a_sigterm_responds_to_who_waits_and_ends_in_order(environment, new_key, worker):
    (port,) = ports.free(1)
    process = await started(environment, port)
    try:
        await logged(process, b'"event": "ready"')
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
            posting = asyncio.create_task(Api(http, new_key(), process).post(BODY, Prefer="wait=30"))
            await worker.command()
            process.send_signal(signal.SIGTERM)

            async with asyncio.timeout(12):
                response = await posting
                log, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()

    assert response.status == 202
    assert process.returncode == 0
    assert b'"event": "stopped"' in log


async def test_a_port_that_is_taken_is_reported_with_what_to_do(environment):
    with socket.create_server(("127.0.0.1", 0)) as other:
        process = await started(environment, other.getsockname()[1])
        line = await logged(process, b"misconfigured")
        await process.communicate()

    assert b"AEGISPAY_API_PORT" in line
    assert process.returncode == EXIT_MISCONFIGURED
