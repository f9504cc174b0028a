"""The complete local stack: a start takes as long as all that these files do on it, so that they share
one."""

import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest_asyncio

from infra.tools.local.settings import StackSettings
from infra.tools.local.stack import Stack
from tests.system.complete.shop import Shop


def _folder() -> Path:
    # Not pytest's: as root, PostgreSQL runs as a user who may not pass it.
    folder = Path(tempfile.mkdtemp(prefix="aegispay-psps-"))
    folder.chmod(0o711 if os.geteuid() == 0 else 0o700)
    return folder


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def shop() -> AsyncIterator[Shop]:
    folder = _folder()
    settings = StackSettings(
        data=folder / "data", postgres_port=0, kafka_port=0, api_port=0, simulator_port=0
    )
    try:
        async with Stack(settings) as stack:
            yield Shop(stack)
    finally:
        shutil.rmtree(folder)
