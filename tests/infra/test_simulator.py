"""What ends the start of the simulator, and what it says then."""

import asyncio
import os
import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from tests.gateways.simulator.client import KEYS


@pytest.fixture
def ledger_file(tmp_path: Path) -> Path:
    return tmp_path / "ledger.sqlite"


@pytest.mark.parametrize("keys", ["a=sk_test_one,b", "a=sk_test_one,b=sk_test_one"])
async def test_keys_that_make_no_sense_end_the_start_and_are_not_shown(ledger_file: Path, keys: str):
    code, said = await refused(AEGISPAY_SIMULATOR_KEY=keys, AEGISPAY_SIMULATOR_LEDGER=str(ledger_file))

    assert code != 0
    assert b"AEGISPAY_SIMULATOR_KEY" in said
    assert b"sk_test" not in said


async def test_a_ledger_of_an_older_version_ends_the_start_with_what_to_do(ledger_file: Path):
    with closing(sqlite3.connect(ledger_file)) as db:
        db.execute("CREATE TABLE charges (id TEXT)")

    code, said = await refused(AEGISPAY_SIMULATOR_KEY=KEYS, AEGISPAY_SIMULATOR_LEDGER=str(ledger_file))

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
