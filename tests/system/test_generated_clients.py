"""Clients generated from docs/openapi.json, in three languages, make a payment and read it."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Final
from uuid import UUID

import psycopg
import pytest

from infra.postgres import api_keys
from tests.system.clients.foreign import NotAtHand

pytestmark = pytest.mark.stack

_ROOT: Final = Path(__file__).parent.parent.parent
_DOCUMENT: Final = _ROOT / "docs" / "openapi.json"
_PROGRAMS: Final = Path(__file__).parent / "clients" / "generated"
_OAPI_CODEGEN: Final = "github.com/oapi-codegen/oapi-codegen/v2/cmd/oapi-codegen@v2.8.2"

Command = list[str | Path]


async def _python(folder: Path) -> Command:
    """By openapi-generator, a program in Java: the wheel has it, and runs it on the local stack's Java."""
    generator = Path(sys.executable).with_name("openapi-generator-cli")
    parts = "apis,models,supportingFiles,apiDocs=false,modelDocs=false"
    options = ["--global-property", parts, "--additional-properties", "packageName=aegispay_http"]
    await _run(
        folder,
        [generator, "generate", "-g", "python", "-i", _DOCUMENT, "-o", folder, *options],
        JAVA_OPTS="-XX:TieredStopAtLevel=1",
    )
    return [sys.executable, folder / "pay.py"]


async def _typescript(folder: Path) -> Command:
    """By openapi-typescript, for openapi-fetch."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        raise NotAtHand("no Node.js with npm is at hand")
    await _fetch(
        folder, ["npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline"]
    )
    bin_ = folder / "node_modules" / ".bin"
    await _run(folder, [bin_ / "openapi-typescript", _DOCUMENT, "--output", "api.d.ts"])
    await _run(folder, [bin_ / "tsc"])
    return ["node", folder / "pay.js"]


async def _go(folder: Path) -> Command:
    """By oapi-codegen."""
    if shutil.which("go") is None:
        raise NotAtHand("no Go toolchain is at hand")
    await _fetch(folder, ["go", "install", _OAPI_CODEGEN], GOBIN=str(folder))
    await _fetch(folder, ["go", "mod", "download"])
    options = ["-generate", "types,client", "-package", "main", "-o", "client.go"]
    await _run(folder, [folder / "oapi-codegen", *options, _DOCUMENT])
    await _run(folder, ["go", "build", "-o", "pay", "."])
    return [folder / "pay"]


@pytest.mark.parametrize(
    ("language", "generate"),
    [
        pytest.param("python", _python, id="python"),
        pytest.param("typescript", _typescript, id="typescript"),
        pytest.param("go", _go, id="go", marks=pytest.mark.soak),  # see tests/system/clients/foreign.py
    ],
)
async def test_a_generated_client_makes_a_payment_and_reads_it(
    stack, tmp_path, language: str, generate: Callable[[Path], Awaitable[Command]]
):
    shutil.copytree(_PROGRAMS / language, tmp_path, dirs_exist_ok=True)
    try:
        program = await generate(tmp_path)
    except NotAtHand as why:
        pytest.skip(str(why))
    options = f"-c search_path={stack.environment.schema}"
    with psycopg.connect(stack.environment.dsn(), options=options, autocommit=True) as connection:
        key = api_keys.create(connection, "demo", api_keys.SCOPES)

    url = f"http://127.0.0.1:{stack.api_port}"
    printed = json.loads(await _run(tmp_path, [*program, url, key, f"order-{language}"]))

    (charge,) = stack.charges(UUID(printed.pop("payment_id")))
    assert printed == {
        "made": "CAPTURED",
        "status": "CAPTURED",
        "captured_minor": 1099,
        "currency_exponent": 2,
        "charges": [charge.intent_id],
    }
    assert (charge.amount, charge.currency) == (Decimal("10.99"), "EUR")


async def _fetch(folder: Path, argv: Command, **env: str) -> None:
    try:
        await _run(folder, argv, **env)
    except AssertionError as error:
        raise NotAtHand(f"{argv[0]} could not fetch what docs/http-clients.md names: {error}") from error


async def _run(folder: Path, argv: Command, **env: str) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=folder,
        env=os.environ | env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, faults = await process.communicate()
    assert process.returncode == 0, (output + faults).decode()[-2000:]
    return output
