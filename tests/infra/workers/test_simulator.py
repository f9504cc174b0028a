"""What ends the start of the simulator, and the message of it."""

import asyncio
import os
import signal
import socket
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import aiohttp
import pytest

from gateways.simulator.registry import PSPS


@pytest.fixture
def ledger_file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.mark.parametrize("text", ["[accounts.a]\nsecret = 'sk_test_one'", "sk_test_one", None])
async def test_accounts_that_make_no_sense_end_the_start_and_are_not_shown(
    ledger_file: Path, tmp_path: Path, text: str | None
):
    file = tmp_path / "accounts.toml"
    if text is not None:
        file.write_text(text)

    code, output = await refused(
        AEGISPAY_SIMULATOR_ACCOUNTS=str(file), AEGISPAY_SIMULATOR_LEDGER=str(ledger_file)
    )

    assert code != 0
    assert b"AEGISPAY_SIMULATOR_ACCOUNTS" in output
    assert b"sk_test" not in output


async def test_a_ledger_of_an_older_version_ends_the_start_with_what_to_do(ledger_file: Path):
    with closing(sqlite3.connect(ledger_file)) as db:
        db.execute("CREATE TABLE charges (id TEXT)")

    code, output = await refused(AEGISPAY_SIMULATOR_LEDGER=str(ledger_file))

    assert code != 0
    assert b"version 1" in output
    assert b"move the file away" in output


async def refused(**environment: str) -> tuple[int | None, bytes]:
    """The exit code of a start that fails, and all its output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "infra.workers.simulator"),
        env={"PATH": os.environ["PATH"], "AEGISPAY_SIMULATOR_PORT": "0", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, output


async def test_the_command_says_where_each_psp_is_and_ends_on_a_signal(ledger_file: Path, tmp_path: Path):
    file = tmp_path / "accounts.toml"
    file.write_text('[accounts.sim-eu]\ngateway = "stripe"\nsecret = "sk_test_one"\n')
    process = await command("--port", "0", "--ledger", str(ledger_file), "--accounts", str(file))
    assert process.stdout is not None
    output = [(await process.stdout.readline()).decode() for _ in range(len(PSPS) + 1)]

    url = output[-1].split()[1]
    for psp, line in zip(PSPS, output, strict=False):
        assert f"{url}{psp.name} " in line
    assert "sim-eu" in next(line for line in output if "/stripe" in line)
    async with aiohttp.ClientSession() as http, http.get(url) as page, http.get(f"{url}stripe/") as call:
        assert "sk_test_one" not in await page.text()
        assert call.status == 401
    process.send_signal(signal.SIGINT)
    rest, _ = await asyncio.wait_for(process.communicate(), 10)
    assert (process.returncode, rest) == (0, b"")


async def test_without_a_ledger_the_command_leaves_no_file_where_it_was_started(tmp_path: Path):
    here, temporary = tmp_path / "checkout", tmp_path / "temporary"
    here.mkdir()
    temporary.mkdir()
    process = await command("--port", "0", cwd=here, TMPDIR=str(temporary))
    assert process.stdout is not None
    output = [(await process.stdout.readline()).decode() for _ in range(len(PSPS) + 1)]
    url = output[-1].split()[1]
    async with aiohttp.ClientSession() as http, http.get(f"{url}paypal/authority.pem") as certificate:
        assert certificate.status == 200
    assert list(temporary.iterdir()) != []

    process.send_signal(signal.SIGINT)
    await asyncio.wait_for(process.communicate(), 10)

    assert (list(here.iterdir()), list(temporary.iterdir())) == ([], [])


async def test_the_command_says_that_its_port_is_taken(ledger_file: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        process = await command("--port", str(port), "--ledger", str(ledger_file))
        output, _ = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode not in {0, 1}
    assert b"Address already in use" in output
    assert b"--port" in output
    assert b"Port %d " % port in output
    assert b"Traceback" not in output


@pytest.mark.parametrize("text", ["[accounts.a]\nsecret = 'sk_test_one'", None])
async def test_the_command_says_what_is_wrong_with_its_accounts(
    ledger_file: Path, tmp_path: Path, text: str | None
):
    file = tmp_path / "accounts.toml"
    if text is not None:
        file.write_text(text)
    process = await command("--accounts", str(file), "--ledger", str(ledger_file))
    output, _ = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode not in {0, 1}
    assert str(file).encode() in output
    assert b"sk_test" not in output


async def test_the_command_says_that_a_ledger_cannot_be_used(tmp_path: Path):
    process = await command("--ledger", str(tmp_path))
    output, _ = await asyncio.wait_for(process.communicate(), 30)

    assert process.returncode not in {0, 1}
    assert b"--ledger" in output


async def command(*arguments: str, cwd: Path | None = None, **more: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", "from infra.cli import main; main()", "simulator", *arguments),
        env={"PATH": os.environ["PATH"], "COLUMNS": "200", **more},
        cwd=cwd,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
