"""What `aegispay up` says of a data folder that another version has written."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from infra.errors import EXIT_MISCONFIGURED, Misconfigured, Miswritten
from infra.kafka import topic_admin
from infra.postgres import migrate
from infra.tools.local.settings import StackSettings
from infra.tools.local.stack import Stack


async def test_a_migration_that_was_changed_is_misconfigured_and_no_server_is_at_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def refuse(*_: object) -> None:
        raise Misconfigured("Migration 0001 was changed after it had been applied")

    async def create(_: object) -> None:
        return None

    monkeypatch.setattr(migrate, "migrate", refuse)
    monkeypatch.setattr(topic_admin, "create", create)
    plan = cast("Any", SimpleNamespace(admin=None, role_passwords={}, bus=None, folder=tmp_path))
    stack = Stack(StackSettings(data=tmp_path), fresh=False, say=lambda _: None)

    with pytest.raises(Miswritten, match="was changed") as problem:
        await stack._provision(plan)

    assert problem.value.exit_code == EXIT_MISCONFIGURED
    assert "--fresh" in problem.value.remedy
