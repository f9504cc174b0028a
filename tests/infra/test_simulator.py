"""What ends the start of the simulator, and what it says then."""

import asyncio
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest


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

    code, said = await refused(
        AEGISPAY_SIMULATOR_ACCOUNTS=str(file), AEGISPAY_SIMULATOR_LEDGER=str(ledger_file)
    )

    assert code != 0
    assert b"AEGISPAY_SIMULATOR_ACCOUNTS" in said
    assert b"sk_test" not in said


async def test_a_ledger_of_an_older_version_ends_the_start_with_what_to_do(ledger_file: Path):
    with closing(sqlite3.connect(ledger_file)) as db:
        db.execute("CREATE TABLE charges (id TEXT)")

    code, said = await refused(AEGISPAY_SIMULATOR_LEDGER=str(ledger_file))

    assert code != 0
    assert b"version 1" in said
    assert b"move the file away" in said


async def refused(**environment: str) -> tuple[int | None, bytes]:
    """The exit code of a start that fails, and all that it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "infra.simulator"),
        env={"PATH": os.environ["PATH"], "AEGISPAY_SIMULATOR_PORT": "0", **environment},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await asyncio.wait_for(process.communicate(), 30)
    return process.returncode, said
