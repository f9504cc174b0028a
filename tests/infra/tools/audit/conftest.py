"""The small world that each test of the audit makes wrong in one place."""

from pathlib import Path

import pytest

from tests.infra.tools.audit import world as worlds
from tests.support.environment import Environment


@pytest.fixture
async def world(environment: Environment, tmp_path: Path) -> worlds.World:
    return await worlds.build(environment, tmp_path)
