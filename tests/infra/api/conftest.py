"""The API with an account that takes webhooks."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.infra.api.webhook_api import ACCOUNTS, NEW, OLD, serving
from tests.support.api import Api
from tests.support.environment import Environment


@pytest.fixture
def accounts(tmp_path: Path) -> Path:
    (tmp_path / "new.key").write_text(NEW)
    (tmp_path / "old.key").write_text(OLD)
    (tmp_path / "accounts.toml").write_text(ACCOUNTS)
    return tmp_path / "accounts.toml"


@pytest.fixture
async def webhooks_api(environment: Environment, accounts: Path) -> AsyncIterator[Api]:
    async with serving(environment, accounts) as webhooks_api:
        yield webhooks_api
