"""What a command acts on: the installation that AEGISPAY_… variables name, or else the local stack that runs."""

import os
from pathlib import Path
from typing import Any, Final, Literal, TypeVar

from pydantic import ValidationError
from pydantic_settings import BaseSettings

from infra.local.problem import LocalProblem
from infra.local.settings import StackSettings
from infra.local.state import StackState

MERCHANT: Final = "demo"
"""Whose credential the local stack's API key is."""

_NAMED: Final = frozenset({"AEGISPAY_KAFKA", "AEGISPAY_DATABASE_URL"})

S = TypeVar("S", bound=BaseSettings)


def stack_settings(data: Path | None) -> StackSettings:
    """`data` or else AEGISPAY_DATA or else the default folder."""
    return StackSettings(data=data.absolute()) if data is not None else StackSettings()


def settings_of(kind: type[S], role: Literal["audit", "admin"], data: Path | None = None) -> S:
    """Of the local stack in `data`; where that is None, of what the environment names, or of the default local stack.

    `role`: with what rights the local stack's database is opened; the environment names its own.
    Raises `LocalProblem`.
    """
    if data is None and not _NAMED.isdisjoint(os.environ):
        try:
            return kind()
        except ValidationError as invalid:
            names = ("AEGISPAY_" + "_".join(map(str, problem["loc"])).upper() for problem in invalid.errors())
            raise LocalProblem(
                "AEGISPAY_KAFKA or AEGISPAY_DATABASE_URL is set, but this command needs more",
                f"Set these, or unset both to use the local stack: {', '.join(names)}",
            ) from None
    return of_stack(kind, StackState.require(stack_settings(data).data), role)


def of_stack(kind: type[S], stack: StackState, role: Literal["audit", "admin"]) -> S:
    values: dict[str, Any] = {
        "kafka": stack.kafka,
        "topic_prefix": stack.topic_prefix,
        "partitions": stack.partitions,
        "database_url": stack.database_url if role == "audit" else stack.database_admin_url,
        "database_schema": stack.database_schema,
        "simulator_ledger": stack.simulator_ledger,
    }
    return kind(**values)
